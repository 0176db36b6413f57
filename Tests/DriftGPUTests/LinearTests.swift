import Testing

@testable import DriftGPU

@Suite struct LinearTests {
    static func linear(_ x: [Double], _ weight: [Double], _ bias: [Double]?, rows: Int, n: Int, k: Int) -> [Double] {
        var y = MatrixMultiplyTests.product(x, weight, m: rows, n: n, k: k, transposeB: true)
        if let bias { for index in y.indices { y[index] += bias[index % n] } }
        return y
    }

    static let cases = [(6, 4, 5), (50, 33, 7), (26, 64, 16), (300, 16, 9)].flatMap { rows, n, k in
        [true, false].map { hasBias in
            OperationCase(
                name: "linear \(rows) x \(n) x \(k)\(hasBias ? " with bias" : "")",
                inputs: [.init(shape: [2, rows / 2, k]), .init(shape: [n, k])] + (hasBias ? [.init(shape: [n])] : []),
                build: { graph, x in [try graph.linear(x[0], weight: x[1], bias: hasBias ? x[2] : nil)] },
                reference: { x in [linear(x[0], x[1], hasBias ? x[2] : nil, rows: rows, n: n, k: k)] })
        }
    }

    /// A sum behind the product becomes part of it.
    static let sums = [(13, 33, 17), (24, 64, 16)].map { rows, n, k in
        OperationCase(
            name: "linear and add \(rows) x \(n) x \(k)",
            inputs: [.init(shape: [rows, k]), .init(shape: [n, k]), .init(shape: [n]), .init(shape: [rows, n])],
            build: { graph, x in [try graph.add(x[3], graph.linear(x[0], weight: x[1], bias: x[2]))] },
            reference: { x in [zip(linear(x[0], x[1], x[2], rows: rows, n: n, k: k), x[3]).map { $0 + $1 }] })
    }

    @Test(arguments: cases + sums, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func sumIsFused() throws {
        let graph = Graph()
        let y = try graph.linear(graph.input("x", [4, 8]), weight: graph.input("w", [16, 8]))
        graph.output(try graph.add(graph.input("residual", [4, 16]), y))
        let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2)
        let schedule = try Schedule(graph, traits: traits, gemm: NativeGEMM())
        #expect(schedule.launches == 1)
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [2, 3]), try graph.input("weight", [5, 3]))
        #expect(throws: GraphError.self) { try graph.linear(x, weight: graph.input("other", [5, 4])) }
        #expect(throws: GraphError.self) { try graph.linear(x, weight: weight, bias: graph.input("bias", [4])) }
    }
}
