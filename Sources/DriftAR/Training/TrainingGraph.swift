import DriftGPU

/// The graph of one training step of Drift-AR in one phase: forward, losses, gradients, AdamW and EMA. Where gradients are
/// accumulated it is the graph of one part of a step, which ends with their mean; `AccumulatedStep` does the rest.
///
/// Images of a label stand together: with L labels and G images each, image b has label b / G.
public struct TrainingGraph {
    public let graph: Graph
    /// [L] (or [L G] when every image is encoded) int32.
    public let labels: Tensor
    /// [L] or [L G]; an entry below the drop probability trains the unconditional embedding instead of the label's.
    public let dropUniform: Tensor
    /// Rows of the data set in use: [L P] int32 in `samples` groups (P images each label is drawn to), [L G] in `tokens`.
    public let indices: Tensor
    public let clock: Tensor
    public let learningRate: Tensor
    public let alpha: Tensor
    /// [1], 0 while the ring of generated features is empty; only with extra negatives.
    public let negativeWeight: Tensor?
    /// [1], 1 in the first part of a step; only where gradients are accumulated.
    public let restart: Tensor?
    public let losses: Losses

    /// What is logged, each [1] unless said otherwise.
    public struct Losses {
        public let drift: Tensor
        public let regression: Tensor?
        public let entropy: Tensor?
        public let total: Tensor
        /// Mean distance: how far apart generated and real features are, in the features' unit.
        public let driftScale: Tensor
        /// Mean squared force for each radius, before normalisation [radii]: what converges.
        public let driftForce: Tensor
        public let meanEntropy: Tensor
        /// Norm, clip coefficient, 1 when applied [3]; nil where the update is a graph of its own.
        public let norm: Tensor?
        /// Generated tokens [L G, R, C].
        public let generated: Tensor

        /// What is logged of the forward pass, in the order it is read: total, drift, regression, entropy, force, scale, mean
        /// entropy, without those the phase does not have.
        var logged: [Tensor] {
            [total, drift, regression, entropy, driftForce, driftScale, meanEntropy].compactMap { $0 }
        }
    }

    /// Storages of a training run besides the flat parameter buffers.
    public static let counters = Storage("counters", count: 2, element: .uint32)
    public static let clockStorage = Storage("clock", count: 4, element: .uint32)

    /// Storage of the images [count, values] the run trains on.
    public static func imageStorage(count: Int, values: Int) -> Storage { Storage("images", count: count * values) }

    /// - Parameters:
    ///   - imageCount: rows of the image storage, of which a step's indices choose.
    ///   - form: what a row holds.
    public init(
        _ model: DriftARModel, _ configuration: Configuration, imageCount: Int, form: ImageForm = .pixels, isSecondPhase: Bool
    ) throws {
        let graph = Graph()
        self.graph = graph
        let shape = model.shape
        let scope = ParameterScope(graph, model.layout)
        let (labelCount, group) = (configuration.labelsInStep, configuration.samplesPerLabel)
        let batch = labelCount * group
        let encoded = configuration.encodeOnce ? labelCount : batch
        let isSamples = configuration.groups == .samples

        labels = try graph.input("labels", [encoded], .int32)
        dropUniform = try graph.input("label_drop", [encoded])
        clock = try graph.stored([4], in: Self.clockStorage)
        learningRate = try graph.input("learning_rate", [1])
        alpha = try graph.input("alpha", [1])
        let realCount = isSamples ? labelCount * configuration.positives : batch
        indices = try graph.input("image_indices", [realCount], .int32)
        let chosen = try Self.realImages(graph, configuration, imageCount: imageCount, form: form, indices: indices, clock: clock)
        let real = try graph.patchify(chosen, patch: configuration.patch)

        // Phase II runs the frozen encoder in evaluation mode. Which labels are dropped stays a property of the data: the
        // decoder must go on learning the unconditional image, or guidance would drift away from it.
        let dropout = configuration.dropout > 0 ? Dropout(probability: configuration.dropout, clock: clock) : nil
        let embedding = try model.embed(
            labels, dropUniform: configuration.labelDrop > 0 ? dropUniform : nil,
            dropProbability: configuration.labelDrop, scope)
        var (z, entropy) = try model.encode(embedding, scope, dropout: isSecondPhase ? nil : dropout)
        var prior = try scope.linear(z, "enc_to_token_proj")
        if isSecondPhase {
            z = try graph.detach(z)
            entropy = try graph.detach(entropy)
            prior = try graph.detach(prior)
        }
        let noise = try graph.randomNormal([batch, shape.tokens, shape.tokenWidth], clock: clock)
        let generated = try model.generate(
            token: prior, z: z, entropy: entropy, noise: noise, scope, dropout: dropout)

        let affinity = DriftAffinity(temperatures: configuration.radii)
        var terms: [DriftLoss] = []
        var negativeWeight: Tensor?
        if isSamples {
            if configuration.features != .phi {
                let size = shape.tokens * shape.tokenWidth
                terms.append(
                    try graph.driftLoss(
                        graph.reshape(generated, [labelCount, group, size]),
                        targets: DriftTargets(
                            positive: graph.reshape(real, [labelCount, configuration.positives, size])),
                        affinity: affinity))
            }
            if configuration.features != .pixels {
                func perLocation(_ tokens: Tensor, _ count: Int) throws -> Tensor {
                    let features = try graph.reshape(
                        model.features(tokens, scope), [labelCount, count, shape.tokens, shape.embed])
                    return try graph.reshape(
                        graph.permute(features, axis: 1), [labelCount * shape.tokens, count, shape.embed])
                }
                terms.append(
                    try graph.driftLoss(
                        perLocation(generated, group),
                        targets: DriftTargets(positive: perLocation(real, configuration.positives)),
                        affinity: affinity))
            }
        } else {
            let term = try Self.tokenGroups(
                model, configuration, scope, clock: clock, generated: generated, real: real, labels: labels,
                affinity: affinity)
            terms.append(term.loss)
            negativeWeight = term.negativeWeight
        }
        self.negativeWeight = negativeWeight
        guard let first = terms.first else { throw GraphError("training: no drift loss") }
        var drift = first.loss
        for term in terms.dropFirst() { drift = try graph.add(drift, term.loss) }

        var total = drift
        var (regression, entropyLoss): (Tensor?, Tensor?) = (nil, nil)
        if !isSecondPhase {
            let reg = try model.draftLoss(z: z, shift: configuration.draftShift, scope, dropout: dropout)
            // E_1 is 0, so the mean over all positions is the sum from 2 on over R.
            let ent = try graph.scale(graph.mean(entropy), by: -1)
            total = try graph.add(
                graph.scale(graph.add(reg, ent), by: alpha),
                graph.scale(drift, by: alpha, factor: -1, offset: 1))
            (regression, entropyLoss) = (reg, ent)
        }

        let trained = model.trained(isSecondPhase: isSecondPhase)
        let gradients = try graph.gradients(
            of: total, withRespectTo: trained.map { try scope.parameter($0.name) },
            recomputing: configuration.gradCheckpointing)
        let flat = model.layout.storage("gradients")
        for (entry, gradient) in zip(trained, gradients) {
            if let gradient { try graph.place(gradient, in: flat, at: entry.offset) }
        }
        let meanEntropy = try graph.mean(entropy)
        let isAccumulated = configuration.accumulate > 1
        restart = isAccumulated ? try graph.input("restart", [1]) : nil
        losses = Losses(
            drift: drift, regression: regression, entropy: entropyLoss, total: total, driftScale: first.scale,
            driftForce: first.squaredForce, meanEntropy: meanEntropy,
            norm: isAccumulated
                ? nil
                : try Self.optimize(
                    graph, model, configuration, active: Set(trained.map(\.name)), loss: total,
                    learningRate: learningRate, flagsName: Self.flagsName(isSecondPhase: isSecondPhase)),
            generated: generated)
        if let restart {
            try AccumulatedStep.add(
                to: graph, gradients: graph.stored([model.layout.count], in: flat), losses: losses, model.layout,
                configuration, restart: restart)
        }
        for tensor in losses.logged + [losses.norm, generated].compactMap({ $0 }) { graph.output(tensor) }
    }

    /// The images that `indices` choose [n, C, H, W]; of moments, a new draw from their distribution at every step.
    private static func realImages(
        _ graph: Graph, _ configuration: Configuration, imageCount: Int, form: ImageForm, indices: Tensor, clock: Tensor
    ) throws -> Tensor {
        let shape = [indices.count, configuration.channels, configuration.height, configuration.width]
        let values = configuration.channels * configuration.height * configuration.width * (form == .pixels ? 1 : 2)
        let images = try graph.stored([imageCount, values], in: imageStorage(count: imageCount, values: values))
        let chosen = try graph.embedding(images, labels: indices)
        guard case .moments(let scale) = form else { return try graph.reshape(chosen, shape) }
        return try graph.posterior(moments: chosen, eps: graph.randomNormal(shape, clock: clock), factor: scale)
    }

    /// Name of the constant that says which blocks a phase trains.
    static func flagsName(isSecondPhase: Bool) -> String { isSecondPhase ? "flags_phase2" : "flags_phase1" }

    /// AdamW with clipping and EMA over the flat storages. Returns [3]: norm, clip coefficient, 1 when applied.
    package static func optimize(
        _ graph: Graph, _ model: DriftARModel, _ configuration: Configuration, active: Set<String>, loss: Tensor,
        learningRate: Tensor, flagsName: String, gradients: String = "gradients"
    ) throws -> Tensor {
        let layout = model.layout
        func flat(_ name: String) throws -> Tensor { try graph.stored([layout.count], in: layout.storage(name)) }
        let flags = layout.flags { active.contains($0.name) }
        var settings = AdamW()
        settings.beta1 = configuration.beta1
        settings.beta2 = configuration.beta2
        settings.epsilon = configuration.adamEpsilon
        settings.weightDecay = configuration.weightDecay
        settings.maxNorm = configuration.clip
        settings.averageDecay = configuration.ema
        return try graph.step(
            settings,
            AdamW.State(
                parameters: flat("parameters"), gradient: flat(gradients), firstMoment: flat("moment1"),
                secondMoment: flat("moment2"), average: flat("ema"),
                flags: graph.constant(flagsName, flags, [flags.count]),
                counters: graph.stored([2], in: counters), learningRate: learningRate),
            loss: loss)
    }

    /// The reference's groups: the R tokens of an image against phi of real images of its label, from the class's ring, and,
    /// when asked for, against phi of images generated earlier.
    private static func tokenGroups(
        _ model: DriftARModel, _ configuration: Configuration, _ scope: ParameterScope, clock: Tensor, generated: Tensor,
        real: Tensor, labels: Tensor, affinity: DriftAffinity
    ) throws -> (loss: DriftLoss, negativeWeight: Tensor?) {
        let graph = scope.graph
        let batch = generated.shape[0]
        let (tokens, embed) = (model.shape.tokens, model.shape.embed)
        let imageLabels = labels.count == batch ? labels : try graph.input("image_labels", [batch], .int32)
        let holdsTokens = configuration.bankContents == .tokens
        let bank = try MemoryBank(
            graph, name: "positive_bank", classes: configuration.classes, capacity: configuration.positiveBank,
            entry: [tokens, holdsTokens ? model.shape.tokenWidth : embed])
        func features(ofReal tokens: Tensor) throws -> Tensor { try graph.detach(model.features(tokens, scope)) }
        try graph.add(holdsTokens ? real : features(ofReal: real), labels: imageLabels, to: bank)
        var drawn = try graph.draw(configuration.positives, labels: imageLabels, from: bank, clock: clock)
        if holdsTokens {
            drawn = try features(
                ofReal: graph.reshape(drawn, [batch * configuration.positives, tokens, model.shape.tokenWidth]))
        }
        let positives = try graph.reshape(drawn, [batch, configuration.positives * tokens, embed])
        let features = try model.features(generated, scope)
        guard configuration.negatives > 0 else {
            return (
                try graph.driftLoss(features, targets: DriftTargets(positive: positives), affinity: affinity), nil
            )
        }
        let ring = try MemoryBank(
            graph, name: "negative_bank", classes: 1, capacity: configuration.negativeBank, entry: [tokens, embed])
        let zeros = try graph.constant("ring_labels", [Int32](repeating: 0, count: batch), [batch])
        let count = configuration.negatives * tokens
        let negatives = try graph.reshape(
            graph.draw(configuration.negatives, labels: zeros, from: ring, clock: clock), [batch, count, embed])
        let weight = try graph.input("negative_weight", [1])
        func ones(_ shape: [Int]) throws -> Tensor { try graph.fill(shape, with: 1) }
        let weights = DriftTargets.Weights(
            gen: try ones([batch, tokens]), negative: try graph.scale(ones([batch, count]), by: weight),
            positive: try ones([batch, configuration.positives * tokens]))
        let loss = try graph.driftLoss(
            features, targets: DriftTargets(positive: positives, negative: negatives, weights: weights),
            affinity: affinity)
        try graph.add(graph.detach(features), labels: zeros, to: ring)
        return (loss, weight)
    }
}
