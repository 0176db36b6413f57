import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

/// The providers against each other, through everything a product can take along.
@Suite struct GEMMTests {
    private static let (rows, width, depth) = (50, 48, 20)

    /// A perceptron with a gated residual, and all its gradients.
    private func results(_ shape: TeamShape, gemm: String) throws -> [[Float]] {
        try TestDevice.with(shape, gemm: gemm) { device in
            let graph = Graph()
            let (rows, width, depth) = (Self.rows, Self.width, Self.depth)
            let inputs = [
                try graph.input("x", [rows, depth]), try graph.input("w1", [width, depth]), try graph.input("b1", [width]),
                try graph.input("w2", [depth, width]), try graph.input("gate", [5, depth]),
                try graph.input("groups", [5, width, 7]),
            ]
            let hidden = try graph.gelu(graph.linear(inputs[0], weight: inputs[1], bias: inputs[2]))
            let y = try graph.residual(
                inputs[0], graph.linear(hidden, weight: inputs[3]), gate: inputs[4], map: RowMap(span: rows / 5))
            let grouped = try graph.matrixMultiply(graph.reshape(hidden, [5, rows / 5, width]), inputs[5])
            let loss = try graph.add(graph.sum(y), graph.sum(grouped))
            let gradients = try graph.gradients(of: loss, withRespectTo: inputs).compactMap { $0 }
            let outputs = [y, grouped] + gradients
            outputs.forEach(graph.output)
            var options = Schedule.Options()
            options.guardBytes = 256
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
            var random = TestRandom(11)
            for input in inputs { try executor.write((0..<input.count).map { _ in Float(random.normal()) }, to: input) }
            try executor.run()
            let damage = try executor.damage()
            #expect(damage.isEmpty, "\(gemm), \(shape): written outside: \(damage)")
            return try outputs.map { try executor.read($0) }
        }
    }

    /// CLBlast builds its kernels for every opened device: one of each shape.
    @Test(arguments: [TeamShape.cpu16, .gpu].filter(TestDevice.shapes.contains))
    func providersAgree(_ shape: TeamShape) throws {
        let native = try results(shape, gemm: "native")
        let library = try results(shape, gemm: "clblast")
        #expect(native.count == 8 && library.count == 8)
        for (index, (ours, theirs)) in zip(native, library).enumerated() {
            let scale = ours.map(abs).max() ?? 0
            let error = zip(ours, theirs).map { abs($0 - $1) }.max() ?? .infinity
            #expect(error <= 2e-5 * scale, "result \(index): \(error) of \(scale)")
        }
    }

    /// The library alone, on every shape the native kernels are held to; its kernels are the same in both team shapes.
    @Test(.enabled(if: TestDevice.shapes.contains(.cpu16)), arguments: MatrixMultiplyCases.single + MatrixMultiplyCases.batches)
    func libraryAgreesWithReference(_ operation: OperationCase) throws { try operation.check(.cpu16, gemm: "clblast") }
}
