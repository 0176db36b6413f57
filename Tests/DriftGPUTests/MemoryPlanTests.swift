import TestSupport
import Testing

@testable import DriftGPU

@Suite struct MemoryPlanTests {
    private static let traits = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)

    private func schedule(_ graph: Graph, reuse: Bool = true, guardBytes: Int = 0) throws -> Schedule {
        var options = Schedule.Options()
        (options.reuse, options.guardBytes) = (reuse, guardBytes)
        return try Schedule(graph, traits: Self.traits, gemm: NativeGEMM(), options: options)
    }

    /// A chain that may run in place, a branch, views, products (which need scratch), several outputs.
    private func randomGraph(_ seed: UInt64) throws -> Graph {
        var random = TestRandom(seed)
        let graph = Graph()
        var values = [try graph.input("x", [16, 24]), try graph.input("y", [16, 24])]
        let weight = try graph.input("weight", [24, 24])
        for _ in 0..<30 {
            let (a, b) = (values[Int.random(in: 0..<values.count, using: &random)], values[values.count - 1])
            switch Int.random(in: 0..<7, using: &random) {
            case 0: values.append(try graph.add(a, b))
            case 1: values.append(try graph.gelu(b))
            case 2: values.append(try graph.scale(a, by: 2))
            case 3: values.append(try graph.linear(b, weight: weight))
            case 4: values.append(try graph.detach(a))
            case 5: values.append(try graph.reshape(graph.transpose(a), [16, 24]))
            default: values += try graph.split(graph.reshape(graph.concat([a, b], axis: 1), [16, 2, 24]), axis: 1)
            }
            if Int.random(in: 0..<8, using: &random) == 0 { graph.output(values[values.count - 1]) }
        }
        graph.output(values[values.count - 1])
        return graph
    }

    /// Bytes of the arena that hold a value, with the first and last step that need them. A value computed in place of
    /// another begins where the other ends.
    private struct Life {
        let id: Int
        let bytes: Range<Int>
        var first: Int
        var last: Int
    }

    private func lives(_ graph: Graph, _ schedule: Schedule) -> [Life] {
        let plan = schedule.plan
        var lives: [Int: Life] = [:]
        var scratch: [Life] = []
        for (time, step) in schedule.steps.enumerated() {
            for tensor in step.node.inputs + step.node.outputs {
                let id = plan.viewSources[tensor.id] ?? tensor.id
                guard let offset = plan.offsets[id] else { continue }
                let bytes = offset..<(offset + tensor.type.byteCount)
                lives[id] = Life(id: id, bytes: bytes, first: lives[id]?.first ?? time, last: time)
            }
            for (type, offset) in zip(step.scratch, plan.scratchOffsets[time]) {
                scratch.append(Life(id: -1, bytes: offset..<(offset + type.byteCount), first: time, last: time))
            }
        }
        for output in graph.outputs { lives[plan.viewSources[output.id] ?? output.id]?.last = schedule.steps.count }
        return lives.values.sorted { $0.id < $1.id } + scratch
    }

    /// Whether step `time` may write output `output` where its input `input` lies.
    private func isInPlace(_ schedule: Schedule, _ time: Int, _ output: Int, _ input: Int) -> Bool {
        guard time < schedule.steps.count else { return false }
        let node = schedule.steps[time].node
        return node.operation.inPlace.contains { pair in
            node.outputs[pair.output].id == output
                && (schedule.plan.viewSources[node.inputs[pair.input].id] ?? node.inputs[pair.input].id) == input
        }
    }

    @Test(arguments: 1...40) func liveTensorsDoNotOverlap(_ seed: Int) throws {
        let graph = try randomGraph(UInt64(seed))
        for (reuse, guardBytes) in [(true, 0), (false, 0), (true, 256)] {
            let schedule = try schedule(graph, reuse: reuse, guardBytes: guardBytes)
            let lives = lives(graph, schedule)
            for (index, a) in lives.enumerated() {
                #expect(a.bytes.lowerBound >= 0 && a.bytes.upperBound <= schedule.plan.arenaBytes)
                #expect(a.bytes.lowerBound % 256 == 0)
                for other in schedule.plan.guards { #expect(!other.overlaps(a.bytes)) }
                for b in lives[..<index] where a.bytes.overlaps(b.bytes) && a.first <= b.last && b.first <= a.last {
                    let (early, late) = a.first < b.first ? (a, b) : (b, a)
                    #expect(
                        reuse && guardBytes == 0 && early.last == late.first
                            && isInPlace(schedule, late.first, late.id, early.id),
                        "seed \(seed): tensors \(a.id) and \(b.id) overlap")
                }
            }
        }
    }

    @Test(arguments: 1...10) func reuseMakesTheArenaSmaller(_ seed: Int) throws {
        let graph = try randomGraph(UInt64(seed))
        let (with, without) = (try schedule(graph).plan, try schedule(graph, reuse: false).plan)
        #expect(with.arenaBytes < without.arenaBytes)
        #expect(without.arenaBytes == without.bytesWithoutReuse && with.bytesWithoutReuse == without.bytesWithoutReuse)
    }

    @Test func chainsRunInPlace() throws {
        let graph = Graph()
        var x = try graph.scale(graph.input("x", [1000]), by: 2)
        for _ in 0..<5 { x = try graph.add(x, graph.input("y", [1000])) }
        graph.output(x)
        #expect(try schedule(graph).plan.arenaBytes == 4096)
    }

    /// Neither a kept value nor one that is read later is overwritten.
    @Test func valuesStillNeededAreNotOverwritten() throws {
        let graph = Graph()
        let a = try graph.scale(graph.input("x", [64]), by: 2)
        let b = try graph.gelu(a)
        let c = try graph.add(b, a)
        [b, c].forEach(graph.output)
        let plan = try schedule(graph).plan
        #expect(plan.offsets[a.id] != plan.offsets[b.id] && plan.offsets[b.id] != plan.offsets[c.id])
        #expect(plan.arenaBytes == 512)
    }

    @Test func guardsSurroundEverything() throws {
        let graph = try randomGraph(3)
        let plan = try schedule(graph, guardBytes: 100).plan
        #expect(plan.guards.first?.lowerBound == 0 && plan.guards.last?.upperBound == plan.arenaBytes)
        #expect(plan.guards.dropFirst().dropLast().allSatisfy { $0.count >= 256 })
    }
}
