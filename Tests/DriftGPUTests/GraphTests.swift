import TestSupport
import Testing

@testable import DriftGPU

@Suite struct GraphTests {
    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func shapeErrorsNameOperationAndShapes() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3]), try graph.input("b", [5, 4]))
        for (name, text) in [
            ("add", message { _ = try graph.add(a, b) }),
            ("matrix_multiply", message { _ = try graph.matrixMultiply(a, b) }),
            ("reshape", message { _ = try graph.reshape(a, [5, 4]) }),
            ("concat", message { _ = try graph.concat([a, b], axis: 0) }),
        ] {
            #expect(text.contains(name.split(separator: "_")[0]), "\(name): \(text)")
            #expect(text.contains("[2, 3]") && text.contains("[5, 4]"), "\(name): \(text)")
        }
    }

    @Test(arguments: [
        [0], [2, 0, 3], [-1], [Int.max, 2], [1 << 20, 1 << 20, 1 << 20, 1 << 20], [Int.min, -1], [1 << 41],
    ])
    func absurdShapesAreErrors(_ shape: [Int]) throws {
        let graph = Graph()
        #expect(message { _ = try graph.input("x", shape) }.contains("x: "))
        #expect(throws: GraphError.self) { try graph.stored(shape, in: Storage("s", count: 4)) }
        #expect(throws: GraphError.self) { try graph.constant("c", [Float](), shape) }
        #expect(throws: GraphError.self) { try graph.reshape(graph.input("y", [4]), shape) }
        #expect(throws: GraphError.self) { try ParameterLayout([("weight", shape)]) }
    }

    @Test func resultsTooLargeToCountAreErrors() throws {
        let graph = Graph()
        let x = try graph.input("x", [1 << 30])
        #expect(message { _ = try graph.repeatEach(x, times: 1 << 30) }.contains("repeat"))
        #expect(throws: GraphError.self) { try graph.repeatEach(x, times: 0) }
        #expect(throws: GraphError.self) { try graph.slice(x, axis: 0, 3..<3) }
    }

    @Test func storedTensorsFitTheirStorage() throws {
        let graph = Graph()
        let storage = Storage("s", count: 10)
        #expect(try graph.stored([2, 3], in: storage, at: 4).shape == [2, 3])
        for offset in [2, 5, -1, Int.max] {
            #expect(throws: GraphError.self) { try graph.stored([2, 3], in: storage, at: offset) }
        }
        let x = try graph.input("x", [6])
        for offset in [2, 5, -1, Int.max] { #expect(throws: GraphError.self) { try graph.place(x, in: storage, at: offset) } }
    }

    @Test func constantsAgree() throws {
        let graph = Graph()
        _ = try graph.constant("c", [Float(1), 2], [2])
        _ = try graph.constant("c", [Float(1), 2], [2])
        #expect(throws: GraphError.self) { try graph.constant("c", [Float(1), 3], [2]) }
        #expect(throws: GraphError.self) { try graph.constant("d", [Float(1), 3], [3]) }
    }

    @Test func tensorsOfAnotherGraphAreRefused() throws {
        let (one, other) = (Graph(), Graph())
        let x = try one.input("x", [2])
        #expect(throws: GraphError.self) { try other.apply(Copy(), x) }
        // Tensors of its own with the same ids and shapes change nothing.
        let own = try (0..<3).map { try other.input("own\($0)", [2]) }
        #expect(own.contains { $0.id == x.id && $0.type == x.type })
        for text in [
            message { _ = try other.apply(Copy(), x) }, message { _ = try other.add(own[0], x) },
            message { _ = try other.reshape(x, [1, 2]) },
            message { try other.place(x, in: Storage("s", count: 2), at: 0) },
            message { _ = try other.gradients(of: [(own[0], own[1])], withRespectTo: [x]) },
            message { _ = try other.gradients(of: [(x, own[1])], withRespectTo: [own[0]]) },
            message { _ = try other.gradients(of: [(own[0], x)], withRespectTo: [own[0]]) },
        ] {
            #expect(text.contains("another graph") && !text.contains("\n"), "\(text)")
        }
        other.output(x)
        let traits = DeviceTraits(teamSize: 1, lanes: 8, computeUnits: 2)
        #expect(throws: GraphError.self) { try Schedule(other, traits: traits, gemm: NativeGEMM()) }
    }

    @Test func tensorsOfAnotherGraphAreNotRead() throws {
        let (one, other) = (Graph(), Graph())
        let x = try one.copy(one.input("x", [2]))
        let y = try other.copy(other.input("x", [2]))
        one.output(x)
        try TestDevice.with(TestDevice.shapes[0]) { device in
            let executor = try Executor(
                Schedule(one, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.run()
            #expect(try executor.read(x) == [0, 0])
            #expect(x.id == y.id)
            #expect(throws: GraphError.self) { try executor.read(y) }
            #expect(throws: GraphError.self) { try executor.write([Float(1), 2], to: y) }
        }
    }

    @Test func streamsDiffer() {
        let graph = Graph()
        #expect([graph.nextStream(), graph.nextStream(), graph.nextStream()] == [0, 1, 2])
    }
}
