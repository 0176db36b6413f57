import TestSupport
import Testing

@testable import DriftGPU

/// Shapes whose rows 32-bit indices do not hold are refused when they are scheduled, without a device, by name.
@Suite struct LaunchLimitsTests {
    /// An operation on 2^31 rows or more.
    struct Huge: CustomTestStringConvertible, Sendable {
        let name: String
        let build: @Sendable (Graph) throws -> [Tensor]
        var testDescription: String { name }

        init(_ name: String, _ build: @escaping @Sendable (Graph) throws -> [Tensor]) {
            self.name = name
            self.build = build
        }
    }

    private static let rows = 1 << 31
    private static let half = 1 << 16

    /// The gradient with respect to `x` alone, of a seed of y's shape.
    private static func gradient(_ graph: Graph, _ y: Tensor, _ x: Tensor) throws -> [Tensor] {
        try graph.gradients(of: [(y, graph.input("seed", y.shape))], withRespectTo: [x]).compactMap { $0 }
    }

    private static func rowMap(_ graph: Graph) throws -> (x: Tensor, row: Tensor, map: RowMap) {
        (try graph.input("x", [rows, 4]), try graph.input("row", [1, 4]), RowMap(span: rows))
    }

    private static func times(_ graph: Graph) throws -> DiffusionTimes {
        try DiffusionTimes(graph, name: "times", rows: [[Float](repeating: 1, count: DiffusionTimes.columns)])
    }

    private static func diffusionLoss(_ graph: Graph) throws -> (output: Tensor, mse: Tensor) {
        let output = try graph.input("o", [rows, 2])
        let loss = try graph.diffusionLoss(
            output, x: graph.input("x", [1, 1]), noise: graph.input("n", [rows, 1]), time: graph.input("t", [rows]), times(graph))
        return (output, loss.mse)
    }

    static let operations: [Huge] = [
        Huge("copy") { [try $0.copy($0.input("x", [rows, 2]))] },
        Huge("add") { [try $0.add($0.input("x", [rows, 2]), $0.input("y", [rows, 2]))] },
        Huge("scale") { [try $0.scale($0.input("x", [rows]), by: 2)] },
        Huge("scale_by") { [try $0.scale($0.input("x", [rows]), by: $0.input("f", [1]))] },
        Huge("fill") { [try $0.fill([rows], with: 1)] },
        Huge("gelu") { [try $0.gelu($0.input("x", [rows]))] },
        Huge("add_periodic") { [try $0.addPeriodic($0.input("x", [rows, 4]), $0.input("b", [4]))] },
        Huge("random_normal") { [try $0.randomNormal([rows], clock: $0.input("clock", [4], .uint32))] },
        Huge("random_noise") { graph in
            let (key, one) = (try graph.input("key", [2], .uint32), try graph.input("one", [1], .uint32))
            let labels = try graph.input("labels", [half], .int32)
            return [
                try graph.randomNormal(
                    [2], images: half, of: NoiseSource(stream: 0, key: key, labels: labels, firstImage: one, round: one))
            ]
        },
        Huge("select_row") { [try $0.selectRow($0.input("x", [4, rows]), $0.input("number", [1], .uint32))] },
        Huge("guidance") { [try $0.guidance($0.input("x", [2, rows]), by: $0.input("cfg", [1]))] },
        Huge("random_whole") { [try $0.randomWhole(below: 1000, [rows], clock: $0.input("clock", [4], .uint32))] },
        Huge("sinusoid") { [try $0.sinusoid($0.input("t", [rows]), width: 2)] },
        Huge("energy_score") { [try $0.energyScore($0.input("y", [2, rows, 1]), targets: $0.input("x", [1, 1])).score] },
        Huge("energy_score_backward") { graph in
            let y = try graph.input("y", [2, rows, 1])
            return try gradient(graph, graph.energyScore(y, targets: graph.input("x", [1, 1])).score, y)
        },
        Huge("diffusion_noised") { graph in
            [try graph.diffusionNoised(graph.input("x", [1, 1]), noise: graph.input("n", [rows, 1]), time: graph.input("t", [rows]), times(graph))]
        },
        Huge("diffusion_step") { graph in
            let (x, step) = (try graph.input("x", [rows, 1]), try graph.input("s", [9]))
            return [try graph.diffusionStep(x, output: graph.input("o", [rows, 2]), noise: graph.input("n", [rows, 1]), step: step)]
        },
        Huge("diffusion_loss") { [try diffusionLoss($0).mse] },
        Huge("diffusion_loss_backward") { graph in
            let loss = try diffusionLoss(graph)
            return try gradient(graph, loss.mse, loss.output)
        },
        Huge("layer_norm") { graph in
            let w = try graph.input("w", [4])
            return [try graph.layerNorm(graph.input("x", [rows, 4]), weight: w, bias: w, epsilon: 1e-6)]
        },
        Huge("layer_norm_backward") { graph in
            let (x, w) = (try graph.input("x", [rows, 4]), try graph.input("w", [4]))
            return try gradient(graph, graph.layerNorm(x, weight: w, bias: w, epsilon: 1e-6), w)
        },
        Huge("rms_norm") { [try $0.rmsNorm($0.input("x", [rows, 4]), epsilon: 1e-6)] },
        Huge("group_norm") { graph in
            let w = try graph.input("w", [4])
            return [
                try graph.groupNorm(graph.input("x", [half, half / 2, 4]), weight: w, bias: w, groups: 2, epsilon: 1e-6)
            ]
        },
        Huge("modulate") { graph in
            let (x, row, map) = try rowMap(graph)
            return [try graph.modulate(x, Modulation(shift: row, scale: row, map: map))]
        },
        Huge("residual") { [try $0.residual($0.input("x", [rows, 4]), $0.input("h", [rows, 4]))] },
        Huge("row_sum") { [try $0.rowSum($0.input("x", [rows, 4]))] },
        Huge("column_sum") { [try $0.columnSum($0.input("x", [rows, 4]))] },
        Huge("sum") { [try $0.sum($0.input("x", [rows, 4]))] },
        Huge("cross_entropy") { [try $0.crossEntropy($0.input("x", [rows, 4]), labels: $0.input("labels", [rows], .int32))] },
        Huge("swiglu") { [try $0.swiglu($0.input("x", [rows, 4]))] },
        Huge("pool") { [try $0.maxPool($0.input("x", [half, 256, 256, 1]), window: 1, stride: 1)] },
        Huge("upsample") { [try $0.upsample($0.input("x", [half, 256, 32, 1]))] },
        Huge("upsample_backward") { graph in
            let x = try graph.input("x", [half, 256, 128, 1])
            return try gradient(graph, graph.upsample(x), x)
        },
        Huge("convolution") { graph in
            [try graph.convolution(
                graph.input("x", [half, 256, 128, 1]), weight: graph.input("w", [1, 1, 3, 3]), padding: Padding(1))]
        },
        Huge("convolution_weight") { graph in
            let (x, w) = (try graph.input("x", [half, 256, 128, 1]), try graph.input("w", [1, 1, 3, 3]))
            return try gradient(graph, graph.convolution(x, weight: w, padding: Padding(1)), w)
        },
        Huge("matrix_multiply") { [try $0.matrixMultiply($0.input("a", [rows, 2]), $0.input("b", [2, 3]))] },
        Huge("linear") { [try $0.linear($0.input("x", [half, half, 2]), weight: $0.input("w", [3, 2]))] },
        Huge("embedding") { [try $0.embedding($0.input("t", [4, 2]), labels: $0.input("labels", [rows], .int32))] },
        Huge("embedding_backward") { graph in
            let table = try graph.input("t", [rows, 2])
            return try gradient(graph, graph.embedding(table, labels: graph.input("labels", [4], .int32)), table)
        },
        Huge("gather_rows") { [try $0.gatherRows($0.input("x", [4, 2]), $0.input("rows", [rows], .int32))] },
        Huge("scatter_rows") { [try $0.scatterRows($0.input("x", [4, 2]), $0.input("rows", [4], .int32), count: rows)] },
        Huge("clear_rows") { [try $0.clearRows($0.input("x", [4, rows]), $0.input("rows", [4], .int32))] },
        Huge("slice") { [try $0.slice($0.input("x", [rows, 4]), axis: 1, 1..<3)] },
        Huge("pad") { graph in
            let x = try graph.input("x", [rows, 4])
            return try gradient(graph, graph.slice(x, axis: 1, 1..<3), x)
        },
        Huge("concat") { [try $0.concat([$0.input("x", [rows, 2]), $0.input("y", [rows, 1])], axis: 1)] },
        Huge("split") { try $0.split($0.input("x", [half, 8, half / 8]), axis: 1) + $0.split($0.input("y", [rows, 2, 4]), axis: 1) },
        Huge("permute") { [try $0.permute($0.input("x", [half, 8, half, 4]), axis: 1)] },
        Huge("transpose") { [try $0.transpose($0.input("x", [rows * 2, 16, 8]))] },
        Huge("repeat") { [try $0.repeatEach($0.input("x", [half, 4]), times: half)] },
        Huge("posterior") { [try $0.posterior(moments: $0.input("m", [rows, 8]), eps: $0.input("e", [rows, 4]))] },
        Huge("smooth_l1") { [try $0.smoothL1($0.input("x", [4, rows / 4, 4]), $0.input("y", [4, rows / 4, 4]))] },
        Huge("smooth_l1_backward") { graph in
            let x = try graph.input("x", [half, half, 4])
            return try gradient(graph, graph.smoothL1(x, graph.input("y", [half, half, 4])), x)
        },
        Huge("attention") { [try $0.selfAttention($0.input("qkv", [rows, 4, 3 * 8]), heads: 1)] },
        Huge("attention_backward") { graph in
            let qkv = try graph.input("qkv", [rows, 4, 3 * 8])
            return try gradient(graph, graph.selfAttention(qkv, heads: 1), qkv)
        },
        Huge("softmax_entropy") { [try $0.softmaxEntropy($0.input("qkv", [rows, 4, 3 * 8]), heads: 1, buffer: 1)] },
        Huge("query_key") { [try $0.queryKey($0.input("qkv", [rows, 1, 3 * 8]), heads: 1, norm: ($0.input("w", [2, 8]), 1e-6), rotary: nil)] },
        Huge("pairwise_distance") { graph in
            let targets = DriftTargets(positive: try graph.input("p", [rows, 1, 4]))
            return [try graph.pairwiseDistance(graph.input("g", [rows, 1, 4]), to: targets).distance]
        },
        Huge("drift_loss") { graph in
            let targets = DriftTargets(positive: try graph.input("p", [rows, 1, 4]))
            return [try graph.driftLoss(graph.input("g", [rows, 1, 4]), targets: targets).loss]
        },
        Huge("draft_verification") { [try $0.verifyDraft($0.input("d", [half, half, 4]), against: $0.input("t", [half, half, 4]), threshold: 1).total] },
        Huge("patchify") { [try $0.patchify($0.input("x", [rows, 1, 4, 4]), patch: 2)] },
    ]

    private static let traits = [
        DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), DeviceTraits(teamSize: 1, lanes: 4, computeUnits: 8),
        DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 132),
    ]

    @Test(arguments: operations, traits) func isRefusedByName(_ huge: Huge, _ traits: DeviceTraits) throws {
        let graph = Graph()
        try huge.build(graph).forEach(graph.output)
        let error = #expect(throws: GraphError.self) { try Schedule(graph, traits: traits, gemm: NativeGEMM()) }
        let text = error?.description ?? ""
        #expect(text.contains("32-bit") && text.contains(" of [") && !text.contains("\n"), "\(text)")
        // The first word is the operation: the huge one itself, or one that it is made of.
        let parts = Set(graph.nodes.map(\.operation.name))
        #expect(parts.contains(String(text.prefix { $0 != " " })), "\(text) \(parts)")
    }

    /// More than 2^31 elements are fine where the rows can be counted, and more rows where they are counted in 64 bits.
    @Test(arguments: traits) func elementsMayBeMore(_ traits: DeviceTraits) throws {
        let graph = Graph()
        let (x, w) = (try graph.input("x", [1 << 24, 1 << 10]), try graph.input("w", [1 << 10]))
        for y in [
            try graph.layerNorm(x, weight: w, bias: w, epsilon: 1e-6), try graph.rmsNorm(x, epsilon: 1e-6),
            try graph.rowSum(x), try graph.addPeriodic(x, w), try graph.residual(x, x),
            try graph.slice(x, axis: 1, 3..<700),
            try graph.prior(
                token: graph.input("t", [Self.half, Self.half, 4]), entropy: graph.input("e", [Self.half, Self.half]),
                noise: graph.input("n", [Self.half, Self.half, 4]), SigmaMap()),
        ] { graph.output(y) }
        #expect(try Schedule(graph, traits: traits, gemm: NativeGEMM()).launches >= 7)
    }

    @Test func arithmeticAtTheLimitDoesNotWrap() {
        #expect(2 * LaunchLimits.indices <= Int(Int32.max) + 1)
        #expect(LaunchLimits.argument + 64 * 4 * 16 < Int(Int32.max))
    }

    /// A kernel of the GPU shape asks for groups of 256: a device that takes fewer is told so in one line.
    @Test(arguments: [64, 128]) func groupsFitTheDevice(_ size: Int) throws {
        let small = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 8, maxWorkGroupSize: size)
        func schedule(_ build: (Graph) throws -> Tensor) throws -> Schedule {
            let graph = Graph()
            graph.output(try build(graph))
            return try Schedule(graph, traits: small, gemm: NativeGEMM())
        }
        let product = #expect(throws: GraphError.self) {
            try schedule { try $0.matrixMultiply($0.input("a", [8, 8]), $0.input("b", [8, 8])) }
        }
        let convolution = #expect(throws: GraphError.self) {
            try schedule {
                try $0.convolution($0.input("x", [1, 8, 8, 4]), weight: $0.input("w", [4, 4, 3, 3]), padding: Padding(1))
            }
        }
        for text in [product, convolution].map({ $0?.description ?? "" }) {
            #expect(text.contains("work-groups of 256") && text.contains("takes \(size)") && !text.contains("\n"), "\(text)")
        }
        _ = try schedule { try $0.add($0.input("a", [8, 8]), $0.input("b", [8, 8])) }
        // What such a device gets without asking has groups of one item.
        let traits = try DeviceTraits(
            isCPU: false, name: "small", vectorWidth: 4, maxWorkGroupSize: size, computeUnits: 8, localMemory: 32 << 10,
            team: nil, lanes: nil)
        let graph = Graph()
        let x = try graph.input("x", [1, 8, 8, 4])
        let weight = try graph.input("w", [4, 4, 3, 3])
        let y = try graph.convolution(x, weight: weight, padding: Padding(1))
        graph.output(try graph.matrixMultiply(graph.reshape(y, [64, 4]), graph.input("b", [4, 8])))
        let loss = try graph.sum(y)
        try graph.gradients(of: loss, withRespectTo: [x, weight]).compactMap { $0 }.forEach(graph.output)
        for step in try Schedule(graph, traits: traits, gemm: NativeGEMM()).steps {
            for case .kernel(let launch) in step.commands { #expect(launch.local.allSatisfy { $0 == 1 }) }
        }
    }
}
