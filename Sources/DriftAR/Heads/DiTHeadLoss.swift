import DriftGPU

extension DiTHead {
    /// N, real images of any class among the negatives of each label.
    private var unconditionalImages: Int { training.loss.negatives }

    package var needs: StepNeeds {
        StepNeeds(
            imagesPerLabel: training.loss.positives, unconditionalImages: unconditionalImages, dropsImages: true,
            largestStrength: training.guidanceMax)
    }

    /// Images of a label drift towards real images of it, and away from each other and, where guidance is trained, from real
    /// images of any class. Those stand for (strength - 1) / N of the other samples each, so that the images settle where
    /// strength * p(image | label) - (strength - 1) * p(image) is matched.
    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let (labels, group) = (step.labelCount, training.samplesPerLabel)
        let (positives, negatives) = (training.loss.positives, unconditionalImages)
        let size = shape.tokens * shape.tokenWidth
        let features = try graph.input([labels, GuidanceFeatures.count], block: StepInputs.block)
        var inputs = [StepInput(tensor: features) { .floats(GuidanceFeatures.values($0.strengths)) }]
        let noise = try graph.randomNormal([labels * group, shape.tokens, shape.tokenWidth], clock: step.clock)
        let generated = try self(noise: noise, labels: condition.chosen(), guidance: features, scope)

        func points(_ x: Tensor, _ range: Range<Int>) throws -> Tensor {
            try graph.reshape(graph.slice(x, axis: 0, range), [labels, range.count / labels, size])
        }
        var targets = DriftTargets(positive: try points(step.real, 0..<(labels * positives)))
        if negatives > 0 {
            let weight = try graph.input([labels, negatives], block: StepInputs.block)
            inputs.append(StepInput(tensor: weight) { .floats(Self.weights($0.strengths, group: group, negatives: negatives)) })
            targets.negative = try points(step.real, (labels * positives)..<(labels * (positives + negatives)))
            targets.weights = DriftTargets.Weights(
                gen: try graph.fill([labels, group], with: 1), negative: weight,
                positive: try graph.fill([labels, positives], with: 1))
        }
        let loss = try graph.driftLoss(
            graph.reshape(generated, [labels, group, size]), targets: targets,
            affinity: .drifting(temperatures: training.loss.radii))
        return HeadStep(
            losses: [LossTerm("drift", loss.loss)], watched: LossTerm.watching(loss, training.loss.radii), generated: generated,
            inputs: inputs)
    }

    /// What each unconditional image weighs among a label's negatives [L, N]: all together as much as (strength - 1) times
    /// the other samples of the group.
    static func weights(_ strengths: [Float], group: Int, negatives: Int) -> [Float] {
        strengths.flatMap { strength in
            [Float](repeating: (strength - 1) * Float(group - 1) / Float(max(negatives, 1)), count: negatives)
        }
    }
}
