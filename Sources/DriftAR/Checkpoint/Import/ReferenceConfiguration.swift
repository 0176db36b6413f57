import Foundation

/// Facts of a model that its tensors do not show.
public struct ImportOptions: Sendable {
    /// Attention heads; nil: from the file's `args`, or those of the preset of this width and depth.
    public var heads: Int?
    /// Side of the square of pixels that makes one token; nil: from `args`, or 1.
    public var patch: Int?

    public init(heads: Int? = nil, patch: Int? = nil) {
        self.heads = heads
        self.patch = patch
    }
}

/// Reads the configuration of a reference model off its tensors and the `args` stored beside them.
struct ReferenceConfiguration {
    private let weights: WeightSet
    private let options: ImportOptions
    /// Tensor whose last dimension is the width of a token.
    private let tokenInput: String
    private let decoderBlocks: String

    private static let sizeLimit = 1 << 24
    private static let blockLimit = 512
    /// Labels in a step of training: a step with all of a thousand would fit no device.
    private static let labelsPerStep = 10
    /// Heads of the reference's sizes, by width and half the number of encoder blocks.
    private static let presets = [(768, 12, 12), (1024, 16, 16), (1280, 20, 16)]

    init(driftAR weights: WeightSet, options: ImportOptions) {
        self.weights = weights
        self.options = options
        tokenInput = "z_proj.weight"
        decoderBlocks = "drift_decoder.net.res_blocks."
    }

    init(transDiff weights: WeightSet, options: ImportOptions) {
        self.weights = weights
        self.options = options
        tokenInput = "diffdecoder.net.input_proj.weight"
        decoderBlocks = "diffdecoder.net.res_blocks."
    }

    /// The configuration that driftgpu stored with the weights, or one put together from shapes.
    func configuration() throws -> Configuration {
        let path = weights.source.path
        if let text = weights.source.metadata[RunFolder.configurationKey] {
            let stored = try Configuration().merging(json: Data(text.utf8), from: path)
            try stored.validate()
            return stored
        }
        var result = Configuration()
        result.preset = "imported"
        result.classes = try size("class_emb.weight", axis: 0)
        result.labelsPerStep = result.classes > Self.labelsPerStep ? Self.labelsPerStep : 0
        result.embed = try size("class_emb.weight", axis: 1)
        let tokens = try size("diffusion_pos_embed_learned", axis: 1)
        result.buffer = try size("encoder_pos_embed_learned", axis: 1) - tokens
        let blocks = try blockCount("encoder_blocks.")
        guard blocks >= 2, blocks % 2 == 0 else {
            throw wrong("\(blocks) encoder blocks: an even number is needed", "check that the file is whole")
        }
        result.encoderDepth = blocks / 2
        result.decoderDepth = max(1, try blockCount(decoderBlocks))
        let draft = try blockCount("draft_model.blocks.")
        result.draftDepth = draft > 0 ? draft : min(6, blocks)
        result.mlpRatio = mlpRatio(hidden: try size("encoder_blocks.0.mlp.fc1.weight", axis: 0), embed: result.embed)
        try setImage(&result, tokens: tokens, tokenWidth: try size(tokenInput, axis: 1))
        result.heads = try heads(embed: result.embed, encoderDepth: result.encoderDepth)
        result.dropout = argument("attn_dropout") ?? result.dropout
        result.labelDrop = argument("label_drop_prob") ?? result.labelDrop
        result.sigmaMax = argument("sigma_max") ?? result.sigmaMax
        result.sigmaTau = argument("tau_sigma") ?? argument("sigma_tau") ?? result.sigmaTau
        // phi with a projection of its own comes from a run that compared phi of samples.
        if weights.headers["feature_encoder.proj.weight"] != nil { result.features = .both }
        do {
            try result.validate()
        } catch let error as ConfigurationError {
            throw wrong("its shapes make no model (\(error.description))", "check that the file is whole and of this kind")
        }
        return result
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

    private func setImage(_ result: inout Configuration, tokens: Int, tokenWidth: Int) throws {
        let patch = options.patch ?? argument("patch_size").flatMap { Int(exactly: $0 as Float) } ?? 1
        guard (1...4096).contains(patch), tokenWidth % (patch * patch) == 0 else {
            throw wrong("tokens of \(tokenWidth) values are no patches of \(patch) x \(patch)", "choose another --patch")
        }
        let side = Int(Double(tokens).squareRoot().rounded())
        guard side * side == tokens else {
            throw wrong("\(tokens) tokens make no square image", "check that the file is of this kind")
        }
        (result.patch, result.channels) = (patch, tokenWidth / (patch * patch))
        (result.height, result.width) = (side * patch, side * patch)
    }

    private func heads(embed: Int, encoderDepth: Int) throws -> Int {
        if let heads = options.heads { return heads }
        for name in ["encoder_num_heads", "num_heads", "heads"] {
            if let value: Float = argument(name), let heads = Int(exactly: value) { return heads }
        }
        if let model = weights.source.metadata["args/model"] {
            if model.hasSuffix("_base") { return 12 }
            if model.hasSuffix("_large") || model.hasSuffix("_huge") { return 16 }
        }
        if let preset = Self.presets.first(where: { $0.0 == embed && $0.1 == encoderDepth }) { return preset.2 }
        throw wrong("weights of width \(embed) do not say how many attention heads the model has", "give --heads")
    }

    private func argument(_ name: String) -> Float? {
        weights.source.metadata["args/" + name].flatMap(Float.init)
    }
}
