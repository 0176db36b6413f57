import DriftAR
import DriftFormats
import DriftGPU

/// The generator of a case, with its stage and head as what they are.
struct DriftARGolden {
    let stage: LabelStage
    let head: DecoderHead
    let generator: Generator
    var layout: ParameterLayout { generator.layout }

    init(_ stage: LabelStage, _ head: DecoderHead) throws {
        (self.stage, self.head) = (stage, head)
        generator = try Generator(
            stage, head, classes: stage.shape.classes, tokens: stage.shape.tokens, tokenWidth: stage.shape.tokenWidth)
    }

    /// Names of the parameters that are trained at no other times than these.
    func names(trained times: [ParameterDeclaration.Training]) -> Set<String> {
        Set(generator.declarations.filter { times.contains($0.training) }.map(\.name))
    }
}

extension GoldenCase {
    /// The model of the case, or of the one it refers to. `configuration`: what its training takes from settings.
    func generator(_ configuration: Configuration? = nil) throws -> DriftARGolden {
        let patch = try integer("patch_size")
        let (tokens, tokenWidth) = (try integer("seq_len"), try integer("vae_embed_dim") * patch * patch)
        let (embed, heads, encoderDepth) = (try integer("embed"), try integer("heads"), try integer("encoder_depth"))
        let (ratio, epsilon) = (Float(try number("mlp_ratio")), Float(try number("layer_norm_eps")))
        let stage = LabelStage.Shape(
            tokens: tokens, tokenWidth: tokenWidth, embed: embed, heads: heads, encoderDepth: encoderDepth,
            draftDepth: try integer("draft_depth"), buffer: try integer("buffer"), classes: try integer("class_num"),
            mlpRatio: ratio, epsilon: epsilon)
        let head = DecoderHead.Shape(
            tokens: tokens, tokenWidth: tokenWidth, embed: embed, heads: heads, depth: try integer("decoder_depth"),
            mlpRatio: ratio, epsilon: epsilon, sigmaMax: Float(try number("sigma_max")), sigmaTau: Float(try number("tau_sigma")),
            lastLayerDeviation: 0, featureBlock: 2 * encoderDepth - 2)
        var training = LabelStage.Training()
        if let label = configuration?.stage.label {
            (training.draftShift, training.encodesEachImage) = (label.draftShift, !label.encodeOnce)
        }
        let loss = configuration.map {
            DecoderHead.Training($0.loss, samplesPerLabel: $0.run.samplesPerLabel, classes: $0.data.classes)
        }
        return try DriftARGolden(LabelStage(stage, training), DecoderHead(head, loss ?? DecoderHead.Training()))
    }
}

/// The reference's training step up to its loss: the groups of the drift loss are the tokens of each image, phi of given
/// real and generated images are the targets, every image is encoded.
struct TrainingForward {
    let z: Tensor
    let entropy: Tensor
    let generated: Tensor
    let drift: DriftLoss
    let regression: Tensor
    let entropyLoss: Tensor
    let total: Tensor

    /// drift, regression, entropy, total.
    var losses: [Tensor] { [drift.loss, regression, entropyLoss, total] }
    var outputs: [Tensor] { losses + [z, entropy, generated, drift.scale, drift.squaredForce] }

    /// From the inputs of the case.
    init(_ run: GoldenGraph, _ model: DriftARGolden, _ scope: ParameterScope, noise: Tensor, isSecondPhase: Bool) throws {
        let golden = run.golden
        let alpha = isSecondPhase ? 0 : Float(try golden.number("alpha"))
        try self.init(
            run.graph, model, scope, labels: run.input("labels", rank: 1), noise: noise,
            alpha: run.input("alpha", NamedTensor(shape: [1], floats: [alpha])), isSecondPhase: isSecondPhase,
            radii: golden.numbers("R").map(Float.init),
            targets: DriftTargets(
                positive: run.input("pos_features"),
                negative: golden.hasInput("neg_features") ? run.input("neg_features") : nil))
    }

    init(
        _ graph: Graph, _ model: DriftARGolden, _ scope: ParameterScope, labels: Tensor, noise: Tensor, alpha: Tensor,
        isSecondPhase: Bool, radii: [Float], targets: DriftTargets
    ) throws {
        var (z, entropy) = try model.stage.encode(model.stage.embed(labels, scope), scope).encoded()
        regression = try model.stage.draftLoss(z: z, shift: 1, scope)
        entropyLoss = try graph.scale(graph.mean(entropy), by: -1)
        (self.z, self.entropy) = (z, entropy)
        if isSecondPhase { (z, entropy) = (try graph.detach(z), try graph.detach(entropy)) }
        generated = try model.head.generate(z: z, entropy: entropy, noise: noise, scope)
        drift = try graph.driftLoss(
            model.head.phi(generated, scope), targets: targets, affinity: DriftAffinity(temperatures: radii))
        if isSecondPhase {
            total = drift.loss
        } else {
            total = try graph.add(
                graph.scale(graph.add(regression, entropyLoss), by: alpha),
                graph.scale(drift.loss, by: alpha, factor: -1, offset: 1))
        }
    }

    func check(_ run: GoldenGraph, _ comparison: GoldenComparison) throws {
        try comparison.check("out", "loss_drift", run.read(drift.loss))
        try comparison.check("out", "loss_reg", run.read(regression))
        try comparison.check("out", "loss_entropy", run.read(entropyLoss))
        try comparison.check("out", "total", run.read(total))
        try comparison.check("out", "drift_scale", run.read(drift.scale))
        try comparison.check("out", "drift_loss_R", run.read(drift.squaredForce))
        try comparison.check("out", "gen_tokens", run.read(generated))
        try comparison.check("out", "z_AR", run.read(z))
        try comparison.check("out", "entropy_map", run.read(entropy))
    }
}
