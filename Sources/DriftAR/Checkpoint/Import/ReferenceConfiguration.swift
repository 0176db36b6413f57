import DriftFormats
import Foundation

/// Facts of a model that its tensors do not show.
public struct ImportOptions: Sendable {
    /// Attention heads; nil: from the file's `args`, or those of the preset of this width and depth.
    public var heads: Int?
    /// Side of the square of pixels that makes one token; nil: from `args`, or 1.
    public var patch: Int?
    /// What a model draws.
    public enum Drawn: String, Sendable, CaseIterable { case pixels, latents }
    /// nil: latents where `args` name an autoencoder or where there are other than 1 or 3 channels.
    public var draws: Drawn?
    /// Factor from an autoencoder's latents to what the model draws; nil: that of the usual autoencoder of as many channels.
    public var latentScale: Float?
    /// Whether a DiT has RoPE; nil: where it has its companions, normed queries and keys or a gated MLP.
    public var rope: Bool?
    /// How positions turn queries and keys of a causal model, and their base; nil: on a grid, 10000.
    public var rotary: CausalStageSettings.Rotary?
    public var rotaryBase: Double?

    public init(heads: Int? = nil, patch: Int? = nil) {
        self.heads = heads
        self.patch = patch
    }
}

/// Reads the configuration of a reference model off its tensors and the `args` stored beside them.
struct ReferenceConfiguration {
    private let weights: WeightSet
    private let kind: WeightImport.Kind
    private let options: ImportOptions
    /// What neither file nor options say, and the flag that does.
    private var assumed: [(what: String, flags: String)] = []

    private static let sizeLimit = 1 << 24
    private static let blockLimit = 512
    /// Labels in a step of training: a step with all of a thousand would fit no device.
    private static let labelsPerStep = 10
    /// Heads of the reference's sizes, by width and half the number of encoder blocks.
    private static let presets = [(768, 12, 12), (1024, 16, 16), (1280, 20, 16)]

    init(_ weights: WeightSet, kind: WeightImport.Kind, options: ImportOptions) {
        self.weights = weights
        self.kind = kind
        self.options = options
    }

    /// What was assumed, as a line; nil for nothing.
    var assumptions: String? {
        guard !assumed.isEmpty else { return nil }
        return "assumed, for the file does not say: \(assumed.map(\.what).joined(separator: "; "))."
            + " Choose with \(assumed.map(\.flags).joined(separator: ", "))"
    }

    /// The configuration that driftgpu stored with the weights, or one put together from shapes.
    mutating func configuration() throws -> Configuration {
        if var stored = try stored() {
            if options.draws != nil || options.latentScale != nil || (stored.data.areLatents && stored.data.form != .latents) {
                setForm(&stored)
            }
            return stored
        }
        var result = Configuration()
        result.preset = "imported"
        switch kind {
        case .dit: try setDiT(&result)
        case .mar: try setMAR(&result)
        case .causal: try setCausal(&result)
        case .marEnergy, .marDrift, .causalEnergy, .causalDrift:
            throw wrong("no settings of driftgpu beside its weights, which alone do not say all", "take a file that driftgpu wrote")
        default: try setDriftAR(&result)
        }
        if let images = result.stage.mrar?.images { result.run.samplesPerLabel = images }
        result.run.labelsPerStep = result.data.classes > Self.labelsPerStep ? Self.labelsPerStep : 0
        do {
            try result.validate()
        } catch let error as ConfigurationError {
            throw wrong("its shapes make no model (\(error.description))", "check that the file is whole and of this kind")
        }
        return result
    }

    private func stored() throws -> Configuration? {
        let path = weights.source.path
        guard let text = weights.source.metadata[RunFolder.configurationKey] else { return nil }
        let stored = try Configuration().merging(json: Data(text.utf8), from: path)
        try stored.validate()
        if kind == .driftAR, stored.stage.kind == LabelStageSettings.kind, stored.head.kind == FlowDecoderHeadSettings.kind {
            // A start for Drift-AR.
            var start = stored
            start.adopt(.driftAR)
            return start
        }
        guard let model = kind.model, stored.stage.kind == model.pair.stage, stored.head.kind == model.pair.head else {
            throw wrong("weights of \(kind.rawValue) with the settings of \(stored.generatorName)", "check --kind")
        }
        return stored
    }

    private mutating func setDriftAR(_ result: inout Configuration) throws {
        let names = ["drift_decoder.net.", "diffdecoder.net."]
        let decoder = names.first { weights.headers[$0 + "input_proj.weight"] != nil } ?? names[0]
        result.data.classes = try size("class_emb.weight", axis: 0)
        result.network.embed = try size("class_emb.weight", axis: 1)
        let tokens = try size("diffusion_pos_embed_learned", axis: 1)
        var (label, head, flow) = (LabelStageSettings(), DecoderHeadSettings(), FlowDecoderHeadSettings())
        label.buffer = try size("encoder_pos_embed_learned", axis: 1) - tokens
        let blocks = try blockCount("encoder_blocks.")
        guard blocks >= 2, blocks % 2 == 0 else {
            throw wrong("\(blocks) encoder blocks: an even number is needed", "check that the file is whole")
        }
        label.encoderDepth = blocks / 2
        head.depth = max(1, try blockCount(decoder + "res_blocks."))
        let draft = try blockCount("draft_model.blocks.")
        label.draftDepth = draft > 0 ? draft : min(6, blocks)
        result.network.mlpRatio = mlpRatio(hidden: try size("encoder_blocks.0.mlp.fc1.weight", axis: 0), embed: result.network.embed)
        let tokenInput = decoder == names[0] ? "z_proj.weight" : decoder + "input_proj.weight"
        let pixels = kind == .transDiffMRAR ? try size(decoder + "diffusion_pos_embed_learned", axis: 1) : tokens
        try setImage(&result, tokens: pixels, tokenWidth: try size(tokenInput, axis: 1))
        result.network.heads = try heads(embed: result.network.embed, encoderDepth: label.encoderDepth)
        result.network.dropout = argument("attn_dropout") ?? result.network.dropout
        result.run.labelDrop = argument("label_drop_prob") ?? result.run.labelDrop
        head.sigmaMax = argument("sigma_max") ?? head.sigmaMax
        head.sigmaTau = argument("tau_sigma") ?? argument("sigma_tau") ?? head.sigmaTau
        label.entropy = kind == .driftAR
        flow.depth = head.depth
        if let noises: Float = argument("diffusion_batch_mul"), let count = Int(exactly: noises) { flow.noises = count }
        if kind != .driftAR, let scales = FlowDecoderHeadSettings.publishedScales(embed: result.network.embed, isMRAR: kind == .transDiffMRAR) {
            (flow.driftScale, flow.noiseScale) = scales
            assumed.append(("drawn with TransDiff's factors of this size, \(scales.drift) and \(scales.noise)", "head.driftScale and head.noiseScale in config.json"))
        }
        (result.stage, result.head) = (StageSettings(label), kind == .driftAR ? HeadSettings(head) : HeadSettings(flow))
        if kind == .transDiffMRAR { result.stage = StageSettings(try mrar(label, tokens: tokens, tokenWidth: result.data.tokenWidth)) }
        // phi with a projection of its own comes from a run that compared phi of samples.
        if weights.headers["feature_encoder.proj.weight"] != nil { result.loss.features = .both }
    }

    /// The stage over several images: a row of it stands for a square of tokens.
    private func mrar(_ label: LabelStageSettings, tokens content: Int, tokenWidth: Int) throws -> MRARStageSettings {
        var mrar = MRARStageSettings()
        (mrar.encoderDepth, mrar.buffer) = (label.encoderDepth, label.buffer)
        let area = try size("z_proj.weight", axis: 1) / max(1, tokenWidth)
        mrar.fold = Int(Double(area).squareRoot().rounded())
        mrar.images = content / (try size("mask_token", axis: 1))
        return mrar
    }

    private mutating func setMAR(_ result: inout Configuration) throws {
        let network = "diffloss.net."
        result.data.classes = try size("class_emb.weight", axis: 0)
        result.network.embed = try size("class_emb.weight", axis: 1)
        let tokens = try size("diffusion_pos_embed_learned", axis: 1)
        var (mar, head) = (MARStageSettings(), DiffusionHeadSettings())
        mar.buffer = try size("encoder_pos_embed_learned", axis: 1) - tokens
        mar.encoderDepth = max(1, try blockCount("encoder_blocks."))
        mar.decoderDepth = max(1, try blockCount("decoder_blocks."))
        result.network.mlpRatio = mlpRatio(hidden: try size("decoder_blocks.0.mlp.fc1.weight", axis: 0), embed: result.network.embed)
        head.depth = max(1, try blockCount(network + "res_blocks."))
        head.width = try size(network + "input_proj.weight", axis: 0)
        // Drawn as the reference draws.
        head.limit = 0
        try setImage(&result, tokens: tokens, tokenWidth: try size("z_proj.weight", axis: 1))
        result.network.heads = try heads(embed: result.network.embed, encoderDepth: mar.encoderDepth)
        result.network.dropout = argument("attn_dropout") ?? result.network.dropout
        result.run.labelDrop = argument("label_drop_prob") ?? result.run.labelDrop
        if let noises: Float = argument("diffusion_batch_mul"), let count = Int(exactly: noises) { head.noises = count }
        if let least: Float = argument("mask_ratio_min") { mar.maskMinimum = (Double(least) * 1e6).rounded() / 1e6 }
        // What its authors draw with by default; an image of fewer tokens in as many rounds.
        mar.rounds = min(64, tokens)
        (result.stage, result.head) = (StageSettings(mar), HeadSettings(head))
    }

    private mutating func setCausal(_ result: inout Configuration) throws {
        let (network, block) = ("image_head.net.", "layers.0.")
        guard weights.headers["cls_embedding.weight"] != nil else {
            throw wrong("no tensor 'cls_embedding.weight': NextStep-1's own weights draw from text, not from a class",
                        "import weights of a causal model that has classes")
        }
        guard weights.headers["pos_for_diff"] != nil else {
            throw wrong("no tensor 'pos_for_diff', which alone says how many tokens an image has", "take a file that driftgpu wrote")
        }
        result.network.embed = try size("image_in_projector.weight", axis: 0)
        result.data.classes = try size("cls_embedding.weight", axis: 0) - 1
        var (causal, head) = (CausalStageSettings(), FlowHeadSettings())
        causal.depth = max(1, try blockCount("layers."))
        causal.classTokens = try size("cls_embedding.weight", axis: 1) / result.network.embed
        result.network.mlpRatio = mlpRatio(hidden: try size(block + "mlp.gate_proj.weight", axis: 0), embed: result.network.embed)
        head.depth = max(1, try blockCount(network + "res_blocks."))
        head.width = try size(network + "input_proj.weight", axis: 0)
        try setImage(
            &result, tokens: try size("pos_for_diff", axis: 0), tokenWidth: try size("image_in_projector.weight", axis: 1))
        result.network.heads = try heads(embed: result.network.embed, encoderDepth: causal.depth)
        let columns = result.network.embed / max(1, result.network.heads)
        causal.keyHeads = try size(block + "self_attn.k_proj.weight", axis: 0) / max(1, columns)
        causal.draftDepth = try blockCount("draft.layers.")
        causal.rotary = options.rotary ?? causal.rotary
        causal.rotaryBase = options.rotaryBase ?? causal.rotaryBase
        let flags = (options.rotary == nil ? ["--rotary"] : []) + (options.rotaryBase == nil ? ["--rotary-base"] : [])
        if !flags.isEmpty { assumed.append(("positions turn by \(causal.rotary), base \(causal.rotaryBase)", flags.joined(separator: ", "))) }
        (result.stage, result.head) = (StageSettings(causal), HeadSettings(head))
    }

    private mutating func setDiT(_ result: inout Configuration) throws {
        guard let projection = weights.headers["x_embedder.proj.weight"]?.shape, projection.count == 2 else {
            throw wrong("no matrix 'x_embedder.proj.weight': a DiT of diffusion has a convolution there, and many steps",
                        "import weights of a DiT that driftgpu trained")
        }
        var head = DiTHeadSettings()
        result.data.classes = try size("y_embedder.embedding_table.weight", axis: 0) - 1
        result.network.embed = try size("y_embedder.embedding_table.weight", axis: 1)
        head.depth = try blockCount("blocks.")
        let (opened, hidden) = (try size("blocks.0.mlp.fc1.weight", axis: 0), try size("blocks.0.mlp.fc2.weight", axis: 1))
        head.swiglu = opened == 2 * hidden
        result.network.mlpRatio = mlpRatio(hidden: hidden, embed: result.network.embed)
        // With a gate the width comes in steps of 8 of two thirds: the nearest ratio that gives it.
        if head.swiglu { result.network.mlpRatio = (Float(hidden) * 1.5 + 0.5).rounded(.up) / Float(result.network.embed) }
        try setImage(&result, tokens: try size("pos_embed", axis: 1), tokenWidth: try size("x_embedder.proj.weight", axis: 1))
        let norm = "blocks.0.attn.qk_norm.weight"
        head.qkNorm = weights.headers[norm] != nil
        if head.qkNorm {
            result.network.heads = result.network.embed / (try size(norm, axis: 1))
        } else {
            result.network.heads = try heads(embed: result.network.embed, encoderDepth: 0)
        }
        head.rope = options.rope ?? (head.qkNorm || head.swiglu)
        if options.rope == nil { assumed.append(("rope \(head.rope)", "--rope")) }
        (result.stage, result.head) = (StageSettings(UnconditionedStageSettings()), HeadSettings(head))
    }

    private func wrong(_ what: String, _ remedy: String) -> DataError {
        DataError(what, at: weights.source.path, fix: remedy)
    }

    private func size(_ name: String, axis: Int) throws -> Int {
        guard let shape = weights.headers[name]?.shape else {
            throw wrong("no tensor '\(name)', which says how large the model is", "check --key and --kind; see driftgpu inspect")
        }
        guard shape.indices.contains(axis), (1...Self.sizeLimit).contains(shape[axis]) else {
            throw wrong("tensor '\(name)' has the shape \(shape)", "check --key and --kind; see driftgpu inspect")
        }
        return shape[axis]
    }

    /// One more than the largest number behind the prefix.
    private func blockCount(_ prefix: String) throws -> Int {
        let numbers = weights.headers.keys.compactMap { name in
            name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count).prefix { $0 != "." }) : nil
        }
        let last = numbers.max() ?? -1
        guard last < Self.blockLimit else {
            throw wrong("a block '\(prefix)\(last)'", "check that the file is whole and of this kind")
        }
        return max(0, last + 1)
    }

    /// The ratio with which the model computes exactly this hidden width.
    private func mlpRatio(hidden: Int, embed: Int) -> Float {
        let ratio = Float(hidden) / Float(embed)
        return Int(Float(embed) * ratio) < hidden ? ratio.nextUp : ratio
    }

    private mutating func setImage(_ result: inout Configuration, tokens: Int, tokenWidth: Int) throws {
        let said = options.patch ?? argument("patch_size").flatMap { Int(exactly: $0 as Float) } ?? patch(tokenWidth: tokenWidth)
        let patch = said ?? 1
        guard (1...4096).contains(patch), tokenWidth % (patch * patch) == 0 else {
            throw wrong("tokens of \(tokenWidth) values are no patches of \(patch) x \(patch)", "choose another --patch")
        }
        let side = Int(Double(tokens).squareRoot().rounded())
        guard side * side == tokens else {
            throw wrong("\(tokens) tokens make no square image", "check that the file is of this kind")
        }
        (result.data.patch, result.data.channels) = (patch, tokenWidth / (patch * patch))
        (result.data.height, result.data.width) = (side * patch, side * patch)
        if said == nil { assumed.append(("patch 1", "--patch")) }
        setForm(&result)
    }

    /// The patch that follows from the channels of the autoencoder that `args` name.
    private func patch(tokenWidth: Int) -> Int? {
        guard let channels = argument("vae_embed_dim").flatMap({ Int(exactly: $0 as Float) }), (1...max(1, tokenWidth)).contains(channels) else { return nil }
        return (1...64).first { $0 * $0 * channels == tokenWidth }
    }

    /// Whether the model draws pixels or latents, and how latents are scaled.
    private mutating func setForm(_ result: inout Configuration) {
        // Pictures have 1 or 3 channels; whatever has others is latents.
        let hasPictureChannels = result.data.channels == 1 || result.data.channels == 3
        let namesAutoencoder = ["vae_embed_dim", "vae_path", "vae_stride"].contains { text(of: $0) != nil }
        let draws = options.draws ?? (namesAutoencoder || !hasPictureChannels ? .latents : .pixels)
        guard draws == .latents else {
            // Files of pictures, for want of knowing more.
            result.data.form = .folder
            if options.draws == nil { assumed.append(("images are pixels, \(size(of: result))", "--draws")) }
            return
        }
        result.data.form = .latents
        // Stable Diffusion's autoencoder has latents of 4 channels.
        result.data.latentScale = options.latentScale ?? (result.data.channels == 4 ? 0.18215 : Configuration().data.latentScale)
        let flags = (options.draws == nil ? ["--draws"] : []) + (options.latentScale == nil ? ["--latent-scale"] : [])
        if !flags.isEmpty {
            assumed.append(("images are latents, \(size(of: result)), scaled by \(result.data.latentScale)", flags.joined(separator: ", ")))
        }
    }

    private func size(of result: Configuration) -> String { "\(result.data.channels)x\(result.data.height)x\(result.data.width)" }

    private mutating func heads(embed: Int, encoderDepth: Int) throws -> Int {
        if let heads = options.heads { return heads }
        for name in ["encoder_num_heads", "num_heads", "heads"] {
            if let value: Float = argument(name), let heads = Int(exactly: value) { return heads }
        }
        if let model = text(of: "model") {
            if model.hasSuffix("_base") { return 12 }
            if model.hasSuffix("_large") || model.hasSuffix("_huge") { return 16 }
        }
        if let preset = Self.presets.first(where: { $0.0 == embed && $0.1 == encoderDepth }) {
            assumed.append(("\(preset.2) heads", "--heads"))
            return preset.2
        }
        throw wrong("weights of width \(embed) do not say how many attention heads the model has", "give --heads")
    }

    private func argument(_ name: String) -> Float? { text(of: name).flatMap(Float.init) }

    /// A setting that was stored beside the weights: by the reference as `args`, by Lightning as `hyper_parameters`.
    private func text(of name: String) -> String? {
        let metadata = weights.source.metadata
        let text = ["args/", "hyper_parameters/", "hyper_parameters/args/", "config/", "hparams/"].lazy.compactMap { metadata[$0 + name] }.first
        return text == "None" ? nil : text
    }
}
