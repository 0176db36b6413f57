import TestSupport
import Testing

@testable import DriftGPU

/// Which drawn tokens become final. Guesses and drawn tokens are written out; the rule is computed beside.
@Suite struct AcceptTokensTests {
    /// Guess of token t of a sequence and what is drawn for it lie this far apart: exactly, nearly, far, and no number.
    private static let distances: [Float] = [0, 0, 0.01, 0, 0.4, 0, 0, .nan, 0]

    @Test("guesses are final as far as they were right", arguments: TestDevice.shapes, [Float(0), 0.1, 1])
    func prefixes(_ shape: TeamShape, tolerance: Float) throws {
        try TestDevice.with(shape) { device in
            let (length, width, count) = (9, 5, 4)
            let known: [Int32] = [0, 2, 4, 5, 8, 9]
            let graph = Graph()
            let tokens = try graph.input("tokens", [known.count, length, width])
            let counts = try graph.input("known", [known.count], .int32)
            let drawn = try graph.input("drawn", [known.count, count, width])
            let tally = try graph.input("tally", [known.count, count], .int32)
            let distance = try graph.input("distance", [known.count, length])
            let last = try graph.acceptTokens(
                drawn, into: tokens, known: counts, tally: tally, distance: distance, tolerance: tolerance)
            graph.output(last)
            let executor = try DeviceMemory(device, guardBytes: 256).executor(graph)
            func guess(_ b: Int, _ t: Int) -> Float { Float(10 * b + t) / 16 }
            func draw(_ b: Int, _ t: Int) -> Float { guess(b, t) + (t < length ? Self.distances[t] : 5) }
            try executor.write(
                known.indices.flatMap { b in (0..<length).flatMap { t in [Float](repeating: guess(b, t), count: width) } }, to: tokens)
            try executor.write(
                known.indices.flatMap { b in
                    (0..<count).flatMap { [Float](repeating: draw(b, Int(known[b]) + $0), count: width) }
                }, to: drawn)
            try executor.write(known, to: counts)
            try executor.write([Int32](repeating: 2, count: known.count * count), to: tally)
            try executor.write([Float](repeating: -1, count: known.count * length), to: distance)
            try executor.run()
            let expected = known.map { known -> Int32 in
                let rows = min(count, length - Int(known))
                let right = (0..<max(0, rows - 1)).prefix { Self.distances[Int(known) + $0] <= tolerance }.count
                return known + Int32(min(rows, 1 + right))
            }
            #expect(try executor.read(counts, as: Int32.self) == expected)
            #expect(expected.last == 9 && (tolerance == 1) == (expected[2] == 8), "\(expected)")
            #expect(try executor.read(last, as: Int32.self) == zip(known, expected).map { $1 - $0 - 1 })
            let apart = try executor.read(distance)
            for (b, t) in known.indices.flatMap({ b in (0..<length).map { (b, $0) } }) {
                // Of the guesses that are compared the first wrong one is the last.
                let first = Int(known[b])
                let compared = first..<max(first, min(Int(expected[b]), first + min(count, length - first) - 1))
                let wanted = compared.contains(t) ? Self.distances[t] : -1
                #expect(abs(apart[b * length + t] - wanted) < 1e-5 || apart[b * length + t].isNaN && wanted.isNaN, "\(b), \(t)")
            }
            var tallied = [Int32](repeating: 2, count: known.count * count)
            for (b, accepted) in zip(known, expected).map({ Int($1 - $0) }).enumerated() where accepted > 0 {
                tallied[b * count + accepted - 1] += 1
            }
            #expect(try executor.read(tally, as: Int32.self) == tallied)
            let after = try executor.read(tokens)
            for (index, value) in after.enumerated() {
                let (b, t) = (index / (length * width), index / width % length)
                let isDrawn = (Int(known[b])..<(Int(known[b]) + count)).contains(t)
                let wanted = isDrawn ? draw(b, t) : guess(b, t)
                #expect(value == wanted || value.isNaN && wanted.isNaN, "sequence \(b), token \(t)")
            }
            #expect(try executor.damage().isEmpty)
        }
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (tokens, known) = (try graph.input("tokens", [2, 5, 3]), try graph.input("known", [2], .int32))
        func accept(_ drawn: [Int], tolerance: Float = 0, known: Tensor, distance: [Int] = [2, 5]) throws {
            let tally = try graph.input("tally \(drawn)", Array(drawn.prefix(2)), .int32)
            try graph.acceptTokens(
                graph.input("drawn \(drawn)", drawn), into: tokens, known: known, tally: tally,
                distance: graph.input("distance", distance), tolerance: tolerance)
        }
        try accept([2, 4, 3], known: known)
        #expect(throws: GraphError.self) { try accept([2, 4, 2], known: known) }
        #expect(throws: GraphError.self) { try accept([1, 4, 3], known: known) }
        #expect(throws: GraphError.self) { try accept([2, 4, 3], known: known, distance: [2, 4]) }
        #expect(throws: GraphError.self) { try accept([2, 4, 3], tolerance: -1, known: known) }
        #expect(throws: GraphError.self) { try accept([2, 4, 3], known: graph.input("few", [1], .int32)) }
    }
}
