import Foundation

/// QK-norm and RoPE on packed query, key and value. Inputs: x [B, N, 3 D], then weight [2, head size] with the norm, then the
/// table [N, head size] with the rotation.
struct QueryKey: Operation {
    let heads: Int
    /// Epsilon of the norm; nil: no norm.
    let epsilon: Float?
    let rotates: Bool

    var name: String { "query_key" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    var weightIndex: Int { epsilon == nil ? 0 : 1 }
    var tableIndex: Int { rotates ? (epsilon == nil ? 1 : 2) : 0 }
    func size(_ x: TensorType) -> Int { x.columns / (3 * heads) }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let x = inputs[0]
        guard heads > 0, x.rank == 3, x.columns % (3 * heads) == 0, size(x) <= 128, size(x) % 2 == 0 else {
            throw GraphError("query_key: \(x) is no packed query, key and value of \(heads) heads of an even size up to 128")
        }
        if epsilon != nil, inputs[weightIndex] != TensorType([2, size(x)]) {
            throw GraphError("query_key: weight \(inputs[weightIndex]) for heads of \(size(x))")
        }
        if rotates, inputs[tableIndex] != TensorType([x.shape[1], size(x)]) {
            throw GraphError("query_key: table \(inputs[tableIndex]) for \(x.shape[1]) positions and heads of \(size(x))")
        }
        return [x]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        let backward = try graph.apply(QueryKeyGradient(forward: self), [dy] + node.inputs)
        var result = node.inputs.map { _ -> Tensor? in nil }
        result[0] = backward[0]
        if epsilon != nil, needs[weightIndex] {
            let parts = try graph.split(backward[1], axis: 0)
            result[weightIndex] = try graph.concat(
                parts.map { try graph.reshape(graph.columnSum($0), [1, $0.type.columns]) }, axis: 0)
        }
        return result
    }
    func arguments(_ x: TensorType) -> [Argument] {
        [
            .int(x.rows), .int(heads), .int(size(x)), .int(x.shape[1]), .int(epsilon == nil ? 0 : 1),
            .int(rotates ? 1 : 0), .float(epsilon ?? 0),
        ]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.itemLaunch(
                "query_key_forward", family: name, items: x.rows * 3 * heads, size: size(x),
                arguments: [.input(0), .input(weightIndex), .input(tableIndex), .output(0)] + arguments(x),
                traffic: Traffic(bytes: 8 * x.count, flops: 6 * x.count))
        ]
    }
}

/// Inputs: dy, then those of the forward; outputs: dx, and with the norm each row's part of the weight's gradient
/// [2, B N heads, head size].
struct QueryKeyGradient: Operation {
    let forward: QueryKey

    var name: String { "query_key_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let x = inputs[1]
        return [x] + (forward.epsilon == nil ? [] : [TensorType([2, x.rows * forward.heads, forward.size(x)])])
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[1]
        return [
            context.itemLaunch(
                name, family: "query_key", items: x.rows * 3 * forward.heads, size: forward.size(x),
                arguments: [
                    .input(0), .input(1), .input(1 + forward.weightIndex), .input(1 + forward.tableIndex), .output(0),
                    .output(forward.epsilon == nil ? 0 : 1),
                ] + forward.arguments(x),
                traffic: Traffic(bytes: 12 * x.count, flops: 14 * x.count))
        ]
    }
}

/// Angles of a rotary position embedding of an image's tokens: half of a head's pairs turn with the row of a token, half with
/// its column, as in "Rotary Position Embedding for Vision Transformer" (axial frequencies).
public struct RotaryTable: Sendable, Hashable {
    public var rows: Int
    public var columns: Int
    /// The slowest pair turns about 1 / base a step.
    public var base: Double

    public init(rows: Int, columns: Int, base: Double = 100) {
        self.rows = rows
        self.columns = columns
        self.base = base
    }

    /// cos and sin of each pair's angle side by side, [rows columns, size].
    public func values(size: Int) -> [Float] {
        let pairs = size / 2
        let half = (pairs + 1) / 2
        return (0..<(rows * columns)).flatMap { position in
            (0..<pairs).flatMap { pair -> [Float] in
                let place = Double(pair < half ? position / columns : position % columns)
                let angle = place * pow(base, -Double(pair % half) / Double(half))
                return [Float(cos(angle)), Float(sin(angle))]
            }
        }
    }
}

extension Graph {
    /// Packed query, key and value [B, N, 3 D] with each head of queries and keys divided by its root mean square and
    /// multiplied by its row of `weight` [2, D / heads] (QK-norm), then turned by the angles of its position (RoPE).
    public func queryKey(
        _ qkv: Tensor, heads: Int, norm: (weight: Tensor, epsilon: Float)?, rotary: RotaryTable?
    ) throws -> Tensor {
        guard norm != nil || rotary != nil else { return qkv }
        var inputs = [qkv] + (norm.map { [$0.weight] } ?? [])
        if let rotary {
            let size = qkv.type.columns / max(3 * heads, 1)
            inputs.append(
                try constant(
                    "rotary \(rotary.rows) \(rotary.columns) \(rotary.base) \(size)", rotary.values(size: size),
                    [rotary.rows * rotary.columns, size]))
        }
        return try apply(QueryKey(heads: heads, epsilon: norm?.epsilon, rotates: rotary != nil), inputs)[0]
    }
}
