import COpenCL
import Foundation
import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite(.enabled(if: TestDevice.shapes.contains(.gpu))) struct AttentionMMATests {
    /// A size, and how often its weights are dropped.
    struct Case: Sendable, CustomTestStringConvertible {
        var size: AttentionReference
        var probability: Float = 0

        var testDescription: String { "\(AttentionCases.name(size)), dropout \(probability)" }

        var layout: AttentionLayout { AttentionLayout(isPacked: AttentionCases.isPacked(size), heads: size.heads) }

        func attention(stream: Int) -> Attention {
            Attention(
                layout: layout, mask: AttentionCases.mask(size),
                dropout: probability > 0 ? .init(probability: probability, stream: stream) : nil)
        }

        /// Dropout factors [B, H, N, M] of the kernels in single precision. Not more keys than columns of a head.
        func kept() throws -> [Double]? {
            guard probability > 0 else { return nil }
            var size = size
            size.group = 1
            return try AttentionTests.kept(size, probability, TestDevice.isSmall ? .gpu : .cpu16)
                .map { $0 > 0.5 ? 1 / (1 - Double(probability)) : 0 }
        }
    }

    /// One warp and several, tails of queries, keys and columns, every mask, packed and shared keys; several blocks and tiles,
    /// own rows that stay in registers and that do not. Each head size is a program of its own for each kernel: few of them.
    static let cases: [Case] = [
        Case(size: .init(batch: 1, queries: 36, keys: 36, heads: 2, headDim: 8, prefix: 4)),
        Case(size: .init(batch: 1, queries: 18, keys: 17, heads: 1, headDim: 17), probability: 0.25),
        Case(size: .init(batch: 2, queries: 35, keys: 70, heads: 1, headDim: 8, group: 2, prefix: 4, block: 16, first: 33)),
    ] + (TestDevice.isSmall ? [] : [
        Case(size: .init(batch: 2, queries: 16, keys: 16, heads: 3, headDim: 8)),
        Case(size: .init(batch: 4, queries: 37, keys: 45, heads: 2, headDim: 17, group: 2)),
        Case(size: .init(batch: 4, queries: 20, keys: 17, heads: 2, headDim: 17, group: 2), probability: 0.5),
        Case(size: .init(batch: 1, queries: 70, keys: 70, heads: 2, headDim: 64, prefix: 0)),
        Case(size: .init(batch: 1, queries: 65, keys: 100, heads: 1, headDim: 64)),
        Case(size: .init(batch: 1, queries: 40, keys: 130, heads: 1, headDim: 64, prefix: 0, first: 80)),
        Case(size: .init(batch: 1, queries: 70, keys: 70, heads: 1, headDim: 80, prefix: 0), probability: 0.25),
        Case(size: .init(batch: 1, queries: 35, keys: 35, heads: 1, headDim: 128, prefix: 34), probability: 0.1),
    ])

    /// What the device computes for a case.
    struct Results: Equatable {
        var out: [UInt32]
        var logsumexp: [UInt32]
        /// Packed where the inputs are.
        var gradients: [[UInt32]]
    }

    /// Runs a case twice. `values` are those of query, key, value and dout.
    private static func run(_ test: Case, _ values: [[Double]], _ precision: Precision) throws -> Results {
        let size = test.size
        return try TestDevice.with(.gpu, precision: precision) { device in
            let graph = Graph()
            let inputs =
                test.layout.isPacked
                ? [try graph.input("qkv", [size.batch, size.queries, 3 * size.width])]
                : [
                    try graph.input("query", [size.batch, size.queries, size.width]),
                    try graph.input("key", [size.batch / size.group, size.keys, size.width]),
                    try graph.input("value", [size.batch / size.group, size.keys, size.width]),
                ]
            let clock = try graph.input("clock", [4], .uint32)
            let attention = test.attention(stream: graph.nextStream())
            let outputs = try graph.apply(attention, inputs + (attention.dropout == nil ? [] : [clock]))
            let dout = try graph.input("dout", outputs[0].shape)
            let gradients = try graph.gradients(of: [(outputs[0], dout)], withRespectTo: inputs).compactMap { $0 }
            (outputs + gradients).forEach(graph.output)
            var options = Schedule.Options()
            options.guardBytes = 256
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            let kernels = schedule.steps.flatMap(\.commands).map { command in
                if case .kernel(let launch) = command { launch.kernel } else { "no kernel" }
            }
            #expect(
                kernels == ["attention_mma_forward", "attention_mma_backward_query", "attention_mma_backward_key"])

            let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
            let points = Array(values.prefix(3))
            let stored = test.layout.isPacked ? [AttentionReference.pack(points, width: size.width)] : points
            for (input, value) in zip(inputs + [dout], stored + [values[3]]) {
                try executor.write(value.map { Float($0) }, to: input)
            }
            if attention.dropout != nil { try executor.write([5, 6, 7, 8] as [UInt32], to: clock) }
            func bits(_ tensor: Tensor) throws -> [UInt32] { try executor.read(tensor).map(\.bitPattern) }
            let results = try (0..<2).map { _ in
                try executor.run()
                return try Results(out: bits(outputs[0]), logsumexp: bits(outputs[1]), gradients: gradients.map(bits))
            }
            #expect(results[0] == results[1], "two runs differ")
            #expect(try executor.damage() == [])
            return results[0]
        }
    }

    /// Output, row statistics and gradients are those of the rounded inputs, up to the roundings in between, element by
    /// element.
    @Test(arguments: cases, TensorCoreGEMMTests.precisions)
    func agreesWithReference(_ test: Case, _ precision: Precision) throws {
        let size = test.size
        var random = TestRandom(5)
        let (queries, keys) = (size.batch * size.queries, size.batch / size.group * size.keys)
        let values = [queries, keys, keys, queries].map { rows in
            (0..<rows * size.width).map { _ in Double(Float(random.normal())) }
        }
        let kept = try test.kept()
        let results = try Self.run(test, values, precision)

        let rounded = values.map { $0.map { ProductCase.rounded($0, precision) } }
        let (out, gradients) = size.attention(rounded[0], rounded[1], rounded[2], dout: rounded[3], kept: kept)
        let bounds = AttentionRounding(size, rounded, kept: kept, unit: exp2(-Double(precision.significantBits)))
        let names = ["out", "dquery", "dkey", "dvalue"]
        let got = [results.out] + results.gradients
        let values32 = got.map { $0.map { Double(Float(bitPattern: $0)) } }
        let tensors =
            [values32[0]]
            + (test.layout.isPacked ? AttentionReference.unpack(values32[1], width: size.width) : Array(values32[1...]))
        for (index, want) in ([out] + gradients).enumerated() {
            let bound = [bounds.out, bounds.dquery, bounds.dkey, bounds.dvalue][index]
            let worst = want.indices.map { abs(tensors[index][$0] - want[$0]) / bound[$0] }.max() ?? .infinity
            #expect(worst <= 1, "\(test), \(precision): \(names[index]) is off by \(worst) of what roundings allow")
        }
        for b in 0..<size.batch {
            for h in 0..<size.heads {
                for i in 0..<size.queries {
                    let want = bounds.logsumexp[(b * size.heads + h) * size.queries + i]
                    let got = Double(Float(bitPattern: results.logsumexp[(b * size.heads + h) * size.queries + i]))
                    #expect(abs(got - want) <= 1e-5, "logsumexp of \(b), \(h), \(i)")
                }
            }
        }
    }

    /// The same weights are dropped as in single precision, each of them.
    @Test(.enabled(if: !TestDevice.isSmall), arguments: TensorCoreGEMMTests.precisions)
    func dropsTheSameWeights(_ precision: Precision) throws {
        let size = AttentionReference(batch: 2, queries: 70, keys: 75, heads: 2, headDim: 80)
        let kept = try AttentionTests.kept(size, 0.25, .gpu, precision: precision)
        #expect(try AttentionTests.kept(size, 0.25, .cpu16).map { $0 > 0.5 } == kept.map { $0 > 0.5 })
        #expect(kept.allSatisfy { $0 == 0 || abs($0 - 4.0 / 3) <= 4.0 / 3 * exp2(-Double(precision.significantBits)) + 1e-5 })
    }

    /// What the rounding of the inputs changes is in proportion to their scores.
    @Test(.enabled(if: !TestDevice.isSmall), arguments: TensorCoreGEMMTests.precisions)
    func staysNearSinglePrecision(_ precision: Precision) throws {
        for test in Self.cases.prefix(4) where test.probability == 0 {
            var operation = AttentionCases.make(test.size, withGradients: true)
            // Scores of this size move by about two units when their inputs are rounded, weights in proportion.
            operation.tolerance = 8 * exp2(-Double(precision.significantBits))
            try operation.check(.gpu, precision: precision)
        }
    }

    /// Forward and backward go together, with dropout and without.
    @Test func smallOnesStayInSinglePrecision() {
        let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2, localMemory: 32 << 10)
        let tensor = TensorCoreGEMM(precision: .tf32, cores: .instructions, fallback: NativeGEMM())
        func kernels(_ headDim: Int, _ positions: Int, dropout: Float = 0, gemm: any GEMMProvider) -> [String] {
            let size = AttentionReference(queries: positions, keys: positions, heads: 2, headDim: headDim)
            let attention = Case(size: size, probability: dropout).attention(stream: 0)
            let out = TensorType([2, positions, size.width])
            let inputs = [TensorType([2, positions, 3 * size.width])] + (dropout > 0 ? [TensorType([4], .uint32)] : [])
            let forward = LaunchContext(inputs: inputs, outputs: [], traits: traits, gemm: gemm)
            let backward = LaunchContext(
                inputs: inputs + [out, out, TensorType([2, 2, positions])], outputs: [], traits: traits, gemm: gemm)
            return (attention.commands(forward) + AttentionGradient(forward: attention).commands(backward)).map { command in
                if case .kernel(let launch) = command { launch.kernel } else { "no kernel" }
            }
        }
        let single = ["attention_forward", "attention_backward_query", "attention_backward_key"]
        let rounding = ["attention_mma_forward", "attention_mma_backward_query", "attention_mma_backward_key"]
        #expect(kernels(64, 16, gemm: tensor) == rounding && kernels(8, 16, gemm: tensor) == rounding)
        #expect(kernels(64, 16, dropout: 0.1, gemm: tensor) == rounding)
        #expect(kernels(64, 16, gemm: NativeGEMM()) == single)
        #expect(kernels(64, 15, gemm: tensor) == single && kernels(4, 16, gemm: tensor) == single)
        // Two tiles of 32 rows of 128 columns as tf32 take 33 KiB.
        #expect(kernels(128, 16, gemm: tensor) == single)
    }

    /// What the device counts is what the plan said, or less: not every kernel has every array.
    @Test(arguments: AttentionTile.Kernel.allCases) func localBytesAreThoseOfTheKernels(_ kernel: AttentionTile.Kernel) throws {
        for (headDim, precision) in [(9, Precision.tf32), (64, .bf16)] {
            try TestDevice.with(.gpu, precision: precision) { device in
                let tensor = try #require(device.gemm as? TensorCoreGEMM)
                let attention = Case(
                    size: .init(queries: 60, keys: 60, heads: 1, headDim: headDim), probability: 0.5
                ).attention(stream: 0)
                let tile = AttentionTensorTile(headDim: headDim, own: 60)
                let handle = try device.makeKernel(
                    "attention_mma_\(kernel.rawValue)", family: "gpu_attention_mma\(kernel.familySuffix)",
                    defines: attention.tensorDefines(tile, tensor))
                defer { clReleaseKernel(handle) }
                var bytes: cl_ulong = 0
                let status = clGetKernelWorkGroupInfo(
                    handle, device.about.id, cl_kernel_work_group_info(CL_KERNEL_LOCAL_MEM_SIZE), 8, &bytes, nil)
                #expect(status == CL_SUCCESS)
                let planned = tile.localBytes(precision, tensor.cores)
                #expect(Int(bytes) <= planned && Int(bytes) + 256 >= planned, "\(kernel): \(bytes) of \(planned)")
            }
        }
    }
}
