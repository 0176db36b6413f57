import DriftFormats

extension Configuration {
    /// Whether each distinct label of a step goes through the model's encoder once; DiT's condition always does.
    var encodesOnce: Bool { encodeOnce || model == .dit }

    /// N, real images of any class among the negatives of each label of a step.
    var unconditionalImages: Int { model == .dit ? negatives : 0 }

    /// The weight of the losses beside the drift loss, and when the encoder is frozen. DiT has neither.
    var phases: PhaseSchedule {
        let total = Double(steps)
        return model == .dit
            ? PhaseSchedule(alpha0: 0, freezeFraction: 1, total: total)
            : PhaseSchedule(alpha0: alpha0, freezeFraction: freezeFraction, total: total)
    }

    /// The sizes that DiT comes in.
    public enum DiTSize: String, CaseIterable, Sendable {
        case tiny, small, base
    }

    /// Takes the width, heads and depth of a size of DiT.
    public mutating func adopt(_ size: DiTSize) {
        switch size {
        case .tiny: (embed, heads, decoderDepth) = (192, 3, 12)
        case .small: (embed, heads, decoderDepth) = (384, 6, 12)
        case .base: (embed, heads, decoderDepth) = (768, 12, 12)
        }
    }

    /// Throws a line that names the first setting that the model cannot take.
    func validateModel() throws {
        func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
            if !condition { throw ConfigurationError(message()) }
        }
        try require(guidanceMax >= 1 && guidanceMax <= 1000, "guidance-max \(guidanceMax): take 1 (none) to 1000")
        guard model == .dit else {
            try require(!rope && !qkNorm && !swiglu, "rope, qk-norm and swiglu: only for the model dit; add --model dit")
            return try require(guidanceMax == 1, "guidance-max \(guidanceMax): only for the model dit; drift-ar is guided with --cfg when sampling")
        }
        try require(groups == .samples, "drift-groups \(groups.rawValue): the model dit takes samples")
        try require(features == .pixels, "features \(features.rawValue): the model dit has no phi; take pixels")
        try require(dropout == 0, "dropout \(dropout): the model dit has none; take 0")
        try require(!rope || (embed / heads) % 2 == 0, "rope: heads of an even size are needed, not embed \(embed) / heads \(heads)")
        try require(!qkNorm || (embed / heads) % 2 == 0, "qk-norm: heads of an even size are needed, not embed \(embed) / heads \(heads)")
        try require(
            guidanceMax == 1 || negatives > 0,
            "guidance-max \(guidanceMax): guidance needs real images among the negatives; set --negatives")
    }
}

extension DiTModel.Shape {
    public init(_ configuration: Configuration) {
        self.init(
            rows: configuration.height / configuration.patch, columns: configuration.width / configuration.patch,
            tokenWidth: configuration.tokenWidth, embed: configuration.embed, heads: configuration.heads,
            depth: configuration.decoderDepth, classes: configuration.classes, mlpRatio: configuration.mlpRatio,
            epsilon: configuration.layerNormEpsilon, lastLayerDeviation: configuration.lastLayerDeviation)
        hasRotary = configuration.rope
        normsQueryKey = configuration.qkNorm
        hasSwiGLU = configuration.swiglu
    }
}
