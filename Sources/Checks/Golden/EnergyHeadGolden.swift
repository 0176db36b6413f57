import DriftAR
import DriftFormats
import DriftGPU

/// EAR's head: its network, its loss for given noise, and a drawing.
enum EnergyHeadGolden {
    private static let prefix = "scoreloss.net"

    static func head(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let shape = TokenHeadShape(
            tokenWidth: try golden.integer("channels"), conditionWidth: try golden.integer("z"),
            width: try golden.integer("head_width"), depth: try golden.integer("head_depth"))
        let head = EnergyHead(shape, noiseWidth: try golden.integer("noise_channels"))
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(head.declarations, prefix: prefix + ".")
        if golden.has("out", "sample") { return try sample(head, run, scope, comparison) }
        if golden.has("out", "row_loss") { return try loss(head, run, scope, comparison) }
        let z = try run.input("z", rank: 2)
        let y = try head.generate(z: z, noise: run.input("noise", rank: 2), scope)
        try run.checkNetwork(y, inputs: ["z": z], scope.scope(prefix), comparison)
    }

    private static func loss(
        _ head: EnergyHead, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let (graph, golden) = (run.graph, run.golden)
        let (z, noise) = (try run.input("z", rank: 2), try run.input("noise", rank: 3))
        let rows = noise.shape[1]
        let samples = try graph.reshape(
            head.generate(z: z, noise: graph.reshape(noise, [2 * rows, noise.shape[2]]), scope), [2, rows, head.shape.tokenWidth])
        let (score, distances) = try graph.energyScore(
            samples, targets: run.input("target", rank: 2), repulsion: Float(golden.number("train_temperature")),
            power: Float(golden.number("alpha")))
        let loss = try run.maskedMean(score)
        [samples, score, distances, loss].forEach(graph.output)
        let gradients = try run.gradients(of: loss, inputs: ["z": z], scope.scope(prefix))
        try run.run()
        try comparison.check("out", "samples", run.read(samples))
        let columns = try run.read(distances)
        for (column, name) in ["distance_1", "distance_2", "distance_12"].enumerated() {
            try comparison.check("out", name, (0..<rows).map { columns[3 * $0 + column] })
        }
        try comparison.check("out", "row_loss", run.read(score))
        try comparison.check("out", "loss", run.read(loss))
        try run.check(gradients, with: comparison)
    }

    private static func sample(
        _ head: EnergyHead, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let cfg = try run.golden.guidance(in: run)
        let embedded = try head.embed(z: run.input("z", rank: 2), entropy: nil, cfg: cfg, scope)
        let tokens = try head.step(
            TokenStep(
                x: run.input("noise", rank: 2), embedded: embedded, cfg: cfg,
                temperature: Float(run.golden.number("infer_temperature"))), scope).x
        run.graph.output(tokens)
        try run.run()
        try comparison.check("out", "sample", run.read(tokens))
    }
}
