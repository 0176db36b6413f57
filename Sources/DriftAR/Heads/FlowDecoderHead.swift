import DriftGPU

/// TransDiff's decoder: a flow of the whole image.
public struct FlowDecoderHeadSettings: HeadKind {
    package static let kind = "flow-decoder"
    package static let stages = ["label", "mrar"]

    /// Blocks.
    public var depth = 3
    /// How often an image is trained in a step, each time with another noise and time.
    public var noises = 4
    /// Steps of a drawing.
    public var steps = 100
    public var sampler = FlowSampler.sde
    /// Factors of a step's movement and of its noise (TransDiff's scale_0 and scale_1) of the sampler `sde`; the last step has neither.
    public var driftScale: Float = 1
    public var noiseScale: Float = 1

    public init() {}

    /// How an image is drawn says nothing of another head's tokens.
    package static var own: Set<String> { ["steps", "sampler"] }

    /// The factors of movement and noise that TransDiff's sizes are drawn with, by width; nil for other sizes.
    static func publishedScales(embed: Int, isMRAR: Bool) -> (drift: Float, noise: Float)? {
        switch embed {
        case 768: (0.87, 0.91)
        case 1024: isMRAR ? (0.925, 0.95) : (0.89, 0.95)
        case 1280: (0.87, isMRAR ? 0.91 : 0.93)
        default: nil
        }
    }

    package func makeHead(_ configuration: Configuration) -> any Head { FlowDecoderHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        try require(depth > 0 && depth <= 256, "decoder-depth \(depth): take 1 to 256")
        try require(noises > 0 && noises <= 256, "head noises \(noises): take 1 to 256")
        try require((2...1000).contains(steps), "head steps \(steps): take 2 to 1000")
        for (name, scale) in [("drift-scale", driftScale), ("noise-scale", noiseScale)] {
            try require(scale >= 0 && scale <= 10, "\(name) \(scale): take 0 to 10")
        }
    }
}

extension HeadSettings {
    /// The settings of TransDiff's decoder; nil where it is another. Setting them makes it the head.
    public var flowDecoder: FlowDecoderHeadSettings? {
        get { own as? FlowDecoderHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The head of TransDiff (arXiv 2506.09482): from noise to the tokens of an image in many steps along a flow, whose velocity a decoder of
/// all tokens gives. Parameters have the names of the reference's state_dict.
package struct FlowDecoderHead: SteppedHead {
    package let decoder: FlowDecoder
    package let steps: Int
    package let keepsVelocity: Bool
    package let declarations: [ParameterDeclaration]
    private let schedule: FlowSchedule
    /// Of the numbers of the steps: what they follow from.
    private let numbersName: String
    /// How often an image is trained in a step.
    private let noises: Int
    /// G, images of a label in a step.
    private let imagesPerLabel: Int
    private let dropout: Float

    /// The times of training: thousandths.
    private static let levels = 1000
    private static let prefix = "diffdecoder.net"

    package init(
        _ decoder: FlowDecoder, noises: Int = 4, steps: Int = 100, sampler: FlowSampler = .sde, driftScale: Double = 1,
        noiseScale: Double = 1, imagesPerLabel: Int = 1, dropout: Float = 0
    ) {
        (self.decoder, self.noises, self.steps) = (decoder, noises, steps)
        (self.imagesPerLabel, self.dropout) = (imagesPerLabel, dropout)
        schedule = FlowSchedule(fromNoise: steps, levels: Self.levels, sampler: sampler, driftScale: driftScale, noiseScale: noiseScale)
        numbersName = "\(sampler) \(steps) \(driftScale) \(noiseScale)"
        keepsVelocity = sampler == .ode
        // The reference decays nothing of it.
        declarations = decoder.declarations(Self.prefix + ".").map { $0.undecayed() }
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: FlowDecoderHeadSettings, _ configuration: Configuration) {
        let (data, network) = (configuration.data, configuration.network)
        self.init(
            FlowDecoder(
                width: network.embed, conditionWidth: network.embed, tokenWidth: data.tokenWidth, tokens: data.tokens,
                heads: network.heads, depth: settings.depth, hidden: Int(Float(network.embed) * network.mlpRatio),
                epsilon: network.layerNormEpsilon, columns: data.width / data.patch),
            noises: settings.noises, steps: settings.steps, sampler: settings.sampler, driftScale: Double(settings.driftScale),
            noiseScale: Double(settings.noiseScale), imagesPerLabel: configuration.run.samplesPerLabel, dropout: network.dropout)
    }

    package var kind: String { FlowDecoderHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }

    // MARK: Training

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let (graph, size) = (scope.graph, decoder.tokens * decoder.tokenWidth)
        guard let z = condition.z else { throw GraphError("condition: there is no z") }
        guard let reach = condition.reach else {
            return HeadStep(losses: [LossTerm("flow", try loss(z: z, images: graph.reshape(step.real, [step.real.shape[0], size]), step, scope))])
        }
        let sequences = try graph.reshape(step.real, [z.shape[0], reach.count, size])
        let losses = try reach.enumerated().map { image, rows in
            let own = try graph.reshape(graph.slice(sequences, axis: 1, image..<(image + 1)), [z.shape[0], size])
            return try loss(z: graph.slice(z, axis: 1, 0..<rows), images: own, step, scope)
        }
        let total = try losses.dropFirst().reduce(losses[0]) { try graph.add($0, $1) }
        return HeadStep(losses: [LossTerm("flow", try graph.scale(total, by: 1 / Float(losses.count)))])
    }

    /// The mean loss [1] of images [n, R C] made from z [L, M, Dz], those of a z together.
    private func loss(z: Tensor, images: Tensor, _ step: StepInputs, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        // The noises of an image stand together, as the images of a label do: all of them attend to the label's keys.
        let targets = try graph.reshape(graph.repeatEach(images, times: noises), [images.shape[0] * noises, images.shape[1]])
        let normal = try graph.randomNormal([targets.shape[0]], clock: step.clock)
        let noise = try graph.randomNormal(targets.shape, clock: step.clock)
        let made = try losses(z: z, targets: targets, noise: noise, normal: normal, scope, dropout: step.dropout(dropout))
        return try graph.mean(made.losses)
    }

    /// The loss of each image [n], its noisy tokens [n, R C] and its time [n] for given noise [n, R C] and standard normal numbers [n], whose
    /// sigmoids are the times: z [L, M, Dz] and targets [n, R C], those of a z together.
    package func losses(
        z: Tensor, targets: Tensor, noise: Tensor, normal: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> (losses: Tensor, noisy: Tensor, time: Tensor) {
        let (graph, net) = (scope.graph, scope.scope(Self.prefix))
        let direction = FlowTime.toNoise(levels: Self.levels)
        let (noisy, time) = try graph.flowNoised(targets, noise: noise, normal: normal, time: direction)
        let velocity = try decoder(
            decoder.enter(graph.reshape(noisy, [targets.type.rows, decoder.tokens, decoder.tokenWidth]), net),
            time: decoder.embed(times: time, net), keys: decoder.keys(of: z, net), net, dropout: dropout)
        let losses = try graph.flowLoss(graph.reshape(velocity, targets.shape), x: targets, noise: noise, time: direction)
        return (losses, noisy, time)
    }

    // MARK: Drawing

    /// Of each step the modulation of each block [6 D] and of the end [2 D], then the step's numbers.
    package func table(_ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        let times = try graph.constant("flow_decoder_times \(numbersName)", schedule.times.map { Float($0) }, [steps])
        let numbers = try graph.constant("flow_decoder_steps \(numbersName)", schedule.numbers.flatMap(\.values), [steps, FlowStepNumbers.count])
        let net = scope.scope(Self.prefix)
        let modulations = try decoder.modulations(of: decoder.embed(times: times, net), net)
        return try graph.concat(modulations.all + [numbers], axis: 1)
    }

    /// Keys and values of each block.
    package func common(z: Tensor, _ scope: ParameterScope) throws -> [Tensor] {
        try decoder.keys(of: z, scope.scope(Self.prefix)).flatMap { [$0.key, $0.value] }
    }

    package func step(
        _ x: Tensor, common: [Tensor], row: Tensor, other: Tensor, cfg: Tensor?, _ scope: ParameterScope
    ) throws -> (x: Tensor, velocity: Tensor?) {
        let (graph, net, width) = (scope.graph, scope.scope(Self.prefix), decoder.width)
        guard common.count == 2 * decoder.depth else { throw GraphError("head \(kind): keys of \(common.count / 2) blocks of \(decoder.depth)") }
        let (parts, end) = (decoder.modulationCount, decoder.modulationCount * width)
        let modulations = try FlowDecoder.Modulations(
            graph.split(graph.reshape(graph.slice(row, axis: 0, 0..<end), [parts, 1, width]), axis: 0))
        let numbers = try graph.slice(row, axis: 0, end..<(end + FlowStepNumbers.count))
        let keys = (0..<decoder.depth).map { CrossAttentionBlock.CrossKeys(key: common[2 * $0], value: common[2 * $0 + 1]) }
        var entered = try decoder.enter(x, net)
        if cfg != nil { entered = try graph.concat([entered, entered], axis: 0) }
        let velocity = try decoder(entered, modulations: modulations, keys: keys, net)
        func rows(_ tensor: Tensor) throws -> Tensor { try graph.reshape(tensor, [tensor.type.rows, decoder.tokenWidth]) }
        guard keepsVelocity else {
            let next = try graph.flowStep(rows(x), velocity: rows(velocity), noise: rows(other), step: numbers, cfg: cfg)
            return (try graph.reshape(next, x.shape), nil)
        }
        let next = try graph.flowStep(rows(x), velocity: rows(velocity), before: rows(other), step: numbers, cfg: cfg)
        return (try graph.reshape(next.x, x.shape), try graph.reshape(next.velocity, x.shape))
    }
}
