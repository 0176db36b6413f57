import DriftGPU
import Foundation

/// Rows through all blocks of a causal transformer: tokens and given rows, sequences as far as they are, shared heads, more rows than
/// a tile has, guided halves, with and without places.
enum CausalPassCases: OperationCases {
    static let families = [
        OperationFamily("causal_pass", all, untimed: "a pass of a drawing; bench sample times it with the rest"),
    ]

    private struct Size: Sendable {
        var shape: CausalPassShape
        var count: Int
        var known: [Int32]
        var sequences: Int
        var tokens: Int
        /// Rows in front of the tokens.
        var front = 2
        /// Columns of given rows; nil: rows are tokens.
        var given: Int?
        /// Places from the tokens known to the token of the first row.
        var ahead = 0
        var hasPlaces = true
        /// The block whose queries are compared, too.
        var shown: Int?

        var images: Int { known.count }
        var isGiven: Bool { given != nil }
        var offset: Int { ahead < 0 ? 0 : front - 1 }
        func start(_ b: Int) -> Int { Int(known[b % images]) + offset }
    }

    private static func make(
        channels: Int, width: Int, hidden: Int, heads: Int, keyHeads: Int, depth: Int, count: Int, known: [Int32], sequences: Int,
        tokens: Int, front: Int = 2, given: Int? = nil, ahead: Int = 0, hasPlaces: Bool = true, shown: Int? = nil
    ) -> OperationCase {
        let shape = CausalPassShape(
            channels: channels, width: width, hidden: hidden, heads: heads, keyHeads: keyHeads, depth: depth,
            capacity: front + tokens - 1, epsilon: 1e-5)
        return make(
            Size(
                shape: shape, count: count, known: known, sequences: sequences, tokens: tokens, front: front, given: given, ahead: ahead,
                hasPlaces: hasPlaces, shown: shown))
    }

    /// Every case.
    static let all = [
        make(channels: 4, width: 16, hidden: 20, heads: 2, keyHeads: 1, depth: 2, count: 1, known: [3, 1], sequences: 4, tokens: 5,
             shown: 0),
        make(channels: 3, width: 36, hidden: 50, heads: 6, keyHeads: 3, depth: 1, count: 5, known: [2], sequences: 1, tokens: 9, front: 1),
        make(channels: 33, width: 64, hidden: 33, heads: 4, keyHeads: 4, depth: 2, count: 2, known: [6, 1, 4], sequences: 3, tokens: 7,
             front: 3, hasPlaces: false, shown: 1),
        make(channels: 1, width: 16, hidden: 8, heads: 2, keyHeads: 1, depth: 1, count: 19, known: [1, 6], sequences: 2, tokens: 20,
             shown: 0),
        make(channels: 4, width: 32, hidden: 30, heads: 4, keyHeads: 2, depth: 2, count: 3, known: [0, 0], sequences: 4, tokens: 5,
             front: 3, given: 32, ahead: -2),
        make(channels: 7, width: 16, hidden: 8, heads: 2, keyHeads: 1, depth: 1, count: 3, known: [2, 5], sequences: 4, tokens: 8,
             front: 1, given: 7, ahead: 1),
    ]

    private static func make(_ size: Size) -> OperationCase {
        let shape = size.shape
        let (width, keys) = (shape.width, shape.keyHeads * shape.size)
        func plain(_ shape: [Int], scale: Double = 1) -> OperationCase.Input {
            .init(shape: shape, values: .normal(scale), isDifferentiable: false)
        }
        func matrix(_ rows: Int, _ columns: Int) -> OperationCase.Input { plain([rows, columns], scale: 1 / Double(columns).squareRoot()) }
        var weights = [matrix(width, shape.channels), plain([width])]
        for _ in 0..<shape.depth {
            weights += [plain([width]), matrix(width, width), plain([width]), matrix(keys, width), plain([keys]), matrix(keys, width), plain([keys])]
            weights += [matrix(width, width), plain([width]), matrix(shape.hidden, width), matrix(shape.hidden, width), matrix(width, shape.hidden)]
        }
        weights += [plain([width]), matrix(width, width), plain([width])]
        let cache = 2 * shape.depth * shape.span(size.sequences)
        let fixed: [OperationCase.Input] = [
            plain([size.images, size.tokens, shape.channels]), plain([size.sequences, size.count, size.given ?? 1]),
            .init(shape: [size.images], values: .integers(size.known), isDifferentiable: false), plain([cache]),
            plain([size.tokens, width]),
        ]
        let places = RotaryPlaces(front: size.front, grid: nil)
        return OperationCase(
            name: "causal_pass \(size.count) of \(size.sequences), width \(width), \(shape.heads) heads of \(shape.size) over \(shape.keyHeads), depth \(shape.depth)\(size.given.map { ", given \($0)" } ?? "")",
            inputs: fixed + weights,
            build: { graph, x in
                let packed = try graph.causalPassWeights(Self.weights(Array(x.dropFirst(fixed.count)), depth: shape.depth))
                let (z, queries) = try graph.causalPass(
                    shape, tokens: x[0], given: size.given == shape.width ? x[1] : nil, inputs: size.given == shape.channels ? x[1] : nil,
                    known: x[2], offset: size.offset, count: size.count,
                    sequences: size.sequences, weights: packed,
                    table: graph.rotaryTable(places, count: shape.capacity, size: shape.size), caches: x[3],
                    places: size.hasPlaces ? x[4] : nil, ahead: size.ahead, shown: size.shown)
                return try [z, graph.copy(x[3])] + (queries.map { [$0] } ?? [])
            },
            reference: { x in
                reference(size, x, Array(x.dropFirst(fixed.count)), places.table(count: shape.capacity, size: shape.size).map(Double.init))
            })
    }

    /// The tensors in the order in which they are declared above.
    private static func weights(_ x: [Tensor], depth: Int) -> CausalPassWeights {
        let blocks = (0..<depth).map { block -> CausalPassWeights.Block in
            let b = Array(x[(2 + 12 * block)..<(14 + 12 * block)])
            return .init(
                norm: b[0],
                attention: [
                    .init(weight: b[1], bias: b[2]), .init(weight: b[3], bias: b[4]), .init(weight: b[5], bias: b[6]), .init(weight: b[7]),
                ],
                secondNorm: b[8], mlp: b[9...11].map { .init(weight: $0) })
        }
        let end = x.suffix(3).map { $0 }
        return CausalPassWeights(
            input: .init(weight: x[0], bias: x[1]), blocks: blocks, norm: end[0], output: .init(weight: end[1], bias: end[2]))
    }

    private static func linear(_ x: [Double], _ weight: [Double], _ bias: [Double]? = nil) -> [Double] {
        (0..<(weight.count / x.count)).map { row -> Double in
            var sum = bias?[row] ?? 0
            for (column, value) in x.enumerated() { sum += value * weight[row * x.count + column] }
            return sum
        }
    }

    private static func normed(_ x: [Double], _ weight: [Double], epsilon: Double) -> [Double] {
        let root = (x.reduce(0) { $0 + $1 * $1 } / Double(x.count) + epsilon).squareRoot()
        return zip(x, weight).map { $0 / root * $1 }
    }

    /// z of all rows, the caches, and the queries that are shown. Places past the end are not kept, and a row there sees what is kept.
    private static func reference(_ size: Size, _ x: [[Double]], _ w: [[Double]], _ table: [Double]) -> [[Double]] {
        let (shape, head) = (size.shape, size.shape.size)
        let (width, keyHeads, epsilon) = (shape.width, shape.keyHeads, Double(shape.epsilon))
        let span = shape.span(size.sequences)
        var (caches, z, queries): ([Double], [Double], [Double]) = (x[3], [], [])
        func turned(_ row: [Double], _ heads: Int, _ place: Int) -> [Double] {
            RotaryCases.turn(row, table: Array(table[(place * head)..<((place + 1) * head)]), 1, heads, head)
        }
        for b in 0..<size.sequences {
            for g in 0..<size.count {
                let (image, token) = (b % size.images, Int(size.known[b % size.images]) - 1 + g)
                let columns = size.given ?? 1
                var row = Array(x[1][((b * size.count + g) * columns)..<((b * size.count + g + 1) * columns)])
                if size.given == shape.channels {
                    row = linear(row, w[0], w[1])
                } else if !size.isGiven {
                    let start = (image * size.tokens + token) * shape.channels
                    let values = token < size.tokens
                        ? Array(x[0][start..<(start + shape.channels)]) : [Double](repeating: 0, count: shape.channels)
                    row = linear(values, w[0], w[1])
                }
                let place = size.start(b) + g
                let own = min(place, shape.capacity - 1)
                for block in 0..<shape.depth {
                    let p = Array(w[(2 + 12 * block)..<(14 + 12 * block)])
                    let n = normed(row, p[0], epsilon: epsilon)
                    let (raw, key) = (linear(n, p[1], p[2]), linear(n, p[3], p[4]))
                    let query = turned(raw, shape.heads, own)
                    if block == size.shown { queries += raw }
                    let value = linear(n, p[5], p[6])
                    func at(_ h: Int, _ q: Int) -> Int { 2 * block * span + ((b * keyHeads + h) * shape.capacity + q) * head }
                    if place < shape.capacity {
                        let kept = turned(key, keyHeads, place)
                        for h in 0..<keyHeads {
                            for i in 0..<head {
                                caches[at(h, place) + i] = kept[h * head + i]
                                caches[at(h, place) + span + i] = value[h * head + i]
                            }
                        }
                    }
                    var attended = [Double](repeating: 0, count: width)
                    for h in 0..<shape.heads {
                        let group = h / (shape.heads / keyHeads)
                        var total = 0.0
                        for q in 0...own {
                            var dot = 0.0
                            for i in 0..<head { dot += query[h * head + i] * caches[at(group, q) + i] }
                            let weight = exp(dot / Double(head).squareRoot())
                            total += weight
                            for i in 0..<head { attended[h * head + i] += weight * caches[at(group, q) + span + i] }
                        }
                        for i in 0..<head { attended[h * head + i] /= total }
                    }
                    row = zip(row, linear(attended, p[7])).map { $0 + $1 }
                    let second = normed(row, p[8], epsilon: epsilon)
                    let gated = zip(linear(second, p[9]), linear(second, p[10])).map { $0 / (1 + exp(-$0)) * $1 }
                    row = zip(row, linear(gated, p[11])).map { $0 + $1 }
                }
                let end = Array(w.suffix(3))
                let drawn = Int(size.known[image]) + size.ahead + g
                z += linear(normed(row, end[0], epsilon: epsilon), end[1], end[2]).enumerated().map { column, value in
                    value + (size.hasPlaces && (0..<size.tokens).contains(drawn) ? x[4][drawn * width + column] : 0)
                }
            }
        }
        return size.shown == nil ? [z, caches] : [z, caches, queries]
    }
}
