import TestSupport
import Testing

@testable import DriftAR

@Suite struct EpochsTests {
    @Test func stepsOfAnEpoch() throws {
        var configuration = Configuration()
        (configuration.run.samplesPerLabel, configuration.loss.positives) = (16, 64)
        // 10 labels x 64 positives a step.
        #expect(configuration.imagesPerStep == 640)
        #expect(try configuration.steps(inEpochs: 1, imageCount: 1280) == 2)
        #expect(try configuration.steps(inEpochs: 1, imageCount: 1281) == 3)
        #expect(try configuration.steps(inEpochs: 0.5, imageCount: 1280) == 1)
        #expect(try configuration.steps(inEpochs: 0, imageCount: 1280) == 0)
        configuration.run.accumulate = 2
        #expect(try configuration.steps(inEpochs: 3, imageCount: 1280) == 3)
        // The reference's groups: one real image for each generated one.
        (configuration.loss.groups, configuration.run.labelsPerStep) = (.tokens, 4)
        #expect(configuration.imagesPerStep == 128)
        for wrong in [-1, Double.nan, .infinity, 1e300] {
            #expect(errorText { _ = try configuration.steps(inEpochs: wrong, imageCount: 1280) }?.contains("epochs") == true)
        }
    }

    @Test func evaluationsFitTheHost() {
        var configuration = Configuration()
        (configuration.data.classes, configuration.run.onlineEvalImages) = (1000, 1_000_000)
        #expect(errorText { try configuration.validate() } == nil)
        configuration.run.onlineEval = 1
        #expect(errorText { try configuration.validate() }?.contains("online-eval-images") == true)
    }

    @Test func rateFor256Images() {
        var configuration = Configuration()
        (configuration.run.samplesPerLabel, configuration.run.accumulate) = (16, 4)
        #expect(configuration.effectiveBatch == 640)
        #expect(abs(configuration.learningRate(per256Images: 1e-3) - 2.5e-3) < 1e-15)
    }
}
