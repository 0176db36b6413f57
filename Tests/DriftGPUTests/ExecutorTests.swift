import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ExecutorTests {
    /// An executor for the wanted tensors of a graph, in the first shape under test.
    private func with<Result>(
        _ build: (Graph) throws -> [Tensor], _ body: ([Tensor], Executor) throws -> Result
    ) throws -> Result {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let graph = Graph()
            let tensors = try build(graph)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            return try body(tensors, executor)
        }
    }

    @Test func replaysSeeNewInputs() throws {
        try with { graph in
            let x = try graph.input("x", [3])
            let y = try graph.scale(x, by: 2)
            graph.output(y)
            return [x, y]
        } _: { tensors, executor in
            for round in 0..<3 {
                try executor.write([Float(round), 1, 2], to: tensors[0])
                try executor.run()
                #expect(try executor.read(tensors[1]) == [Float(2 * round), 2, 4])
            }
        }
    }

    /// What a run leaves in a storage is there for the next.
    @Test func storagesOutliveRuns() throws {
        try with { graph in
            let storage = Storage("sum", count: 2)
            let sum = try graph.stored([2], in: storage)
            try graph.place(graph.add(sum, graph.constant("step", [Float(1), 10], [2])), in: storage, at: 0)
            return [sum]
        } _: { tensors, executor in
            for _ in 0..<4 { try executor.run() }
            #expect(try executor.read(tensors[0]) == [4, 40])
        }
    }

    @Test func executorsShareStoragesByName() throws {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let memory = DeviceMemory(device)
            func executor(_ count: Int) throws -> (Tensor, Executor) {
                let graph = Graph()
                let x = try graph.input("x", [count])
                graph.output(try graph.scale(x, by: 2))
                return (x, try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm), memory: memory))
            }
            let (x, one) = try executor(2)
            let (same, other) = try executor(2)
            try one.write([Float(5), 6], to: x)
            #expect(try other.read(same) == [5, 6])
            #expect(throws: GraphError.self) { try executor(3) }
        }
    }

    @Test func wrongTypesAndCountsAreErrors() throws {
        try with { graph in
            let x = try graph.input("x", [3])
            let inner = try graph.gelu(x)
            graph.output(try graph.scale(inner, by: 2))
            return [x, try graph.detach(inner), try graph.silu(x)]
        } _: { tensors, executor in
            #expect(throws: GraphError.self) { try executor.write([Float(1)], to: tensors[0]) }
            #expect(throws: GraphError.self) { try executor.write([1.0, 2.0, 3.0], to: tensors[0]) }
            #expect(throws: GraphError.self) { try executor.read(tensors[0], as: Double.self) }
            #expect(throws: GraphError.self) { try executor.read(tensors[2]) }
            let storage = Storage("x", count: 3)
            #expect(throws: GraphError.self) { try executor.memory.read(Float.self, from: storage, at: 2, count: 2) }
            #expect(throws: GraphError.self) { try executor.memory.write([Float(1)], to: storage, at: -1) }
            #expect(throws: GraphError.self) { try executor.memory.write([Float(1)], to: Storage("x", count: 4)) }
        }
    }

    @Test func indicesBeyond32BitsAreErrors() throws {
        struct Wide: Operation {
            var name: String { "wide" }
            func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { inputs }
            func commands(_ context: LaunchContext) -> [Command] {
                [
                    context.elementLaunch(
                        "copy_forward", family: "copy", count: 1, arguments: [.input(0), .output(0), .int(1 << 31)])
                ]
            }
        }
        #expect(throws: GraphError.self) {
            try with { graph in
                graph.output(try graph.apply(Wide(), graph.input("x", [1]))[0])
                return []
            } _: { _, _ in }
        }
    }

    @Test func unknownKernelsAreNamed() throws {
        struct Unknown: Operation {
            var name: String { "unknown" }
            func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { inputs }
            func commands(_ context: LaunchContext) -> [Command] {
                [context.elementLaunch("no_such_kernel", family: "copy", count: 1, arguments: [.input(0), .output(0)])]
            }
        }
        let error = #expect(throws: OpenCLError.self) {
            try with { graph in
                graph.output(try graph.apply(Unknown(), graph.input("x", [1]))[0])
                return []
            } _: { _, _ in }
        }
        #expect(error.map { "\($0)".contains("no_such_kernel") && "\($0)".contains("CL_INVALID_KERNEL_NAME") } == true)
    }

    @Test func damageIsSeen() throws {
        /// Writes all of its input to an output that is one element shorter. (What lies behind an input may hold anything,
        /// the sentinel included.)
        struct Overrun: Operation {
            var name: String { "overrun" }
            func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [TensorType([inputs[0].count - 1])] }
            func commands(_ context: LaunchContext) -> [Command] {
                let count = context.inputs[0].count
                return [
                    context.elementLaunch(
                        "copy_forward", family: "copy", count: count, arguments: [.input(0), .output(0), .int(count)])
                ]
            }
        }
        // A device that watches every access reports what this test does on purpose.
        if TestDevice.isSmall { return }
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let graph = Graph()
            let x = try graph.input("x", [6])
            graph.output(try graph.apply(Overrun(), x)[0])
            var options = Schedule.Options()
            options.guardBytes = 64
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            let executor = try Executor(schedule, memory: DeviceMemory(device))
            #expect(try executor.damage().isEmpty)
            try executor.write([Float](repeating: 1, count: 6), to: x)
            try executor.run()
            #expect(try !executor.damage().isEmpty)
        }
    }
}
