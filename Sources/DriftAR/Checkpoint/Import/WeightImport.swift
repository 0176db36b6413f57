/// Weights of another program, matched with the model they belong to, ready to be written in this program's form.
public struct WeightImport: Sendable {
    /// What the weights are of.
    public enum Kind: String, Sendable, CaseIterable {
        /// The whole generator.
        case driftAR = "drift-ar"
        /// Its predecessor: the same encoder and alike decoder blocks in front of a diffusion decoder.
        case transDiff = "transdiff"
        /// The KL autoencoder of LDM, in the shape of MAR's kl16 or another.
        case kl16
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
    let parts: [Part]
    private let source: any TensorSource

    private static let firstStage = "first_stage_model."

    /// Looks at names and shapes only. `key`: the part of the file to take; nil takes `model` and, where there is one,
    /// `model_ema`, or whatever lies at the top. `kind` nil: told by the names.
    public init(_ source: any TensorSource, key: String? = nil, kind: Kind? = nil, options: ImportOptions = ImportOptions()) throws {
        var sets: [(name: String, weights: WeightSet)] = []
        if let key {
            sets = [("model", try WeightSet(source, key: key))]
        } else if let model = try WeightSet(source, firstOf: ["model", "state_dict", "model_state_dict", ""]) {
            sets = [("model", model)]
            if let ema = try WeightSet(source, firstOf: ["model_ema", "ema", "ema_state_dict"]) { sets.append(("ema", ema)) }
        } else if let ema = try WeightSet(source, firstOf: ["model_ema", "ema", "ema_state_dict"]) {
            sets = [("model", ema)]
        } else {
            throw DataError("no model at a usual key", at: source.path, fix: WeightSet.choices(of: source) + ": choose with --key")
        }
        let weights = sets[0].weights
        let kind = try kind ?? Self.kind(of: weights)
        self.kind = kind
        self.source = source
        switch kind {
        case .kl16:
            configuration = nil
            let comparison = try Self.autoencoder(weights)
            parts = [Part(name: "model", weights: weights, comparison: comparison)]
        case .driftAR, .transDiff:
            let reference =
                kind == .driftAR
                ? ReferenceConfiguration(driftAR: weights, options: options)
                : ReferenceConfiguration(transDiff: weights, options: options)
            let configuration = try reference.configuration()
            self.configuration = configuration
            let expected = try DriftARModel(DriftARModel.Shape(configuration)).declarations.map { ($0.name, $0.shape) }
            parts = sets.map { name, weights in
                Part(
                    name: name, weights: weights,
                    comparison: WeightComparison(weights, with: expected, role: kind == .driftAR ? { .parameter($0) } : Self.transDiffRole))
            }
        }
    }

    private static func kind(of weights: WeightSet) throws -> Kind {
        func has(_ prefixes: String...) -> Bool {
            weights.headers.keys.contains { name in prefixes.contains { name.hasPrefix($0) } }
        }
        if has("drift_decoder.") { return .driftAR }
        if has("diffdecoder.") { return .transDiff }
        if has(firstStage, "encoder.conv_in.", "decoder.conv_in.") { return .kl16 }
        let names = weights.headers.keys.sorted().prefix(3).joined(separator: ", ")
        throw DataError("neither Drift-AR, TransDiff nor a KL autoencoder by its names (\(names), ...)", at: weights.source.path,
                        fix: "check --key, or give --kind")
    }

    /// The encoder's tensors have the same names. Of the diffusion decoder what the drift decoder has too is a start for
    /// it: blocks, projections, positions. Time embedding and modulated last layer have no counterpart.
    private static func transDiffRole(_ name: String) -> WeightComparison.Role {
        let prefix = "diffdecoder.net."
        guard name.hasPrefix(prefix) else { return name.hasPrefix("diffdecoder.") ? .extra : .parameter(name) }
        let tail = String(name.dropFirst(prefix.count))
        if tail == "diffusion_pos_embed_learned" { return .parameter("drift_decoder.net.pos_embed") }
        let shared = ["res_blocks.", "cond_embed.", "input_proj.", "final_layer.linear."]
        return shared.contains { tail.hasPrefix($0) } ? .parameter("drift_decoder.net." + tail) : .extra
    }

    private static func autoencoder(_ weights: WeightSet) throws -> WeightComparison {
        // A checkpoint of latent diffusion holds the autoencoder beside much else.
        let isFirstStage = weights.headers.keys.contains { $0.hasPrefix(firstStage) }
        func plain(_ name: String) -> String? {
            guard isFirstStage else { return name }
            return name.hasPrefix(firstStage) ? String(name.dropFirst(firstStage.count)) : nil
        }
        var headers: [String: TensorHeader] = [:]
        for (name, header) in weights.headers {
            if let name = plain(name) { headers[name] = header }
        }
        let layout = try AutoencoderLayout(headers, path: weights.source.path)
        return WeightComparison(weights, with: layout.parameters) { name in
            guard let name = plain(name), !name.hasPrefix("loss.") else { return .ignored }
            return .parameter(name)
        }
    }

    // MARK: Report

    /// Whether every tensor of model and file has its counterpart.
    public var isExact: Bool { parts.allSatisfy(\.comparison.isExact) }

    /// What was found and what does not fit, line by line.
    public var report: [String] {
        let sizes = configuration.map { it in
            "\(it.classes) classes, \(it.tokens) tokens of \(it.tokenWidth), width \(it.embed), \(it.heads) heads, "
                + "encoder 2 x \(it.encoderDepth), decoder \(it.decoderDepth), draft \(it.draftDepth)"
        }
        return (sizes.map { [$0] } ?? []) + parts.flatMap { part in
            let comparison = part.comparison
            let key = part.weights.key.isEmpty ? "" : " (\(part.weights.key))"
            var line = "\(kind.rawValue) \(part.name)\(key): \(comparison.matched.count) tensors fit"
            if !comparison.ignored.isEmpty { line += ", \(comparison.ignored.count) of other parts left out" }
            if !comparison.isExact { line += "; " + comparison.summary }
            return [line] + comparison.listing.map { "  " + $0.printable }
        }
    }

    /// Throws where the weights are not exactly the model's and that was not allowed, or nothing fits at all.
    public func check(allowMissing: Bool) throws {
        for part in parts {
            let comparison = part.comparison
            if comparison.matched.isEmpty {
                throw DataError("no tensor of \(part.name) fits", at: source.path, fix: "check --key and --kind; see driftgpu inspect")
            }
            if !comparison.isExact, !allowMissing {
                throw DataError("\(part.name): \(comparison.summary) tensors", at: source.path,
                                fix: "check the file and the options, or take what fits with --allow-missing")
            }
        }
    }
}
