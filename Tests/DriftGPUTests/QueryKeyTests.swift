import TestSupport
import Testing

@testable import DriftGPU

@Suite struct QueryKeyTests {
    /// RoPE's property: the product of a query and a key depends on how far apart they stand, not on where.
    @Test func productsDependOnTheDistanceAlone() {
        let (rows, columns, size) = (4, 5, 12)
        let table = RotaryTable(rows: rows, columns: columns).values(size: size).map(Double.init)
        var random = TestRandom(3)
        let query = (0..<size).map { _ in random.normal() }
        let key = (0..<size).map { _ in random.normal() }
        func turned(_ x: [Double], _ row: Int, _ column: Int) -> [Double] {
            let at = (row * columns + column) * size
            return (0..<size).map { i in
                let (c, s) = (table[at + i / 2 * 2], table[at + i / 2 * 2 + 1])
                return i % 2 == 0 ? x[i] * c - x[i + 1] * s : x[i] * c + x[i - 1] * s
            }
        }
        func product(_ a: (Int, Int), _ b: (Int, Int)) -> Double {
            zip(turned(query, a.0, a.1), turned(key, b.0, b.1)).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let near = product((0, 1), (1, 3))
        #expect(abs(product((2, 2), (3, 4)) - near) < 1e-5)
        #expect(abs(product((0, 1), (3, 3)) - near) > 1e-3)
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let qkv = try graph.input("qkv", [2, 4, 48])
        #expect(throws: GraphError.self) {
            try graph.queryKey(qkv, heads: 2, norm: nil, rotary: RotaryTable(rows: 3, columns: 3))
        }
        #expect(throws: GraphError.self) {
            try graph.queryKey(qkv, heads: 2, norm: (graph.input("weight", [2, 7]), 1e-6), rotary: nil)
        }
        #expect(throws: GraphError.self) {
            try graph.queryKey(qkv, heads: 5, norm: nil, rotary: RotaryTable(rows: 2, columns: 2))
        }
    }
}
