/// IEEE halves and bfloat16 by their bits.
package enum HalfPrecision {
    package static func float(half bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

    /// The nearest half, ties to even; beyond the largest one infinity.
    package static func half(_ value: Float) -> UInt16 { Float16(value).bitPattern }

    /// The nearest bfloat16, ties to even.
    package static func bfloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    }
}
