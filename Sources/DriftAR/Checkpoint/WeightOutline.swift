import DriftFormats

/// What a file of weights holds: its tensors, counted by part of the model, and what it says of itself.
public struct WeightOutline: Sendable {
    /// Tensors of one part.
    public struct Part: Sendable, Equatable {
        public let name: String
        public fileprivate(set) var tensors = 0
        /// Elements of all of them.
        public fileprivate(set) var parameters = 0
        public fileprivate(set) var byteCount = 0

        fileprivate mutating func add(_ header: TensorHeader) {
            // Wrapping: a file can lay many tensors over the same bytes, and a sum of nonsense must not stop the program.
            tensors &+= 1
            parameters &+= header.count
            byteCount &+= header.byteCount
        }
    }

    public let path: String
    public let format: String
    public let tensors: [(name: String, header: TensorHeader)]
    /// Tensors of types that are not read.
    public let foreign: [(name: String, tensor: ForeignTensor)]
    public let hidden: HiddenTensors?
    public let parts: [Part]
    public let total: Part
    public let metadata: [String: String]

    public init(_ source: any TensorSource) {
        path = source.path
        switch source {
        case is PyTorchFile: format = "PyTorch"
        case is ShardedWeights: format = "shards"
        default: format = "safetensors"
        }
        foreign = source.foreign.sorted { Self.order($0.key) < Self.order($1.key) }.map { ($0.key, $0.value) }
        hidden = source.hidden
        tensors = source.headers.sorted { Self.order($0.key) < Self.order($1.key) }.map { ($0.key, $0.value) }
        metadata = source.metadata
        var (parts, total): ([Part], Part) = ([], Part(name: "total"))
        var numbers: [String: Int] = [:]
        for (name, header) in tensors {
            let part = Self.part(of: name)
            let number = numbers[part] ?? parts.count
            if number == parts.count {
                numbers[part] = number
                parts.append(Part(name: part))
            }
            parts[number].add(header)
            total.add(header)
        }
        self.parts = parts
        self.total = total
    }

    /// Outlines of a file, of a run's newest checkpoint, or of the weights in a folder.
    public static func all(at path: String) throws -> [WeightOutline] {
        guard Files.isFolder(path) else { return [WeightOutline(try WeightFile.open(path))] }
        var folder = path
        let checkpoints = RunFolder(path).checkpoints
        if let step = try checkpoints.latest() { folder = checkpoints.folder(of: step) }
        let all = try Files.names(in: folder).filter { !$0.hasPrefix(".") }
        let indices = all.filter(ShardedWeights.isIndex)
        let names = indices.isEmpty ? all.filter { name in WeightFile.endings.contains { name.hasSuffix($0) } } : indices
        guard !names.isEmpty else {
            throw DataError("no file of weights in this folder", at: folder, fix: "name a .safetensors, .pth, .pt or .ckpt file, or a run's folder")
        }
        return try names.map { WeightOutline(try WeightFile.open(Files.join(folder, $0))) }
    }

    // MARK: Parts

    private static let modelParts: [(prefix: String, part: String)] = [
        ("fake_latent", "encoder"), ("mask_token", "encoder"), ("encoder_pos_embed_learned", "encoder"),
        ("diffusion_pos_embed_learned", "encoder"), ("class_emb.", "encoder"), ("z_proj.", "encoder"),
        ("z_proj_ln.", "encoder"), ("encoder_blocks.", "encoder"), ("encoder_norm.", "encoder"), ("draft_model.", "draft"),
        ("drift_decoder.", "decoder"), ("diffdecoder.", "diffusion decoder"), ("token_to_enc_proj.", "projections"),
        ("enc_to_token_proj.", "projections"), ("feature_encoder.", "features"), ("encoder.", "vae encoder"),
        ("cls_embedding.", "transformer"), ("embed_tokens.", "transformer"), ("image_in_projector.", "transformer"),
        ("layers.", "transformer"), ("norm.", "transformer"), ("lm_head.", "transformer"), ("image_out_projector.", "transformer"),
        ("pos_for_diff", "transformer"), ("image_head.", "head"),
        ("quant_conv.", "vae encoder"), ("decoder.", "vae decoder"), ("post_quant_conv.", "vae decoder"),
    ]

    /// The part of the model a tensor belongs to, below the keys that lead to it; its first component where nothing is known
    /// of it.
    private static func part(of name: String) -> String {
        let (keys, plain) = split(name)
        let known = modelParts.first { plain.hasPrefix($0.prefix) }?.part
        let part = known ?? plain.split(separator: ".").first.map(String.init) ?? plain
        // Moments of an optimiser lie one key deep for each parameter.
        guard let first = keys.first else { return part }
        return keys.count > 1 ? String(first) : "\(first): \(part)"
    }

    private static func split(_ name: String) -> (keys: [Substring], plain: String) {
        var keys = name.split(separator: "/", omittingEmptySubsequences: false)
        var plain = WeightSet.withoutWrappers(keys.popLast() ?? "")
        if plain.hasPrefix("first_stage_model.") { plain = String(plain.dropFirst("first_stage_model.".count)) }
        return (keys, plain)
    }

    /// Names with their numbers padded, so that block 10 comes behind block 9, the parts of the model in their order.
    private static func order(_ name: String) -> String {
        let (keys, plain) = split(name)
        let rank = modelParts.firstIndex { plain.hasPrefix($0.prefix) } ?? modelParts.count
        func padded(_ text: String) -> String { String(repeating: "0", count: max(0, 8 - text.utf8.count)) + text }
        let parts = plain.split(separator: ".").map { Int($0) == nil ? String($0) : padded(String($0)) }
        return keys.joined(separator: "/") + "/" + padded(String(rank)) + parts.joined(separator: ".")
    }
}

// MARK: Output

extension WeightOutline {
    /// The outline as lines of text.
    public var text: [String] {
        var lines = [path, "  \(format), \(total.tensors) tensors, \(total.parameters) parameters, \(total.byteCount) bytes"]
        let width = max(4, parts.map(\.name.count).max() ?? 0)
        let rows = [("part", "tensors", "parameters")] + parts.map { ($0.name, String($0.tensors), String($0.parameters)) }
        lines += rows.map { name, tensors, parameters in
            "  " + Self.padded(name, width) + Self.aligned(tensors, 9) + Self.aligned(parameters, 14)
        }
        let nameWidth = (tensors.map(\.name.count).max() ?? 0) + 1
        lines += tensors.map { name, header in
            "  \(Self.padded(name, nameWidth)) \(Self.padded(header.type.rawValue, 5)) \(header.shape)"
        }
        lines += foreign.map { name, tensor in "  \(name) \(tensor.type) \(tensor.shape), a type that is not read" }
        if let hidden { lines.append("  " + hidden.hint) }
        lines += metadata.sorted { $0.key < $1.key }.map { key, value in
            "  \(key) = \(value.split(whereSeparator: \.isWhitespace).joined(separator: " "))"
        }
        return lines.map(\.printable)
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, min(width, 100) - text.count))
    }

    private static func aligned(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }

    /// The same for programs.
    public var json: JSON {
        func counts(_ part: Part) -> [JSON.Member] {
            [
                JSON.Member("tensors", .integer(part.tensors)), JSON.Member("parameters", .integer(part.parameters)),
                JSON.Member("bytes", .integer(part.byteCount)),
            ]
        }
        return .object([
            JSON.Member("path", .string(path)), JSON.Member("format", .string(format)),
            JSON.Member("total", .object(counts(total))),
            JSON.Member("parts", .array(parts.map { .object([JSON.Member("name", .string($0.name))] + counts($0)) })),
            JSON.Member("tensors", .array(tensors.map { name, header in
                .object([
                    JSON.Member("name", .string(name)), JSON.Member("dtype", .string(header.type.rawValue)),
                    JSON.Member("shape", .array(header.shape.map { .integer($0) })),
                ])
            })),
            JSON.Member("unread", .array(foreign.map { name, tensor in
                .object([
                    JSON.Member("name", .string(name)), JSON.Member("dtype", .string(tensor.type)),
                    JSON.Member("shape", .array(tensor.shape.map { .integer($0) })),
                ])
            })),
            JSON.Member("metadata", .object(metadata.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) })),
        ])
    }
}
