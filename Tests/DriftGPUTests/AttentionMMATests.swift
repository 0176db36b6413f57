import Foundation
import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite(.enabled(if: TestDevice.shapes.contains(.gpu))) struct AttentionMMATests {
    /// One warp and several, tails of queries, keys and columns, every mask, packed and shared keys.
    static let sizes: [AttentionReference] =
        [.init(batch: 2, queries: 20, keys: 20, heads: 2, headDim: 8, prefix: 4)]
        + (TestDevice.isSmall
            ? []
            : [
                .init(batch: 2, queries: 16, keys: 16, heads: 3, headDim: 16),
                .init(batch: 1, queries: 70, keys: 70, heads: 2, headDim: 32, prefix: 0),
                .init(batch: 4, queries: 37, keys: 45, heads: 2, headDim: 9, group: 2),
                .init(batch: 1, queries: 33, keys: 100, heads: 1, headDim: 64),
                .init(batch: 1, queries: 35, keys: 35, heads: 1, headDim: 128, prefix: 34),
            ])

    private static func attention(_ size: AttentionReference, dropout: Attention.Draw? = nil) -> Attention {
        Attention(
            layout: AttentionLayout(isPacked: AttentionCases.isPacked(size), heads: size.heads),
            mask: AttentionCases.mask(size), dropout: dropout)
    }

    /// Scores and their sums are those of the rounded inputs; the weights are rounded once more before they meet the values.
    @Test(arguments: sizes, TensorCoreGEMMTests.precisions)
    func agreesWithReference(_ size: AttentionReference, _ precision: Precision) throws {
        try TestDevice.with(.gpu, precision: precision) { device in
            var random = TestRandom(5)
            let rows = [size.batch * size.queries] + [Int](repeating: size.batch / size.group * size.keys, count: 2)
            let values = rows.map { count in (0..<count * size.width).map { _ in Double(Float(random.normal())) } }
            let graph = Graph()
            let isPacked = AttentionCases.isPacked(size)
            let inputs =
                isPacked
                ? [try graph.input("qkv", [size.batch, size.queries, 3 * size.width])]
                : [
                    try graph.input("query", [size.batch, size.queries, size.width]),
                    try graph.input("key", [size.batch / size.group, size.keys, size.width]),
                    try graph.input("value", [size.batch / size.group, size.keys, size.width]),
                ]
            let outputs = try graph.apply(Self.attention(size), inputs)
            outputs.forEach(graph.output)
            var options = Schedule.Options()
            options.guardBytes = 256
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            guard case .kernel(let launch) = schedule.steps.first?.commands.first else {
                Issue.record("no launch")
                return
            }
            #expect(launch.kernel == "attention_mma_forward")
            let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
            let stored = isPacked ? [AttentionReference.pack(values, width: size.width)] : values
            for (input, value) in zip(inputs, stored) { try executor.write(value.map { Float($0) }, to: input) }
            func run() throws -> [[Float]] {
                try executor.run()
                return try outputs.map { try executor.read($0) }
            }
            let (first, second) = (try run(), try run())
            #expect(first.map { $0.map(\.bitPattern) } == second.map { $0.map(\.bitPattern) }, "two runs differ")
            #expect(try executor.damage() == [])

            let rounded = values.map { $0.map { ProductCase.rounded($0, precision) } }
            let expected = size.attention(rounded[0], rounded[1], rounded[2]).out
            let magnitude = size.attention(rounded[0], rounded[1], rounded[2].map(abs)).out
            let unit = exp2(-Double(precision.significantBits)) + 1e-5
            let worst = expected.indices.map { abs(Double(first[0][$0]) - expected[$0]) / magnitude[$0] }.max() ?? .infinity
            #expect(worst <= unit, "\(AttentionCases.name(size)), \(precision): off by \(worst) of the weighted values")

            for b in 0..<size.batch {
                for h in 0..<size.heads {
                    for i in 0..<size.queries {
                        // Every query sees key 0: its weight is exp(score - logsumexp).
                        let weight = size.weights(rounded[0], rounded[1], b, h, i)[0]
                        let (query, key) = ((b * size.queries + i) * size.heads + h, b / size.group * size.keys * size.heads + h)
                        let score = size.scale * (0..<size.headDim).reduce(0) {
                            $0 + rounded[0][query * size.headDim + $1] * rounded[1][key * size.headDim + $1]
                        }
                        let got = Double(first[1][(b * size.heads + h) * size.queries + i])
                        #expect(abs(got - (score - log(weight))) <= 1e-5, "logsumexp of \(b), \(h), \(i)")
                    }
                }
            }
        }
    }

    /// The gradient's kernels work in single precision with what this forward leaves them.
    @Test(.enabled(if: !TestDevice.isSmall), arguments: TensorCoreGEMMTests.precisions)
    func gradientsFollow(_ precision: Precision) throws {
        for size in [Self.sizes[0], Self.sizes[1], Self.sizes[3]] {
            var operation = AttentionCases.make(size, withGradients: true)
            // Scores of this size move by about two units when their inputs are rounded, weights in proportion.
            operation.tolerance = 8 * exp2(-Double(precision.significantBits))
            try operation.check(.gpu, precision: precision)
        }
    }

    @Test func othersStayInSinglePrecision() {
        let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2, localMemory: 32 << 10)
        let tensor = TensorCoreGEMM(precision: .tf32, cores: .instructions, fallback: NativeGEMM())
        func takes(
            _ headDim: Int, _ positions: Int, dropout: Attention.Draw? = nil, gemm: any GEMMProvider
        ) -> Bool {
            let size = AttentionReference(queries: positions, keys: positions, heads: 2, headDim: headDim)
            let context = LaunchContext(
                inputs: [TensorType([2, positions, 3 * size.width])], outputs: [], traits: traits, gemm: gemm)
            return Self.attention(size, dropout: dropout).tensorCommand(context) != nil
        }
        #expect(takes(64, 16, gemm: tensor) && takes(8, 16, gemm: tensor))
        #expect(!takes(64, 16, gemm: NativeGEMM()))
        #expect(!takes(64, 15, gemm: tensor) && !takes(4, 16, gemm: tensor))
        // 32 keys and values of 128 columns as tf32 take 37 KiB.
        #expect(!takes(128, 16, gemm: tensor))
        #expect(!takes(64, 16, dropout: Attention.Draw(probability: 0.1, stream: 0), gemm: tensor))
    }
}
