import DriftAR
import DriftFormats
import DriftGPU
import Foundation

/// TransDiff's decoder: its network, its loss at given times and noise, and its sampler.
enum FlowDecoderGolden {
    private static let prefix = "diffdecoder.net"
    /// Levels of time in training.
    private static let levels = 1000.0

    static func decoder(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let sizes = try golden.source() ?? golden
        let width = try sizes.integer("width")
        let decoder = FlowDecoder(
            width: width, conditionWidth: try sizes.integer("zc"), tokenWidth: try sizes.integer("target"),
            tokens: try sizes.integer("seq"), heads: try sizes.integer("heads"), depth: try sizes.integer("depth"),
            hidden: Int(Double(width) * (try sizes.number("mlp_ratio"))), epsilon: Float(try sizes.number("layer_norm_eps")))
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(decoder.declarations(prefix + "."), prefix: prefix + ".")
        if golden.has("out", "sample") { return try sample(decoder, run, scope, comparison) }
        if golden.has("in", "noise") { return try loss(decoder, run, scope, comparison) }
        try network(decoder, run, scope.scope(prefix), comparison)
    }

    private static func network(
        _ decoder: FlowDecoder, _ run: GoldenGraph, _ net: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let (graph, golden) = (run.graph, run.golden)
        let (x, context) = (try run.input("x", rank: 3), try run.input("c", rank: 3))
        let time = try decoder.embed(times: run.input("t", rank: 1), net)
        let y = try decoder(decoder.enter(x, net), time: time, keys: decoder.keys(of: context, net), net)
        [time.embedded, time.modulation, y].forEach(graph.output)
        let gradients = try run.gradients(of: y, seed: run.input("G"), inputs: ["x": x, "c": context], net)
        try run.run()
        let (values, weights) = (try run.read(y), try golden.input("G").floats ?? [])
        try comparison.check("out", "y", values)
        try comparison.check("out", "temb", run.read(time.embedded))
        try comparison.check("out", "timestep_proj", run.read(time.modulation))
        if golden.has("out", "loss") {
            try comparison.check("out", "loss", [Float(zip(values, weights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) })])
        }
        try run.check(gradients, with: comparison)
    }

    private static func loss(
        _ decoder: FlowDecoder, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let (graph, golden) = (run.graph, run.golden)
        let head = FlowDecoderHead(decoder)
        let (z, targets) = (try run.input("z", rank: 3), try run.input("target", rank: 3))
        let rows = [targets.shape[0], decoder.tokens * decoder.tokenWidth]
        let made = try head.losses(
            z: z, targets: graph.reshape(targets, rows), noise: graph.reshape(run.input("noise", rank: 3), rows),
            normal: normal(run), scope)
        let loss = try graph.mean(made.losses)
        [made.noisy, made.time, loss].forEach(graph.output)
        let gradients = try run.gradients(of: loss, inputs: ["z": z], scope.scope(prefix))
        try run.run()
        try comparison.check("out", "loss", run.read(loss))
        if golden.has("out", "t") {
            try comparison.check("out", "t", run.read(made.time))
            try comparison.check("out", "x_t", run.read(made.noisy))
        }
        try run.check(gradients, with: comparison)
    }

    /// The normal numbers that times are made of; where a case gives the times, those of the middle of each.
    private static func normal(_ run: GoldenGraph) throws -> Tensor {
        guard !run.golden.has("in", "normal") else { return try run.input("normal", rank: 1) }
        let times = try run.golden.input("t", rank: 1)
        let values = (times.ints ?? []).map { time -> Float in
            let share = (Double(time) + 0.5) / levels
            return Float(log(share / (1 - share)))
        }
        return try run.input("normal", NamedTensor(shape: times.shape, floats: values))
    }

    /// All steps of a drawing, as a loop takes them: rows of the head's table, and what the steps have in common.
    private static func sample(
        _ decoder: FlowDecoder, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let (graph, golden) = (run.graph, run.golden)
        let head = FlowDecoderHead(
            decoder, steps: try golden.integer("num_steps"), driftScale: try golden.number("scale_0"),
            noiseScale: try golden.number("scale_1"))
        let strength = Float(try golden.number("cfg_scale"))
        let cfg = strength == 1 ? nil : try run.input("cfg", NamedTensor(shape: [1], floats: [strength]))
        let common = try head.common(z: run.input("c", rank: 3), scope)
        let noises = try graph.split(run.input("noises", rank: 4), axis: 0)
        var x = try run.input("latents", rank: 3)
        var states: [Tensor] = []
        for (index, row) in try graph.split(head.table(scope), axis: 0).enumerated() {
            states.append(x)
            // The last step adds nothing random; what it is given must not matter.
            x = try head.step(x, common: common, row: row, other: noises[min(index, noises.count - 1)], cfg: cfg, scope).x
        }
        (states + [x]).forEach(graph.output)
        try run.run()
        try comparison.check("out", "sample", run.read(x))
        for (index, state) in states.enumerated() where golden.has("out", "x_after_\(index)") {
            try comparison.check("out", "x_after_\(index)", run.read(state))
        }
        guard golden.has("out", "trajectory") else { return }
        try comparison.check("out", "trajectory", states.flatMap { try run.read($0) })
        let times = FlowSchedule(fromNoise: states.count, levels: Int(levels)).times
        try comparison.check("out", "t1000", times.map { Float($0) })
    }
}
