import Testing

@testable import DriftBench

@Suite struct TimingTests {
    @Test func quantiles() {
        let timing = Timing([5, 1, 3, 2, 4])
        #expect(timing.median == 3 && timing.minimum == 1 && timing.repetitions == 5)
        #expect(timing.lowerQuartile == 2 && timing.upperQuartile == 4)
        #expect(abs(timing.spread - 2.0 / 3) < 1e-12)
        #expect(Timing([1, 2]).median == 1.5)
        #expect(Timing([]).median == 0 && Timing([]).spread == 0)
    }

    @Test func patienceBoundsRepetitions() {
        var count = 0.0
        func next() -> Double {
            count += 1
            return count
        }
        #expect(Timing(repetitions: 7, next).repetitions == 7)
        #expect(Timing(repetitions: 7, patience: 0, next) == Timing([8, 9, 10]))
        #expect(Timing(repetitions: 2, patience: 0, next).repetitions == 2)
    }
}
