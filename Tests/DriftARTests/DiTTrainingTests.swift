import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

@Suite struct DiTTrainingTests {
    private func draw(_ configuration: Configuration, step: Int) throws -> StepPlan {
        let data = try TinyRun.data()
        return try StepPlan(configuration, configuration.makeGenerator().needs, data.index, ImageSet.Augmentation(), step: step)
    }

    /// Density strength^-3: half of the strengths up to 3 lie below 1.34; a dropped label has none.
    @Test func strengthsAreDrawnForEachLabel() throws {
        var configuration = TinyRun.dit.configuration
        configuration.run.labelDrop = 0.3
        let draws = try (0..<600).map { try draw(configuration, step: $0) }
        let kept = draws.flatMap { draw in zip(draw.strengths, draw.drops).filter { !$0.1 }.map(\.0) }
        let dropped = draws.flatMap { draw in zip(draw.strengths, draw.drops).filter(\.1).map(\.0) }
        #expect(kept.allSatisfy { $0 >= 1 && $0 <= 3 } && dropped.allSatisfy { $0 == 1 } && dropped.count > 200)
        let median = 1 / (1 - 0.5 * (1 - 1 / Float(9))).squareRoot()
        let below = Float(kept.filter { $0 < median }.count) / Float(kept.count)
        #expect(abs(below - 0.5) < 0.05)
        #expect(try draw(configuration, step: 5).strengths == draws[5].strengths)
        #expect(Set(draws.map { $0.strengths[0] }).count > 100)
    }

    @Test func unconditionalImagesComeFromEveryClass() throws {
        var configuration = TinyRun.dit.configuration
        configuration.run.labelDrop = 0
        let index = try TinyRun.data().index
        let (labels, positives, extra) = (3, configuration.loss.positives, configuration.loss.negatives)
        var classes: Set<Int> = []
        for step in 0..<40 {
            let draw = try draw(configuration, step: step)
            #expect(draw.images.count == labels * (positives + extra))
            #expect(try draw.images.count == StepPlan.imageCount(configuration.makeGenerator().needs, labels: labels))
            for (position, image) in draw.images.enumerated() {
                let label = try #require(index.members.firstIndex { $0.contains(image.index) })
                if position < labels * positives {
                    #expect(label == draw.labels[position / positives])
                } else {
                    classes.insert(label)
                }
            }
        }
        #expect(classes.count == 10)
    }

    /// Together they weigh (strength - 1) times the other samples of the group.
    @Test func weightsFollowTheStrength() throws {
        let configuration = TinyRun.dit.configuration
        let draw = try draw(configuration, step: 3)
        let weights = DiTHead.weights(draw.strengths, group: configuration.run.samplesPerLabel, negatives: configuration.loss.negatives)
        #expect(weights.count == 3 * 4)
        for (label, strength) in draw.strengths.enumerated() {
            let sum = weights[(label * 4)..<((label + 1) * 4)].reduce(0, +)
            #expect(abs(sum - (strength - 1) * 2) < 1e-5)
        }
    }

    /// After some steps the generated images of two classes differ in the direction in which the real ones differ.
    @Test func learnsClasses() throws {
        try TestDevice.with(.cpu16) { device in
            var configuration = TinyRun.dit.configuration
            (configuration.run.steps, configuration.run.labelsPerStep, configuration.run.samplesPerLabel) = (300, 0, 8)
            (configuration.network.embed, configuration.loss.positives, configuration.optimizer.learningRate) = (32, 16, 4e-3)
            (configuration.run.labelDrop, configuration.data.classes) = (0, 10)
            let data = try TinyRun.data()
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            let trainer = try Trainer(configuration, state: state, data: data)
            for _ in 0..<configuration.run.steps { try trainer.advance() }
            let tokens = try Sampler(state.model, memory: state.memory, weights: "parameters")
                .tokens(labels: [0, 1], perLabel: 20, seed: 2)
            let size = state.model.tokens * state.model.tokenWidth
            func mean(_ label: Int) -> [Float] {
                (0..<size).map { k in (0..<20).reduce(0) { $0 + tokens[(label * 20 + $1) * size + k] } / 20 }
            }
            let generated = zip(mean(0), mean(1)).map { $0 - $1 }
            // As tokens, like the samples: patches of 2 x 2 pixels.
            func realMean(_ label: Int) -> [Float] {
                let members = data.index.members[label]
                return (0..<size).map { k in
                    let (token, within) = (k / 4, k % 4)
                    let pixel = (token / 4 * 2 + within / 2) * 8 + token % 4 * 2 + within % 2
                    return members.reduce(0) { $0 + data.images[$1 * size + pixel] } / Float(members.count)
                }
            }
            let real = zip(realMean(0), realMean(1)).map { $0 - $1 }
            func dot(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
            let cosine = dot(generated, real) / (dot(generated, generated) * dot(real, real)).squareRoot()
            #expect(cosine > 0.7, "\(cosine)")
        }
    }

    @Test func settingsThatDoNotGoTogetherAreRefused() {
        func message(_ change: (inout Configuration) -> Void) -> String? {
            var configuration = TinyRun.dit.configuration
            change(&configuration)
            return errorText { try configuration.validate() }
        }
        #expect(message { _ in } == nil)
        #expect(message { $0.loss.groups = .tokens }?.contains("drift-groups") == true)
        #expect(message { $0.loss.features = .both }?.contains("features") == true)
        #expect(message { $0.network.dropout = 0.1 }?.contains("dropout") == true)
        #expect(message { $0.loss.negatives = 0 }?.contains("--negatives") == true)
        #expect(message { $0.head.dit?.guidanceMax = 0.5 }?.contains("guidance-max") == true)
        #expect(message { ($0.network.embed, $0.network.heads) = (15, 5) }?.contains("rope") == true)
        #expect(message { $0.stage = StageSettings(LabelStageSettings()) }?.contains("take the stage none, or the head decoder") == true)
        #expect(message { $0.head = HeadSettings(DecoderHeadSettings()) }?.contains("take the stage label, or the head autoencoder or dit") == true)
    }

    @Test(arguments: Configuration.DiTSize.allCases) func sizesAreDiTs(_ size: Configuration.DiTSize) throws {
        var configuration = TinyRun.dit.configuration
        configuration.adopt(size)
        try configuration.validate()
        #expect(configuration.network.embed / configuration.network.heads == 64 && configuration.head.depth == 12)
    }

    @Test func presetsAreValid() throws {
        for name in ["digits-drift", "mnist-drift"] {
            let preset = try Configuration.preset(name)
            try preset.validate()
            #expect(preset.generatorName == "none x dit" && preset.preset == name)
        }
        #expect(Configuration.carriesData("digits-drift") && !Configuration.carriesData("mnist-drift"))
    }
}
