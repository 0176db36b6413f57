/// The two 8-bit floating types of PyTorch and safetensors as tables: every one of their values is a float.
enum Float8 {
    /// F8_E4M3, PyTorch's float8_e4m3fn: 4 bits of exponent, 3 of fraction, no infinities, up to 448.
    static let e4m3: [Float] = (UInt8.min...UInt8.max).map { bits in
        let (exponent, fraction) = (Int(bits >> 3 & 0xF), Float(bits & 7))
        let magnitude: Float =
            switch (exponent, bits & 7) {
            case (0xF, 7): .nan
            case (0, _): fraction * 0x1p-9
            default: (8 + fraction) * Float(sign: .plus, exponent: exponent - 10, significand: 1)
            }
        return bits >> 7 == 1 ? -magnitude : magnitude
    }

    /// F8_E5M2: the upper byte of a half.
    static let e5m2: [Float] = (UInt8.min...UInt8.max).map { HalfPrecision.float(half: UInt16($0) << 8) }
}
