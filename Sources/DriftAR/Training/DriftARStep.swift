import DriftGPU

extension DriftARModel: ImageModel {
    public var classes: Int { shape.classes }
    public var tokens: Int { shape.tokens }
    public var tokenWidth: Int { shape.tokenWidth }

    /// Encoder, prior, decoder and draft with their losses, in one of the two phases.
    public func forward(_ step: StepInputs, _ scope: ParameterScope, _ configuration: Configuration) throws -> StepLosses {
        let graph = scope.graph
        let (labelCount, group) = (configuration.labelsInStep, configuration.samplesPerLabel)
        // Phase II runs the frozen encoder in evaluation mode. Which labels are dropped stays a property of the data: the
        // decoder must go on learning the unconditional image, or guidance would drift away from it.
        let dropout = configuration.dropout > 0 ? Dropout(probability: configuration.dropout, clock: step.clock) : nil
        let embedding = try embed(
            step.labels, dropUniform: configuration.labelDrop > 0 ? step.dropUniform : nil,
            dropProbability: configuration.labelDrop, scope)
        var (z, entropy) = try encode(embedding, scope, dropout: step.isSecondPhase ? nil : dropout)
        var prior = try scope.linear(z, "enc_to_token_proj")
        if step.isSecondPhase {
            z = try graph.detach(z)
            entropy = try graph.detach(entropy)
            prior = try graph.detach(prior)
        }
        let noise = try graph.randomNormal([labelCount * group, shape.tokens, shape.tokenWidth], clock: step.clock)
        let generated = try generate(
            token: prior, z: z, entropy: entropy, noise: noise, scope, dropout: dropout)

        let affinity = DriftAffinity(temperatures: configuration.radii)
        var terms: [DriftLoss] = []
        var (negativeWeight, imageLabels): (Tensor?, Tensor?)
        if configuration.groups == .samples {
            if configuration.features != .phi {
                let size = shape.tokens * shape.tokenWidth
                terms.append(
                    try graph.driftLoss(
                        graph.reshape(generated, [labelCount, group, size]),
                        targets: DriftTargets(
                            positive: graph.reshape(step.real, [labelCount, configuration.positives, size])),
                        affinity: affinity))
            }
            if configuration.features != .pixels {
                func perLocation(_ tokens: Tensor, _ count: Int) throws -> Tensor {
                    let features = try graph.reshape(
                        self.features(tokens, scope), [labelCount, count, shape.tokens, shape.embed])
                    return try graph.reshape(
                        graph.permute(features, axis: 1), [labelCount * shape.tokens, count, shape.embed])
                }
                terms.append(
                    try graph.driftLoss(
                        perLocation(generated, group),
                        targets: DriftTargets(positive: perLocation(step.real, configuration.positives)),
                        affinity: affinity))
            }
        } else {
            let term = try tokenGroups(step, configuration, scope, generated: generated, affinity: affinity)
            terms.append(term.loss)
            (negativeWeight, imageLabels) = (term.negativeWeight, term.imageLabels)
        }
        guard let first = terms.first else { throw GraphError("training: no drift loss") }
        var drift = first.loss
        for term in terms.dropFirst() { drift = try graph.add(drift, term.loss) }

        var total = drift
        var (regression, entropyLoss): (Tensor?, Tensor?) = (nil, nil)
        if !step.isSecondPhase {
            let reg = try draftLoss(z: z, shift: configuration.draftShift, scope, dropout: dropout)
            // E_1 is 0, so the mean over all positions is the sum from 2 on over R.
            let ent = try graph.scale(graph.mean(entropy), by: -1)
            total = try graph.add(
                graph.scale(graph.add(reg, ent), by: step.alpha),
                graph.scale(drift, by: step.alpha, factor: -1, offset: 1))
            (regression, entropyLoss) = (reg, ent)
        }
        let shown = [LossTerm("drift", drift)]
            + [regression.map { LossTerm("regression", $0) }, entropyLoss.map { LossTerm("entropy_loss", $0) }].compactMap { $0 }
            + LossTerm.watching(first, configuration.radii) + [LossTerm("entropy", try graph.mean(entropy))]
        return StepLosses(
            total: total, terms: shown, usesAlpha: true, generated: generated, negativeWeight: negativeWeight,
            imageLabels: imageLabels)
    }

    /// The reference's groups: the R tokens of an image against phi of real images of its label, from the class's ring, and,
    /// when asked for, against phi of images generated earlier.
    private func tokenGroups(
        _ step: StepInputs, _ configuration: Configuration, _ scope: ParameterScope, generated: Tensor,
        affinity: DriftAffinity
    ) throws -> (loss: DriftLoss, negativeWeight: Tensor?, imageLabels: Tensor?) {
        let graph = scope.graph
        let batch = generated.shape[0]
        let (tokens, embed) = (shape.tokens, shape.embed)
        let given = step.labels.count == batch ? nil : try graph.input([batch], .int32, block: TrainingGraph.inputBlock)
        let imageLabels = given ?? step.labels
        let holdsTokens = configuration.bankContents == .tokens
        let bank = try MemoryBank(
            graph, name: "positive_bank", classes: configuration.classes, capacity: configuration.positiveBank,
            entry: [tokens, holdsTokens ? shape.tokenWidth : embed])
        func features(ofReal tokens: Tensor) throws -> Tensor { try graph.detach(self.features(tokens, scope)) }
        try graph.add(holdsTokens ? step.real : features(ofReal: step.real), labels: imageLabels, to: bank)
        var drawn = try graph.draw(configuration.positives, labels: imageLabels, from: bank, clock: step.clock)
        if holdsTokens {
            drawn = try features(
                ofReal: graph.reshape(drawn, [batch * configuration.positives, tokens, shape.tokenWidth]))
        }
        let positives = try graph.reshape(drawn, [batch, configuration.positives * tokens, embed])
        let features = try self.features(generated, scope)
        guard configuration.negatives > 0 else {
            return (
                try graph.driftLoss(features, targets: DriftTargets(positive: positives), affinity: affinity), nil, given
            )
        }
        let ring = try MemoryBank(
            graph, name: "negative_bank", classes: 1, capacity: configuration.negativeBank, entry: [tokens, embed])
        let zeros = try graph.constant("ring_labels", [Int32](repeating: 0, count: batch), [batch])
        let count = configuration.negatives * tokens
        let negatives = try graph.reshape(
            graph.draw(configuration.negatives, labels: zeros, from: ring, clock: step.clock), [batch, count, embed])
        let weight = try graph.input([1], block: TrainingGraph.inputBlock)
        func ones(_ shape: [Int]) throws -> Tensor { try graph.fill(shape, with: 1) }
        let weights = DriftTargets.Weights(
            gen: try ones([batch, tokens]), negative: try graph.scale(ones([batch, count]), by: weight),
            positive: try ones([batch, configuration.positives * tokens]))
        let loss = try graph.driftLoss(
            features, targets: DriftTargets(positive: positives, negative: negatives, weights: weights),
            affinity: affinity)
        try graph.add(graph.detach(features), labels: zeros, to: ring)
        return (loss, weight, given)
    }
}
