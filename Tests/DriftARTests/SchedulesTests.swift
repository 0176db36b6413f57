import Testing

@testable import DriftAR

@Suite struct SchedulesTests {
    private func rate(_ kind: OptimizerSettings.Schedule, warmup: Double = 10) -> LearningRate {
        LearningRate(peak: 2, minimum: 1, warmup: warmup, total: 110, kind: kind, decayFraction: 0.5)
    }

    @Test func warmup() {
        for kind in OptimizerSettings.Schedule.allCases {
            #expect(rate(kind)(0) == 0)
            #expect(rate(kind)(5) == 1)
            #expect(rate(kind)(10) == 2)
            #expect(rate(kind, warmup: 0)(0) == 2)
        }
    }

    @Test func decay() {
        #expect(rate(.constant)(110) == 2)
        #expect(abs(rate(.cosine)(60) - 1.5) < 1e-12)
        #expect(abs(rate(.cosine)(110) - 1) < 1e-12)
        #expect(rate(.linear)(55) == 2)
        #expect(abs(rate(.linear)(82.5) - 1.5) < 1e-12)
        #expect(rate(.linear)(110) == 1)
        // No room for a decay.
        #expect(LearningRate(peak: 2, minimum: 1, warmup: 9, total: 9, kind: .cosine)(9) == 2)
    }

    @Test func phases() {
        let phases = PhaseSchedule(alpha0: 0.9, freezeFraction: 0.5, total: 20)
        #expect(phases.alpha(0) == 0.9)
        #expect(abs(phases.alpha(5) - 0.45) < 1e-12)
        #expect(phases.alpha(10) == 0 && phases.alpha(11) == 0)
        #expect(!phases.isSecondPhase(10) && phases.isSecondPhase(11))
        let second = PhaseSchedule(alpha0: 0.9, freezeFraction: 0, total: 20)
        #expect(second.isSecondPhase(0) && second.alpha(0) == 0)
    }
}
