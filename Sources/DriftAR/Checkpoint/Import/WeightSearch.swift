import DriftFormats

/// Finds the weights of a model in a file: at which key they lie, and below which prefix.
struct WeightSearch {
    let source: any TensorSource
    /// nil: told by the names.
    var kind: WeightImport.Kind?
    /// Path of keys to the weights, whose last parts may be parts of a prefix; nil: the usual keys.
    var key: String?
    /// Prefix of the names of the weights, with or without its dot; nil: what stands in front of the names that are known.
    var prefix: String?

    /// `model`, and `ema` where there is one.
    typealias Sets = [(name: String, weights: WeightSet)]

    private static let modelKeys = ["model", "state_dict", "model_state_dict", "module", ""]
    private static let averageKeys = ["model_ema", "ema", "ema_state_dict", "state_dict_ema", "ema_model"]

    /// Names that only weights of that kind have.
    private static func anchors(of kind: WeightImport.Kind) -> [String] {
        switch kind {
        case .driftAR: ["drift_decoder.net.input_proj.weight", "drift_decoder.net.cond_embed.weight"] + anchors(of: .transDiff)
        case .transDiff, .transDiffMRAR: ["diffdecoder.net.input_proj.weight", "diffdecoder.net.cond_embed.weight"]
        case .dit: ["y_embedder.embedding_table.weight", "x_embedder.proj.weight"]
        case .mar: ["diffloss.net.input_proj.weight", "diffloss.net.cond_embed.weight"]
        case .marEnergy: ["scoreloss.net.input_proj.weight", "scoreloss.net.noise_embed.weight"]
        case .marDrift: ["token_drift.net.input_proj.weight", "token_drift.net.cond_embed.weight"]
        case .causal: ["image_in_projector.weight", "image_head.net.input_proj.weight"]
        case .causalEnergy: ["image_in_projector.weight", "scoreloss.net.noise_embed.weight"]
        case .causalDrift: ["image_in_projector.weight", "token_drift.net.cond_embed.weight"]
        case .kl16: ["encoder.conv_in.weight", "decoder.conv_in.weight", "encoder.conv_out.weight"]
        }
    }

    /// Throws where no weights are found, or those of several models.
    func sets() throws -> Sets {
        if let key { return try resolved(set(at: key)) }
        let present = WeightSet.keys(of: source)
        let average = Self.averageKeys.first(where: present.contains)
        guard let first = try modelKey(among: present, average: average) else {
            throw DataError("no model at a usual key", at: source.path, fix: WeightSet.choices(of: source) + ": choose with --key")
        }
        var sets = try resolved(WeightSet(source, key: first))
        if let average, average != first, sets.count == 1 {
            // The average is of the same model: its own prefix is found, whatever was asked for.
            var other = self
            if try WeightSet(source, key: average).below(dotted(prefix ?? "")) == nil { other.prefix = nil }
            sets.append(("ema", try other.resolved(WeightSet(source, key: average))[0].weights))
        }
        return sets
    }

    /// The first usual key whose tensors have names that are known, else the only other such key, else the first usual one,
    /// else that of the average.
    private func modelKey(among present: [String], average: String?) throws -> String? {
        let usual = Self.modelKeys.filter(present.contains)
        if let key = try usual.first(where: { try !Self.found(in: WeightSet(source, key: $0), kind).isEmpty }) { return key }
        let anchors = (kind.map { [$0] } ?? WeightImport.Kind.allCases).flatMap(Self.anchors)
        let known = Set((Array(source.headers.keys) + source.foreign.keys).compactMap { name -> String? in
            guard let slash = name.lastIndex(of: "/") else { return nil }
            let plain = WeightSet.withoutWrappers(name[name.index(after: slash)...])
            return Self.prefix(of: plain, anchors) == nil ? nil : String(name[..<slash])
        }).subtracting(Self.averageKeys).sorted()
        guard known.count < 2 else {
            let shown = known.prefix(6).joined(separator: ", ") + (known.count > 6 ? ", ..." : "")
            throw DataError("weights at several keys: \(shown)", at: source.path, fix: "choose one with --key")
        }
        return known.first ?? usual.first ?? average
    }

    /// What stands in front of one of the anchors; nil where the name ends in none.
    private static func prefix(of name: String, _ anchors: [String]) -> String? {
        anchors.first { name == $0 || name.hasSuffix("." + $0) }.map { String(name.dropLast($0.count)) }
    }

    private func set(at key: String) throws -> WeightSet {
        let present = Set(WeightSet.keys(of: source))
        var (path, rest) = (key.split(separator: "/").map(String.init), [String]())
        while !present.contains(path.joined(separator: "/")), let last = path.popLast() {
            rest.insert(last, at: 0)
            let prefix = dotted(rest.joined(separator: "."))
            guard present.contains(path.joined(separator: "/")) else { continue }
            if let set = try WeightSet(source, key: path.joined(separator: "/")).below(prefix) { return set }
        }
        return try WeightSet(source, key: key)
    }

    private func dotted(_ prefix: String) -> String { prefix.isEmpty || prefix.hasSuffix(".") ? prefix : prefix + "." }

    // MARK: Prefixes

    private func resolved(_ set: WeightSet) throws -> Sets {
        if let prefix {
            guard let chosen = set.below(dotted(prefix)) else {
                let parts = Set(set.headers.keys.map { $0.split(separator: ".").first.map(String.init) ?? $0 }).sorted()
                throw DataError("no tensor's name begins with '\(dotted(prefix))'", at: source.path,
                                fix: "they begin with \(parts.prefix(6).joined(separator: ", "))\(parts.count > 6 ? ", ..." : "")")
            }
            return [("model", chosen)]
        }
        let prefixes = Self.found(in: set, kind)
        guard !prefixes.isEmpty, !prefixes.contains("") else { return [("model", set)] }
        let averages = prefixes.filter(Self.isAverage)
        let models = prefixes.filter { !Self.isAverage($0) }
        guard models.count <= 1, averages.count <= 1 else {
            throw DataError("weights of \(prefixes.count) models, below \(prefixes.joined(separator: ", "))", at: source.path,
                            fix: "choose one with --prefix")
        }
        let sets = [("model", models.first), ("ema", averages.first)].compactMap { name, prefix in
            prefix.flatMap(set.below).map { (name, $0) }
        }
        return sets.count == 1 ? [("model", sets[0].1)] : sets
    }

    private static func isAverage(_ prefix: String) -> Bool {
        prefix.lowercased().split { $0 == "." || $0 == "_" }.contains("ema")
    }

    /// What stands in front of the anchors of the first kind that has any.
    private static func found(in set: WeightSet, _ kind: WeightImport.Kind?) -> [String] {
        let names = Array(set.headers.keys) + set.foreign.keys
        for kind in kind.map({ [$0] }) ?? WeightImport.Kind.allCases {
            let anchors = anchors(of: kind)
            let prefixes = Set(names.compactMap { prefix(of: $0, anchors) })
            if !prefixes.isEmpty { return prefixes.sorted() }
        }
        return []
    }
}
