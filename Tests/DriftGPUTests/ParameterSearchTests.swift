import Testing

@testable import DriftGPU

@Suite struct ParameterSearchTests {
    @Test(arguments: [CLBlastKernel.direct, .indirect]) func winnersComeFirst(_ kernel: CLBlastKernel) throws {
        // What NVIDIA's GPUs have through OpenCL.
        var search = ParameterSearch(kernel, workGroup: 1024, localMemory: 48 << 10)
        #expect(!kernel.winners.isEmpty)
        var seen: Set<[String: Int]> = []
        for winner in kernel.winners {
            #expect(kernel.accepts(winner, workGroup: 1024, localMemory: 48 << 10), "\(winner)")
            let next = search.next(best: nil)
            #expect(next == winner)
            #expect(seen.insert(winner).inserted)
        }
        for _ in 0..<50 {
            let set = search.next(best: kernel.winners[0])
            let next = try #require(set)
            #expect(kernel.accepts(next, workGroup: 1024, localMemory: 48 << 10) && seen.insert(next).inserted)
        }
    }

    /// A device with smaller groups is not given what it cannot run.
    @Test func winnersThatDoNotFitAreLeftOut() throws {
        var search = ParameterSearch(.indirect, workGroup: 128, localMemory: 16 << 10)
        let winners = CLBlastKernel.indirect.winners
        let fitting = winners.filter { CLBlastKernel.indirect.accepts($0, workGroup: 128, localMemory: 16 << 10) }
        #expect(!fitting.isEmpty && fitting.count < winners.count)
        for winner in fitting {
            let next = search.next(best: nil)
            #expect(next == winner)
        }
        for _ in 0..<20 {
            let next = search.next(best: fitting[0])
            #expect(try CLBlastKernel.indirect.accepts(#require(next), workGroup: 128, localMemory: 16 << 10))
        }
    }

    /// Every other set is near the best.
    @Test func neighboursDifferInOneValueOrTwo() throws {
        var search = ParameterSearch(.direct, workGroup: 1024, localMemory: 48 << 10)
        let best = CLBlastKernel.direct.winners[0]
        for _ in CLBlastKernel.direct.winners { _ = search.next(best: nil) }
        let differences = try (0..<20).map { _ in
            let set = search.next(best: best)
            let next = try #require(set)
            return next.filter { best[$0.key] != $0.value }.count
        }
        #expect(differences.enumerated().filter { $0.offset % 2 == 1 }.allSatisfy { (1...2).contains($0.element) })
    }
}
