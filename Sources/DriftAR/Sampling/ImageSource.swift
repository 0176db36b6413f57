/// What a sampler draws images from: a model on a device with whatever it remembers between batches.
public protocol ImageSource: AnyObject {
    /// Forgets what belongs to weights that have changed.
    func reset() throws

    /// Makes labels ready for `draw`. Throws where the model knows no such `speculation`.
    func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws

    /// Tokens [labels.count * images.count, R, C] of labels that have been prepared, from the noise of the same shape that
    /// `noise` gives for a round.
    func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: (Int) -> [Float]
    ) throws -> [Float]

    /// Ends a drawing.
    func finish() throws
}
