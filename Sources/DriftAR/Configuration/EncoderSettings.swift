import DriftFormats

/// The feature encoder that a loss compares images by (`LossSettings.Features.encoder`): what `driftgpu features train` made, frozen.
/// Its sizes are those of its own run, from which `take` copies them.
public struct EncoderSettings: Codable, Sendable, Equatable {
    /// The run whose weights a new run takes. It keeps them in its own folder.
    public var path = ""
    public var patch = 8
    public var embed = 128
    public var heads = 4
    public var depth = 4
    public var mlpRatio: Float = 4
    public var layerNormEpsilon: Float = 1e-5
    /// Blocks after which its rows are compared, counted from 1; empty: every second one, and the last.
    public var blocks: [Int] = []
    /// Sides, in tokens of the encoder, of the patches over which means and deviations are compared, beside those over the whole image. Of the defaults those
    /// that do not divide the encoder's rows and columns are left out.
    public var windows = [2, 4]
    /// Whether the values of whole images are compared, too.
    public var images = true

    public init() {}

    /// The blocks that are compared.
    var compared: [Int] { blocks.isEmpty ? (1...max(1, depth)).filter { $0 % 2 == 0 || $0 == depth } : blocks }

    /// The sizes of the encoder of these settings, which `path` names. Throws where it is none.
    public mutating func take(_ encoder: Configuration, at path: String) throws {
        guard let own = encoder.head.maskedAutoencoder else {
            throw ConfigurationError("features \(path): no feature encoder, but a model with the head \(encoder.head.kind); train one: driftgpu features train")
        }
        self.path = path
        (patch, depth) = (encoder.data.patch, own.depth)
        (embed, heads) = (encoder.network.embed, encoder.network.heads)
        (mlpRatio, layerNormEpsilon) = (encoder.network.mlpRatio, encoder.network.layerNormEpsilon)
    }

    func validate(_ data: DataSettings) throws {
        try require(
            patch > 0 && data.height % patch == 0 && data.width % patch == 0,
            "encoder patch \(patch): must divide the height \(data.height) and the width \(data.width)")
        try require(heads > 0 && embed > 0 && embed <= 65536 && embed % heads == 0, "encoder embed \(embed): must be a multiple of its heads \(heads)")
        try require(depth > 0 && depth <= 256, "encoder depth \(depth): take 1 to 256")
        try require(mlpRatio > 0 && mlpRatio <= 64, "encoder mlpRatio \(mlpRatio): take a number above 0, up to 64")
        try require(layerNormEpsilon > 0 && layerNormEpsilon.isFinite, "encoder layerNormEpsilon \(layerNormEpsilon): must be above 0")
        try require(blocks.count <= 256 && blocks.allSatisfy { (1...depth).contains($0) }, "encoder blocks \(blocks): take numbers from 1 to its depth \(depth)")
        try require(windows.count <= 16 && windows.allSatisfy { $0 > 0 }, "encoder windows \(windows): take numbers above 0")
        let (rows, columns) = (data.height / patch, data.width / patch)
        try require(
            windows == EncoderSettings().windows || windows.allSatisfy { rows % $0 == 0 && columns % $0 == 0 },
            "encoder windows \(windows): take divisors of its \(rows) x \(columns) tokens")
    }
}
