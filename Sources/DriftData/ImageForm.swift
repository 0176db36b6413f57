import DriftFormats

/// What the values of an image are, and how they are stored.
public enum ImageForm: Sendable, Equatable {
    /// Pixels [C, H, W] in [-1, 1].
    case pixels
    /// Pixels [C, H, W] as bytes: a byte v is the value v / 127.5 - 1.
    case bytes
    /// Mean and log-variance of a latent [2 C, H, W]: the model sees draws from that normal distribution, times `scale`.
    case moments(scale: Float)

    /// Whether images are what a person sees, and no latents.
    public var arePixels: Bool { if case .moments = self { false } else { true } }

    /// Bytes that a value takes in storage.
    package var bytesPerValue: Int { self == .bytes ? 1 : 4 }

    /// What stored values stand for, to a buffer of as many floats: pixels in [-1, 1], moments as they are.
    package func write(_ stored: UnsafeRawBufferPointer, to values: UnsafeMutableBufferPointer<Float>) {
        if self == .bytes {
            for i in 0..<values.count { values[i] = Picture.value(stored[i]) }
        } else {
            UnsafeMutableRawBufferPointer(values).copyMemory(from: UnsafeRawBufferPointer(rebasing: stored[..<(4 * values.count)]))
        }
    }
}
