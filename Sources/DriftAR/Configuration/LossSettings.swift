/// The drift loss: what is compared, at which temperatures, and with how many real images.
public struct LossSettings: Codable, Sendable, Equatable {
    /// What a group of the drift loss is: `samples` of one label, or the `tokens` of one image as in the reference.
    public enum Groups: String, Codable, Sendable, CaseIterable { case samples, tokens }
    /// What is compared in `samples` groups: whole images, phi of each location, or both losses added; or what a feature encoder makes of
    /// images, beside whole images (`EncoderSettings`). An autoencoder's loss takes `encoder` alone.
    public enum Features: String, Codable, Sendable, CaseIterable {
        case pixels, phi, both, encoder

        /// Whether phi is compared.
        package var havePhi: Bool { self == .phi || self == .both }
    }
    /// What the ring of real images holds: their `features`, as in the reference, or the image `tokens`, usually much
    /// smaller, whose features are then computed anew in every step that draws them.
    public enum BankContents: String, Codable, Sendable, CaseIterable { case features, tokens }

    public var groups = Groups.samples
    public var features = Features.pixels
    /// Temperatures of the kernel.
    public var radii: [Float] = [0.02, 0.05, 0.2]
    /// P, real images each group is drawn to.
    public var positives = 32
    /// Extra negatives: of the drift decoder from the ring of earlier generated features (`tokens` groups), of DiT real images
    /// of any class, which weigh what the strength of guidance says.
    public var negatives = 0
    /// Capacity of a class's ring of real features.
    public var positiveBank = 128
    /// Capacity of the ring of generated features.
    public var negativeBank = 1000
    public var bankContents = BankContents.features

    public init() {}

    func validate() throws {
        try require(!radii.isEmpty && radii.count <= 8 && radii.allSatisfy { $0 > 0 && $0.isFinite }, "radii \(radii): take 1 to 8 numbers above 0")
        try require(positives > 0 && positives <= 1_000_000, "positives \(positives): take 1 to 1000000")
        try require(negatives >= 0 && negatives <= 1_000_000, "negatives \(negatives): take 0 to 1000000")
        try require(positiveBank > 0 && negativeBank > 0, "banks: positive-bank and negative-bank must be above 0")
    }
}
