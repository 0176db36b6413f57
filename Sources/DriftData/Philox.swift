/// Philox4x32-10: four random words for every 128-bit counter under a 64-bit key. No state: a draw depends on its
/// counter alone, so a resumed run continues with the same numbers.
public struct Philox: Sendable {
    private let key: (UInt32, UInt32)

    public init(seed: UInt64) {
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    }

    /// Seed and number of a step, two words each, lowest first: what random draws on the device take.
    package static func clock(seed: UInt64, number: Int) -> [UInt32] {
        [
            UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32), UInt32(truncatingIfNeeded: number),
            UInt32(truncatingIfNeeded: number >> 32),
        ]
    }

    /// The four words of the counter (c0, c1, c2, c3).
    public func words(_ c0: UInt32, _ c1: UInt32, _ c2: UInt32, _ c3: UInt32) -> SIMD4<UInt32> {
        var x = SIMD4(c0, c1, c2, c3)
        var (k0, k1) = key
        for _ in 0..<10 {
            let a = (0xD251_1F53 as UInt32).multipliedFullWidth(by: x[0])
            let b = (0xCD9E_8D57 as UInt32).multipliedFullWidth(by: x[2])
            x = SIMD4(b.high ^ x[1] ^ k0, b.low, a.high ^ x[3] ^ k1, a.low)
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return x
    }

    /// A whole number in 0..<bound, for draw number `element` of a (stream, step).
    ///
    /// 64 random bits against the bound: the bias is below bound / 2^64.
    package func below(_ bound: Int, stream: UInt32, step: UInt64, element: UInt32) -> Int {
        let x = words(element, stream, UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32))
        let bits = UInt64(x[0]) << 32 | UInt64(x[1])
        return Int(bits.multipliedFullWidth(by: UInt64(bound)).high)
    }
}

extension Philox {
    /// `count` different numbers below `bound`, in random order: the first places of a Fisher-Yates shuffle. All of them where
    /// there are not more.
    package func draw(_ count: Int, of bound: Int, stream: UInt32, step: UInt64) -> [Int] {
        var numbers = Array(0..<bound)
        for k in 0..<min(count, bound) {
            let other = below(bound - k, stream: stream, step: step, element: UInt32(truncatingIfNeeded: k))
            numbers.swapAt(k, k + other)
        }
        return Array(numbers.prefix(count))
    }
}
