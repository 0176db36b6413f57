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
}

extension GoldenCase {
    /// Strength of guidance; nil for none.
    func guidance(in run: GoldenGraph) throws -> Tensor? {
        let cfg = Float(try number("cfg"))
        return cfg == 1 ? nil : try run.input("cfg", NamedTensor(shape: [1], floats: [cfg]))
    }
}
