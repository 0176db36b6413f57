extension Graph {
    /// y = x W^T + b over the last dimension: x [..., k], weight [n, k], bias [n] -> [..., n].
    public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
        guard weight.type.rank == 2 else { throw GraphError("linear: weight \(weight.type) is not a matrix") }
        let operation = MatrixMultiply(label: "linear", transposeB: true, hasBias: bias != nil)
        return try apply(operation, [x, weight] + (bias.map { [$0] } ?? []))[0]
    }
}
