import Foundation

/// RoPE by halves of a head. Inputs: x [..., N, H size], table [N, size]. `isBack` turns the other way, which is the gradient.
struct Rotary: Operation {
    let heads: Int
    var isBack = false

    var name: String { isBack ? "rotary_backward" : "rotary" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (x, table) = (inputs[0], inputs[1])
        guard heads > 0, x.rank >= 2, x.columns % (2 * heads) == 0, x.columns / heads <= 128 else {
            throw GraphError("rotary: \(x) has no \(heads) heads of an even size up to 128")
        }
        guard table == TensorType([x.shape[x.rank - 2], x.columns / heads]) else {
            throw GraphError("rotary: table \(table) for \(x) of \(heads) heads")
        }
        return [x]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(Rotary(heads: heads, isBack: !isBack), $0, node.inputs[1])[0] }, nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let pairs = x.columns / heads / 2
        return [
            context.itemLaunch(
                "rotary_forward", family: "rotary", defines: ["PAIRS": "\(pairs)"],
                items: x.rows * heads * (context.traits.isGPUShape ? pairs : 1), size: context.traits.isGPUShape ? 1 : 2 * pairs,
                arguments: [
                    .input(0), .input(1), .output(0), .int(x.rows), .int(heads), .int(x.shape[x.rank - 2]), .float(isBack ? -1 : 1),
                ],
                traffic: Traffic(bytes: 8 * x.count, flops: 3 * x.count))
        ]
    }
}

/// Where the tokens of an image stand for RoPE by halves of a head.
public struct RotaryPlaces: Sendable, Hashable {
    /// Positions in front of the tokens.
    public var front: Int
    /// Rows and columns of the tokens' grid; nil: all positions stand in one line, those in front first.
    public var grid: Grid?
    /// The slowest pair turns about 1 / base a step.
    public var base: Double

    /// Rows and columns.
    public struct Grid: Sendable, Hashable {
        public var rows: Int
        public var columns: Int
        public init(rows: Int, columns: Int) { (self.rows, self.columns) = (rows, columns) }
    }

    public init(front: Int, grid: Grid?, base: Double = 1e4) { (self.front, self.grid, self.base) = (front, grid, base) }

    /// Cosines of all pairs' angles, then their sines, [count, size]. In one line pair i of n turns by position base^(-i/n). On a
    /// grid the first half of the pairs turns with the row, the others with the column, from 1 on; what stands in front is at
    /// (0, 0) (SphereAR).
    public func table(count: Int, size: Int) -> [Float] {
        let pairs = size / 2
        let half = grid == nil ? pairs : (pairs + 1) / 2
        return (0..<count).flatMap { position -> [Float] in
            let angles = (0..<pairs).map { pair -> Double in
                place(position, isRow: pair < half) * pow(base, -Double(pair % half) / Double(half))
            }
            return angles.map { Float(cos($0)) } + angles.map { Float(sin($0)) }
        }
    }

    private func place(_ position: Int, isRow: Bool) -> Double {
        guard let grid else { return Double(position) }
        guard position >= front else { return 0 }
        let token = position - front
        return Double(1 + (isRow ? token / grid.columns : token % grid.columns))
    }
}

extension Graph {
    /// The table of `count` positions for heads of `size` columns.
    public func rotaryTable(_ places: RotaryPlaces, count: Int, size: Int) throws -> Tensor {
        let grid = places.grid.map { "\($0.rows)x\($0.columns)" } ?? "line"
        return try constant(
            "rotary_halves \(places.front) \(grid) \(places.base) \(count) \(size)", places.table(count: count, size: size), [count, size])
    }

    /// Rows [..., N, H size] with each head turned by the angles of its position, by halves: `table` [N, size].
    public func rotary(_ x: Tensor, table: Tensor, heads: Int) throws -> Tensor { try apply(Rotary(heads: heads), x, table)[0] }
}
