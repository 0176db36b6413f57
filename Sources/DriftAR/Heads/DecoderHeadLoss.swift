import DriftGPU

extension DecoderHead {
    private var loss: LossSettings { training.loss }

    /// In `samples` groups a label takes the positives of its group; in `tokens` groups an image takes one image for the ring.
    package var needs: StepNeeds {
        loss.groups == .samples
            ? StepNeeds(imagesPerLabel: loss.positives, dropsImages: true) : StepNeeds(imagesPerLabel: training.samplesPerLabel)
    }

    /// Prior, decoder and the drift loss.
    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let (z, entropy) = try condition.encoded()
        var prior = try scope.linear(z, "enc_to_token_proj")
        if step.isSecondPhase { prior = try graph.detach(prior) }
        let images = step.labelCount * training.samplesPerLabel
        let noise = try graph.randomNormal([images, shape.tokens, shape.tokenWidth], clock: step.clock)
        let generated = try generate(token: prior, z: z, entropy: entropy, noise: noise, scope, dropout: step.dropout(training.dropout))
        var made =
            loss.groups == .samples
            ? try sampleGroups(step, scope, generated: generated) : try tokenGroups(step, scope, generated: generated)
        made.step.losses = [LossTerm("drift", try graph.sum(made.terms))]
        // Of several losses the pixels' is the one to watch.
        made.step.watched = LossTerm.watching(made.terms[0], loss.radii)
        return made.step
    }

    /// Groups of the samples of a label, compared as whole images, by phi of each location, and by what a feature encoder makes of them.
    private func sampleGroups(
        _ step: StepInputs, _ scope: ParameterScope, generated: Tensor
    ) throws -> (terms: [DriftLoss], step: HeadStep) {
        let graph = scope.graph
        let labels = step.labelCount
        let affinity = DriftAffinity(temperatures: loss.radii)
        var compared = try graph.compared(generated, step.real, training.encoder, images: loss.features != .phi)
        if loss.features.havePhi { compared.append(try (phi(generated, scope), phi(step.real, scope))) }
        let terms = try compared.map { generated, real in
            let targets = DriftTargets(positive: try graph.groups(of: real, labels: labels))
            return try graph.driftLoss(graph.groups(of: generated, labels: labels), targets: targets, affinity: affinity)
        }
        return (terms, HeadStep(losses: [], generated: generated))
    }

    /// The reference's groups: the R tokens of an image against phi of real images of its label, from the class's ring, and,
    /// when asked for, against phi of images generated earlier.
    private func tokenGroups(
        _ step: StepInputs, _ scope: ParameterScope, generated: Tensor
    ) throws -> (terms: [DriftLoss], step: HeadStep) {
        let graph = scope.graph
        let batch = generated.shape[0]
        let (tokens, embed) = (shape.tokens, shape.embed)
        let affinity = DriftAffinity(temperatures: loss.radii)
        var result = HeadStep(losses: [], generated: generated)
        var imageLabels = step.labels
        if imageLabels.count != batch {
            imageLabels = try graph.input([batch], .int32, block: StepInputs.block)
            let copies = training.samplesPerLabel
            result.inputs.append(StepInput(tensor: imageLabels) { draw in
                .ints(draw.labels.flatMap { Array(repeating: Int32($0), count: copies) })
            })
        }
        let holdsTokens = loss.bankContents == .tokens
        let bank = try MemoryBank(
            graph, name: "positive_bank", classes: training.classes, capacity: loss.positiveBank,
            entry: [tokens, holdsTokens ? shape.tokenWidth : embed])
        func features(ofReal tokens: Tensor) throws -> Tensor { try graph.detach(phi(tokens, scope)) }
        try graph.add(holdsTokens ? step.real : features(ofReal: step.real), labels: imageLabels, to: bank)
        var drawn = try graph.draw(loss.positives, labels: imageLabels, from: bank, clock: step.clock)
        if holdsTokens {
            drawn = try features(ofReal: graph.reshape(drawn, [batch * loss.positives, tokens, shape.tokenWidth]))
        }
        let positives = try graph.reshape(drawn, [batch, loss.positives * tokens, embed])
        let features = try phi(generated, scope)
        guard loss.negatives > 0 else {
            return ([try graph.driftLoss(features, targets: DriftTargets(positive: positives), affinity: affinity)], result)
        }
        let ring = try MemoryBank(
            graph, name: "negative_bank", classes: 1, capacity: loss.negativeBank, entry: [tokens, embed])
        let zeros = try graph.constant("ring_labels", [Int32](repeating: 0, count: batch), [batch])
        let count = loss.negatives * tokens
        let negatives = try graph.reshape(
            graph.draw(loss.negatives, labels: zeros, from: ring, clock: step.clock), [batch, count, embed])
        // 0 while the ring is empty.
        let weight = try graph.input([1], block: StepInputs.block)
        result.inputs.append(StepInput(tensor: weight) { draw in .floats([draw.isFirst ? 0 : 1]) })
        func ones(_ shape: [Int]) throws -> Tensor { try graph.fill(shape, with: 1) }
        let weights = DriftTargets.Weights(
            gen: try ones([batch, tokens]), negative: try graph.scale(ones([batch, count]), by: weight),
            positive: try ones([batch, loss.positives * tokens]))
        let term = try graph.driftLoss(
            features, targets: DriftTargets(positive: positives, negative: negatives, weights: weights), affinity: affinity)
        try graph.add(graph.detach(features), labels: zeros, to: ring)
        return ([term], result)
    }
}
