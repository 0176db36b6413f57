import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ScheduleTests {
    private static let traits = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)

    private func schedule(_ graph: Graph, fuse: Bool = true) throws -> Schedule {
        var options = Schedule.Options()
        options.fuse = fuse
        return try Schedule(graph, traits: Self.traits, gemm: NativeGEMM(), options: options)
    }

    @Test func unneededNodesAreRemoved() throws {
        let graph = Graph()
        let x = try graph.input("x", [4])
        let used = try graph.scale(x, by: 2)
        _ = try graph.gelu(graph.scale(used, by: 3))
        graph.output(try graph.silu(used))
        let schedule = try schedule(graph)
        #expect(graph.nodes.count == 4 && schedule.nodeCount == 2 && schedule.launches == 2)
    }

    /// A node that writes to a stored tensor stays, and so does one whose result has a place.
    @Test func effectsAreKept() throws {
        let graph = Graph()
        let x = try graph.input("x", [4])
        try graph.place(graph.scale(x, by: 2), in: Storage("kept", count: 4), at: 0)
        #expect(try schedule(graph).launches == 1)
    }

    /// What a run changes is known from the schedule, whatever it is called: places of results, and tensors changed in place.
    @Test func writtenStorages() throws {
        let graph = Graph()
        let x = try graph.input("x", [4])
        try graph.place(graph.scale(x, by: 2), in: Storage("placed", count: 8), at: 4)
        let sum = try graph.input("sum", [4])
        try graph.accumulate(graph.detach(x), into: graph.reshape(sum, [4]), restart: graph.input("restart", [1]))
        let bank = try MemoryBank(graph, name: "ring", classes: 2, capacity: 3, entry: [4])
        try graph.add(graph.reshape(x, [1, 4]), labels: graph.input("labels", [1], .int32), to: bank)
        graph.output(try graph.scale(x, by: 3))
        let written = try schedule(graph).writtenStorages
        #expect(written.keys.sorted() == ["placed", "ring.count", "ring.entries", "ring.position", "sum"])
        #expect(written["placed"] == Storage("placed", count: 8))
    }

    /// The sum of the two gradients of a residual branch is made where the norm's gradient is, and keeps its parameters'.
    @Test func residualOfANormIsFused() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [6, 10]), try graph.input("weight", [10]))
        let y = try graph.add(x, graph.layerNorm(x, weight: weight, bias: weight, epsilon: 1e-6))
        let gradients = try graph.gradients(of: [(y, graph.input("seed", [6, 10]))], withRespectTo: [x, weight])
        gradients.compactMap { $0 }.forEach(graph.output)
        let names = try schedule(graph).steps.map(\.node.operation.name)
        #expect(names.contains("layer_norm_backward_add") && !names.contains("layer_norm_backward"))
        #expect(try schedule(graph, fuse: false).steps.map(\.node.operation.name).contains("layer_norm_backward"))
    }

    /// Rows modulated and gated by the parts of one tensor, `change` in front of the shift, with its gradients.
    /// A product that reads a storage is not moved behind what writes to it.
    @Test(arguments: TestDevice.shapes) func fusionStopsAtAWrite(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let storage = Storage("state", count: 16)
            let x = try graph.stored([4, 4], in: storage)
            let (w, y, b) = (try graph.input("w", [4, 4]), try graph.input("y", [4, 4]), try graph.input("b", [4, 4]))
            let product = try graph.linear(x, weight: w)
            try graph.place(graph.scale(y, by: 2), in: storage, at: 0)
            let sum = try graph.add(product, b)
            graph.output(sum)
            let executor = try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write((0..<16).map { Float($0 % 5 == 0 ? 1 : 0) }, to: w)
            try executor.write([Float](repeating: 7, count: 16), to: y)
            try executor.write([Float](repeating: 1, count: 16), to: b)
            try executor.write((0..<16).map(Float.init), to: x)
            try executor.run()
            #expect(try executor.read(sum) == (0..<16).map { Float($0) + 1 })
            #expect(try executor.read(x) == [Float](repeating: 14, count: 16))
        }
    }

    private func modulated(_ graph: Graph, change: (Tensor) throws -> Tensor = { $0 }) throws -> (inputs: [Tensor], wanted: [Tensor]) {
        let inputs = [
            try graph.input("x", [12, 8]), try graph.input("weight", [8]), try graph.input("bias", [8]),
            try graph.input("condition", [12, 5]), try graph.input("table", [24, 5]),
        ]
        let map = RowMap(span: 1)
        let parts = try graph.split(graph.reshape(graph.linear(inputs[3], weight: inputs[4]), [12, 3, 8]), axis: 1)
        let h = try graph.layerNorm(
            inputs[0], weight: inputs[1], bias: inputs[2], epsilon: 1e-6,
            modulation: Modulation(shift: change(parts[0]), scale: parts[1], map: map))
        let y = try graph.residual(inputs[0], h, gate: parts[2], map: map)
        let gradients = try graph.gradients(of: graph.sum(graph.silu(y)), withRespectTo: inputs).compactMap { $0 }
        return (inputs, [y] + gradients)
    }

    /// Parts of a modulation are read, and their gradients written, where the whole lies: no copy, and no other bits. Where one of
    /// them goes through something else, it is a copy.
    @Test(arguments: TestDevice.shapes) func partsAreNotCopied(_ shape: TeamShape) throws {
        func names(_ graph: Graph) throws -> Set<String> { Set(try schedule(graph).steps.map(\.node.operation.name)) }
        let inPlace = Graph()
        try modulated(inPlace).wanted.forEach(inPlace.output)
        #expect(try names(inPlace).isDisjoint(with: ["split", "concat"]))
        let scaled = Graph()
        try modulated(scaled) { try scaled.scale($0, by: 2) }.wanted.forEach(scaled.output)
        #expect(try names(scaled).contains("split"))

        let results = try [true, false].map { reuse in
            try TestDevice.with(shape) { device in
                let graph = Graph()
                // Without reuse the parts are outputs, which stay tensors of their own.
                let (inputs, wanted) = try modulated(graph) {
                    if !reuse { graph.output($0) }
                    return $0
                }
                wanted.forEach(graph.output)
                var options = Schedule.Options()
                options.guardBytes = reuse ? 0 : 256
                let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
                #expect(schedule.steps.contains { $0.node.operation is Split } == !reuse)
                let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: reuse ? 0 : 256))
                for input in inputs { try executor.write((0..<input.count).map { sin(Float($0) * 0.7) }, to: input) }
                try executor.run()
                #expect(try executor.damage() == [])
                return try wanted.map { try executor.read($0) as [Float] }
            }
        }
        #expect(results[0].map { $0.map(\.bitPattern) } == results[1].map { $0.map(\.bitPattern) })
    }

    /// A perceptron with its gradients; the wanted tensors last.
    private func perceptron(_ graph: Graph) throws -> (inputs: [Tensor], wanted: [Tensor]) {
        let inputs = [
            try graph.input("x", [13, 9]), try graph.input("w1", [40, 9]), try graph.input("b1", [40]),
            try graph.input("w2", [9, 40]), try graph.input("gate", [1, 9]),
        ]
        let hidden = try graph.gelu(graph.linear(inputs[0], weight: inputs[1], bias: inputs[2]))
        let h = try graph.linear(hidden, weight: inputs[3])
        let y = try graph.residual(inputs[0], h, gate: inputs[4], map: RowMap(span: 13))
        let gradients = try graph.gradients(of: graph.sum(y), withRespectTo: inputs).compactMap { $0 }
        return (inputs, [y] + gradients)
    }

    @Test(arguments: TestDevice.shapes) func fusionChangesRoundingOnly(_ shape: TeamShape) throws {
        let results = try [true, false].map { fuse in
            try TestDevice.with(shape) { device in
                let graph = Graph()
                let (inputs, wanted) = try perceptron(graph)
                wanted.forEach(graph.output)
                var options = Schedule.Options()
                options.fuse = fuse
                let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
                let executor = try Executor(schedule, memory: DeviceMemory(device))
                var random = TestRandom(5)
                for input in inputs { try executor.write((0..<input.count).map { _ in Float(random.normal()) }, to: input) }
                try executor.run()
                return (launches: schedule.launches, values: try wanted.map { try executor.read($0) })
            }
        }
        #expect(results[0].launches < results[1].launches)
        for (fused, plain) in zip(results[0].values, results[1].values) {
            let scale = plain.map(abs).max() ?? 0
            let error = zip(fused, plain).map { abs($0 - $1) }.max() ?? .infinity
            #expect(error <= 1e-5 * scale, "\(error) of \(scale)")
        }
    }

    @Test func planIsPrinted() throws {
        let graph = Graph()
        let (_, wanted) = try perceptron(graph)
        wanted.forEach(graph.output)
        let schedule = try schedule(graph)
        let lines = schedule.listing.split(separator: "\n").map(String.init)
        #expect(lines.count == schedule.launches + 1)
        #expect(lines.last == schedule.summary)
        #expect(lines.contains { $0.contains("gemm_forward -> [13, 40]") })
        #expect(schedule.summary.contains("\(schedule.launches) launches"))
        #expect(schedule.summary.contains("arena \(schedule.plan.arenaBytes) bytes"))
    }

    @Test func storagesHaveOneSize() throws {
        let graph = Graph()
        graph.output(try graph.add(graph.input("x", [4]), graph.stored([4], in: Storage("x", count: 8))))
        #expect(throws: GraphError.self) { try schedule(graph) }
    }
}
