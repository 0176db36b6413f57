import Foundation

/// A small generator for the data of checks.
public struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    /// A generator whose sequence follows from `seed`.
    public init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number in [low, high).
    public mutating func uniform(_ low: Double, _ high: Double) -> Double { Double.random(in: low..<high, using: &self) }

    /// A standard normal number.
    public mutating func normal() -> Double {
        let u = max(Double.random(in: 0..<1, using: &self), 1e-300)
        return (-2 * Foundation.log(u)).squareRoot() * cos(2 * .pi * Double.random(in: 0..<1, using: &self))
    }
}
