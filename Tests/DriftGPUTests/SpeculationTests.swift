import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite struct SpeculationTests {
    /// Cases in which everything or nothing is accepted, or the loop always runs to its end, would not show much.
    @Test func casesDecideBothWays() {
        var (accepted, early) = (Set<Double>(), Set<Double>())
        var roundsTaken = Set<Double>()
        for operation in SpeculationCases.all {
            var random = operation.random
            let outputs = operation.reference(operation.values(&random))
            if operation.name.hasPrefix("draft_verification") { accepted.formUnion(outputs[2]) }
            guard operation.name.hasPrefix("speculative_rounds"), let figures = outputs.last else { continue }
            early.insert(figures[5])
            roundsTaken.insert(figures[0])
        }
        #expect(accepted == [0, 1] && early == [0, 1])
        // First round, a later one before the last, all of them.
        #expect(roundsTaken.contains(1) && roundsTaken.contains { $0 > 4 && $0 < 64 }, "\(roundsTaken)")
    }

    @Test("a proposal that is no number is not accepted, and nothing is proposed before the shift")
    func distances() throws {
        try TestDevice.with(.cpu16) { device in
            let graph = Graph()
            let (draft, target) = (try graph.input("draft", [1, 3, 2]), try graph.input("target", [1, 3, 2]))
            let verdict = try graph.verifyDraft(draft, against: target, threshold: .infinity, shift: 1)
            [verdict.merged, verdict.distance, verdict.accepted, verdict.prefix, verdict.total].forEach(graph.output)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write([3, 4, .nan, 0, 7, 7] as [Float], to: draft)
            try executor.write([1, 1, 0, 0, 2, 2] as [Float], to: target)
            try executor.run()
            let distance = try executor.read(verdict.distance)
            #expect(distance[0] == .infinity && distance[1] == 5 && distance[2].isNaN)
            #expect(try executor.read(verdict.accepted) == [0, 1, 0])
            #expect(try executor.read(verdict.prefix) == [1] && executor.read(verdict.total) == [1])
            #expect(try executor.read(verdict.merged) == [1, 1, 3, 4, 2, 2])
        }
    }

    @Test("the state lives in a storage and goes on from run to run")
    func storedState() throws {
        try TestDevice.with(.cpu16) { device in
            let graph = Graph()
            let storage = Storage("tracker", count: EntropyTracker.stateCount)
            let entropy = try graph.input("entropy", [4])
            let tracked = try graph.track(
                entropy, state: graph.stored([EntropyTracker.stateCount], in: storage), EntropyTracker())
            try graph.place(tracked.state, in: storage, at: 0)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write([0.25, 0.5, 0.5, 0.75] as [Float], to: entropy)
            for run in 1...3 {
                try executor.run()
                let state = try executor.memory.read(Float.self, from: storage)
                #expect(state[0] == Float(4 * run) && abs(state[1] - 0.5) < 1e-6)
            }
        }
    }

    @Test func whatCannotBeIsRefused() throws {
        let graph = Graph()
        let (z, other) = (try graph.input("z", [2, 3, 4]), try graph.input("other", [2, 3, 5]))
        let (entropy, prefix) = (try graph.input("entropy", [2, 3]), try graph.input("prefix", [2]))
        let (state, short) = (try graph.input("state", [4]), try graph.input("short", [3]))
        #expect(throws: GraphError.self) { try graph.verifyDraft(z, against: other, threshold: 1) }
        #expect(throws: GraphError.self) { try graph.verifyDraft(z, against: z, threshold: 1, shift: 3) }
        #expect(throws: GraphError.self) { try graph.track(entropy, state: short, EntropyTracker()) }
        #expect(throws: GraphError.self) { try graph.track(entropy, state: state, EntropyTracker(gamma: .nan)) }
        #expect(throws: GraphError.self) {
            try graph.speculativeRounds(
                0, entropy: entropy, draftEntropy: entropy, prefix: prefix, state: state, EntropyTracker())
        }
        #expect(throws: GraphError.self) {
            try graph.speculativeRounds(
                1, entropy: entropy, draftEntropy: entropy, prefix: entropy, state: state, EntropyTracker())
        }
    }
}
