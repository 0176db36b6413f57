import Foundation

/// Normal numbers from uniform words.
enum BoxMuller {
    /// One standard normal number from two independent words.
    static func normal(_ a: UInt32, _ b: UInt32) -> Double {
        // (a + 1) / 2^32 lies in (0, 1]: the logarithm is finite.
        let radius = (-2 * log((Double(a) + 1) / 4_294_967_296)).squareRoot()
        return radius * cos(2 * .pi * Double(b) / 4_294_967_296)
    }
}
