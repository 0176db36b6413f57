import DriftGPU

extension DiTModel: ImageModel {
    public var classes: Int { shape.classes }
    public var tokens: Int { shape.tokens }
    public var tokenWidth: Int { shape.tokenWidth }

    /// The last row of the embedding is the unconditional image's.
    public func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(isDropped ? classes : label) }

    public func trained(isSecondPhase: Bool) -> [ParameterLayout.Entry] { layout.entries }

    /// Images of a label drift towards real images of it, and away from each other and, where guidance is trained, from real
    /// images of any class. Those stand for (strength - 1) / N of the other samples each, so that the images settle where
    /// strength * p(image | label) - (strength - 1) * p(image) is matched.
    public func forward(_ step: StepInputs, _ scope: ParameterScope, _ configuration: Configuration) throws -> StepLosses {
        let graph = scope.graph
        let (labels, group) = (configuration.labelsInStep, configuration.samplesPerLabel)
        let (positives, negatives) = (configuration.positives, configuration.unconditionalImages)
        let size = tokens * tokenWidth
        let features = try graph.input([labels, GuidanceFeatures.count], block: TrainingGraph.inputBlock)
        let noise = try graph.randomNormal([labels * group, tokens, tokenWidth], clock: step.clock)
        let generated = try self(
            noise: noise, labels: step.labels, guidance: features, scope)

        func points(_ x: Tensor, _ range: Range<Int>) throws -> Tensor {
            try graph.reshape(graph.slice(x, axis: 0, range), [labels, range.count / labels, size])
        }
        var targets = DriftTargets(positive: try points(step.real, 0..<(labels * positives)))
        var weight: Tensor?
        if negatives > 0 {
            let given = try graph.input([labels, negatives], block: TrainingGraph.inputBlock)
            targets.negative = try points(step.real, (labels * positives)..<(labels * (positives + negatives)))
            targets.weights = DriftTargets.Weights(
                gen: try graph.fill([labels, group], with: 1), negative: given,
                positive: try graph.fill([labels, positives], with: 1))
            weight = given
        }
        let loss = try graph.driftLoss(
            graph.reshape(generated, [labels, group, size]), targets: targets,
            affinity: .drifting(temperatures: configuration.radii))
        return StepLosses(
            total: loss.loss, terms: [LossTerm("drift", loss.loss)] + LossTerm.watching(loss, configuration.radii),
            generated: generated,
            guidance: GuidanceInputs(features: features, weight: weight))
    }
}
