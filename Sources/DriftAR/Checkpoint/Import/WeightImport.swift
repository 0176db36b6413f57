import DriftFormats

/// Weights of another program, matched with the model they belong to, ready to be written in this program's form.
public struct WeightImport: Sendable {
    /// What the weights are of.
    public enum Kind: String, Sendable, CaseIterable {
        /// The whole generator. Of TransDiff it takes the encoder and what the decoders share, a start for training.
        case driftAR = "drift-ar"
        /// Its predecessor: the same encoder and alike decoder blocks that make a flow of many steps.
        case transDiff = "transdiff"
        /// The same over several images of a class.
        case transDiffMRAR = "transdiff-mrar"
        /// A DiT that draws in one pass, as this program trains it.
        case dit
        /// MAR with its diffusion head.
        case mar
        /// MAR with a head of one step, as this program trains it.
        case marEnergy = "mar-energy"
        case marDrift = "mar-drift"
        /// A causal model with NextStep-1's flow head, and with the heads of one step, as this program trains them.
        case causal
        case causalEnergy = "causal-energy"
        case causalDrift = "causal-drift"
        /// The KL autoencoder of LDM, in the shape of MAR's kl16 or another.
        case kl16

        /// The model that has them; nil for an autoencoder.
        var model: Configuration.Model? {
            switch self {
            case .driftAR: .driftAR
            case .transDiff: .transDiff
            case .transDiffMRAR: .transDiffMRAR
            case .dit: .dit
            case .mar: .mar
            case .marEnergy: .marEnergy
            case .marDrift: .marDrift
            case .causal: .causal
            case .causalEnergy: .causalEnergy
            case .causalDrift: .causalDrift
            case .kl16: nil
            }
        }
    }

    /// One set of weights of the model.
    struct Part: Sendable {
        /// `model` or `ema`.
        let name: String
        let weights: WeightSet
        let comparison: WeightComparison
    }

    public let kind: Kind
    /// nil for an autoencoder.
    public let configuration: Configuration?
    /// What the file does not say and was assumed, and how to choose; nil where it says all.
    public let assumptions: String?
    let parts: [Part]
    private let source: any TensorSource

    /// Looks at names and shapes only. `key`: the part of the file to take; nil takes `model` and, where there is one,
    /// `model_ema`, or whatever lies at the top. `prefix`: what stands in front of the names there; nil: whatever does.
    /// `kind` nil: told by the names.
    public init(
        _ source: any TensorSource, key: String? = nil, prefix: String? = nil, kind: Kind? = nil,
        options: ImportOptions = ImportOptions()
    ) throws {
        if let error = ShardedWeights.error(forShard: source.path) { throw error }
        let sets = try WeightSearch(source: source, kind: kind, key: key, prefix: prefix).sets()
        let weights = sets[0].weights
        let kind = try kind ?? Self.kind(of: weights)
        self.kind = kind
        self.source = source
        switch kind {
        case .kl16:
            (configuration, assumptions) = (nil, nil)
            let translated = DiffusersNames.translated(weights)
            let layout = try AutoencoderLayout(translated.headers, path: source.path)
            let comparison = WeightComparison(translated, with: layout.parameters) { $0.hasPrefix("loss.") ? .ignored : .parameter($0) }
            parts = [Part(name: "model", weights: translated, comparison: comparison)]
        case .driftAR, .transDiff, .transDiffMRAR, .dit, .mar, .marEnergy, .marDrift, .causal, .causalEnergy, .causalDrift:
            var reference = ReferenceConfiguration(weights, kind: kind, options: options)
            let configuration = try reference.configuration()
            self.configuration = configuration
            assumptions = reference.assumptions
            let expected = try configuration.makeGenerator().declarations.map { ($0.name, $0.shape) }
            parts = sets.map { name, weights in
                Part(
                    name: name, weights: weights,
                    comparison: WeightComparison(weights, with: expected, role: kind == .driftAR ? Self.startRole : { .parameter($0) }))
            }
        }
    }

    private static func kind(of weights: WeightSet) throws -> Kind {
        func has(_ prefixes: String...) -> Bool {
            weights.headers.keys.contains { name in prefixes.contains { name.hasPrefix($0) } }
        }
        if has("drift_decoder.") { return .driftAR }
        // Over several images the mask stands for an image; over one it stands for a token.
        if has("diffdecoder.") { return weights.headers["mask_token"]?.shape.dropFirst().first.map { $0 > 1 } == true ? .transDiffMRAR : .transDiff }
        if has("image_in_projector.") { return has("scoreloss.") ? .causalEnergy : has("token_drift.") ? .causalDrift : .causal }
        if has("diffloss.") { return .mar }
        if has("scoreloss.") { return .marEnergy }
        if has("token_drift.") { return .marDrift }
        if has("y_embedder.embedding_table.", "x_embedder.proj.") { return .dit }
        if has("encoder.conv_in.", "decoder.conv_in.") { return .kl16 }
        let names = weights.headers.keys.sorted().prefix(3).joined(separator: ", ")
        throw DataError("neither Drift-AR, TransDiff, DiT, MAR nor a KL autoencoder by its names (\(names), ...)", at: weights.source.path,
                        fix: weights.source.hidden?.hint ?? "check --key and --prefix, or give --kind")
    }

    /// The encoder's tensors have the same names. Of TransDiff's decoder what the drift decoder has too is a start for
    /// it: blocks, projections, positions. Time embedding and modulated last layer have no counterpart.
    private static func startRole(_ name: String) -> WeightComparison.Role {
        let prefix = "diffdecoder.net."
        guard name.hasPrefix(prefix) else { return name.hasPrefix("diffdecoder.") ? .extra : .parameter(name) }
        let tail = String(name.dropFirst(prefix.count))
        if tail == "diffusion_pos_embed_learned" { return .parameter("drift_decoder.net.pos_embed") }
        let shared = ["res_blocks.", "cond_embed.", "input_proj.", "final_layer.linear."]
        return shared.contains { tail.hasPrefix($0) } ? .parameter("drift_decoder.net." + tail) : .extra
    }

    // MARK: Report

    /// Whether every tensor of model and file has its counterpart.
    public var isExact: Bool { parts.allSatisfy(\.comparison.isExact) }

    /// What was found and what does not fit, line by line.
    public var report: [String] {
        let sizes = configuration.map { it in
            let blocks = Self.blocks(of: it)
            return "\(it.data.classes) classes, \(it.data.tokens) tokens of \(it.data.tokenWidth), width \(it.network.embed), \(it.network.heads) heads, " + blocks
        }
        return [sizes, assumptions].compactMap { $0 } + parts.flatMap { part in
            let comparison = part.comparison
            let place = [part.weights.key, part.weights.prefix].filter { !$0.isEmpty }.joined(separator: "/")
            var line = "\(kind.rawValue) \(part.name)\(place.isEmpty ? "" : " (\(place))"): \(comparison.matched.count) tensors fit"
            let leftOut = comparison.ignored.count + part.weights.leftOut
            if leftOut > 0 { line += ", \(leftOut) of other parts left out" }
            if !comparison.isExact { line += "; " + comparison.summary }
            return [line] + comparison.listing.map { "  " + $0.printable }
        }
    }

    /// How many blocks each part of a model has.
    private static func blocks(of it: Configuration) -> String {
        let depth = it.head.depth
        if let label = it.stage.label {
            let sizes = "encoder 2 x \(label.encoderDepth), decoder \(depth)"
            return label.entropy ? sizes + ", draft \(label.draftDepth)" : sizes
        }
        if let mrar = it.stage.mrar { return "encoder 2 x \(mrar.encoderDepth), decoder \(depth), \(mrar.images) images" }
        if let mar = it.stage.mar { return "encoder \(mar.encoderDepth), decoder \(mar.decoderDepth), head \(depth)" }
        if let causal = it.stage.causal { return "depth \(causal.depth), head \(depth)" }
        return "depth \(depth)"
    }

    /// Throws where the weights are not exactly the model's and that was not allowed, or nothing fits at all.
    public func check(allowMissing: Bool) throws {
        for part in parts {
            let comparison = part.comparison
            if comparison.matched.isEmpty {
                throw DataError("no tensor of \(part.name) fits", at: source.path, fix: "check --key and --kind; see driftgpu inspect")
            }
            if !comparison.isExact, !allowMissing {
                let hidden = comparison.missing.isEmpty ? nil : source.hidden?.hint
                throw DataError("\(part.name): \(comparison.summary) tensors", at: source.path,
                                fix: hidden ?? "check the file and the options, or take what fits with --allow-missing")
            }
        }
    }
}
