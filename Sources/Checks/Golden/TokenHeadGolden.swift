import DriftAR
import DriftFormats
import DriftGPU

/// What the golden cases of token heads have in common.
extension GoldenGraph {
    /// The case's integers of that name as whole numbers [n].
    func wholeInput(_ name: String) throws -> Tensor {
        let values = try golden.input(name, rank: 1)
        return try input(name, NamedTensor(shape: values.shape, floats: (values.ints ?? []).map(Float.init)))
    }

    /// The mean of a loss of rows [n] over those that the case's mask keeps: [1].
    func maskedMean(_ rows: Tensor) throws -> Tensor {
        let mask = try golden.input("mask", rank: 1).floats ?? []
        let kept = mask.reduce(0, +)
        let weights = try graph.constant("mask", mask.map { $0 / kept }, [mask.count, 1])
        return try graph.reshape(graph.matrixMultiply(graph.reshape(rows, [1, mask.count]), weights), [1])
    }

    /// Compares y, the sum of y times the case's weights, and all gradients of that.
    func checkNetwork(_ y: Tensor, inputs: [String: Tensor], _ net: ParameterScope, _ comparison: GoldenComparison) throws {
        graph.output(y)
        let gradients = try gradients(of: y, seed: input("G"), inputs: inputs, net)
        try run()
        let (values, weights) = (try read(y), try golden.input("G").floats ?? [])
        try comparison.check("out", "y", values)
        try comparison.check("out", "loss", [Float(zip(values, weights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) })])
        try check(gradients, with: comparison)
    }

    /// Compares all steps of a token head's drawing, as a loop takes them: rows of the head's table, and what the steps have in common. `z`: the
    /// name of the condition among the inputs.
    func checkSteps(
        _ head: some TokenHead, z name: String, temperature: Float = 1, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        guard let table = try head.table(scope) else { throw GraphError("\(golden.id): the head has no table of its steps") }
        let cfg = try golden.guidance(in: self)
        let embedded = try head.embed(z: input(name, rank: 2), entropy: nil, cfg: cfg, scope)
        let noises = try graph.split(input("noise_steps", rank: 3), axis: 0)
        var x = try input("noise_init", rank: 2)
        var states: [(name: String, tensor: Tensor)] = []
        for (index, row) in try graph.split(table, axis: 0).enumerated() {
            // A last step may add nothing random; what it is given must not matter.
            let noise = noises[min(index, noises.count - 1)]
            x = try head.step(
                TokenStep(x: x, embedded: embedded, row: row, other: noise, cfg: cfg, temperature: temperature), scope).x
            if golden.has("out", "x_after_\(index + 1)") { states.append(("x_after_\(index + 1)", x)) }
        }
        states.append(("sample", x))
        states.forEach { graph.output($0.tensor) }
        try run()
        for state in states { try comparison.check("out", state.name, read(state.tensor)) }
    }

    /// Compares image tokens [B, R, C] with the latents that the case expects.
    func checkLatents(_ tokens: [Float], patch: Int, _ comparison: GoldenComparison) throws {
        let shape = try golden.about("out", "latents", rank: 4).shape
        let width = shape[1] * patch * patch
        let drawn = try input("drawn", NamedTensor(shape: [shape[0], tokens.count / (shape[0] * width), width], floats: tokens))
        let latents = try graph.unpatchify(drawn, channels: shape[1], height: shape[2], width: shape[3], patch: patch)
        graph.output(latents)
        try run()
        try comparison.check("out", "latents", read(latents))
    }
}

extension GoldenCase {
    /// Strength of guidance; nil for none.
    func guidance(in run: GoldenGraph) throws -> Tensor? {
        let cfg = Float(try number("cfg"))
        return cfg == 1 ? nil : try run.input("cfg", NamedTensor(shape: [1], floats: [cfg]))
    }
}
