import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ResidualTests {
    /// y, dh and dgate of a residual with dropout, x = 0, h, gate and dy as given.
    private func run(
        _ shape: TeamShape, rows: Int, columns: Int, gate: Bool
    ) throws -> (y: [Float], dh: [Float], dgate: [Float]) {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let clock = try graph.input("clock", [4], .uint32)
            let x = try graph.fill([rows, columns], with: 0)
            let (h, g) = (try graph.input("h", [rows, columns]), try graph.input("gate", [2, columns]))
            let y = try graph.residual(
                x, h, gate: gate ? g : nil, map: RowMap(span: rows / 2), dropout: Dropout(probability: 0.25, clock: clock))
            let seed = try graph.fill([rows, columns], with: 2)
            let gradients = try graph.gradients(of: [(y, seed)], withRespectTo: [h, g])
            graph.output(y)
            gradients.compactMap { $0 }.forEach(graph.output)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write(RandomTests.clock, to: clock)
            try executor.write([Float](repeating: 3, count: h.count), to: h)
            try executor.write([Float](repeating: 0.5, count: g.count), to: g)
            try executor.run()
            return (
                try executor.read(y), try executor.read(#require(gradients[0])), try gradients[1].map { try executor.read($0) } ?? []
            )
        }
    }

    @Test(arguments: TestDevice.shapes, [false, true]) func dropsAndScales(_ shape: TeamShape, gate: Bool) throws {
        let (rows, columns) = (200, 51)
        let (y, dh, dgate) = try run(shape, rows: rows, columns: columns, gate: gate)
        let kept = Float(gate ? 0.5 : 1) / 0.75
        #expect(y.allSatisfy { $0 == 0 || abs($0 - 3 * kept) < 1e-5 })
        #expect(abs(Double(y.filter { $0 == 0 }.count) / Double(y.count) - 0.25) < 0.02)
        // The gradient drops what the forward pass dropped.
        #expect(zip(y, dh).allSatisfy { ($0 == 0 && $1 == 0) || abs($1 - 2 * kept) < 1e-5 })
        if gate {
            for index in dgate.indices {
                let (group, column) = (index / columns, index % columns)
                let alive = (0..<(rows / 2)).filter { y[(group * rows / 2 + $0) * columns + column] != 0 }.count
                #expect(abs(dgate[index] - Float(alive) * 6 / 0.75) < 1e-2)
            }
        }
    }

    @Test func allTeamShapesDropTheSame() throws {
        let results = try TestDevice.shapes.map { try run($0, rows: 6, columns: 37, gate: false).y }
        for other in results.dropFirst() { #expect(results[0] == other) }
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, h) = (try graph.input("x", [4, 6]), try graph.input("h", [4, 5]))
        let gate = try graph.input("gate", [2, 6])
        #expect(throws: GraphError.self) { try graph.residual(x, h) }
        #expect(throws: GraphError.self) { try graph.residual(x, x, gate: gate) }
        #expect(throws: GraphError.self) { try graph.residual(x, x, gate: gate, map: RowMap(span: 4)) }
        #expect(try graph.residual(x, x, gate: gate, map: RowMap(span: 2)).shape == [4, 6])
    }
}
