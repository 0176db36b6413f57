import TestSupport
import Testing

@testable import DriftFormats

@Suite struct HalfPrecisionTests {
    @Test("every half survives the way to a float and back")
    func allHalves() {
        for bits in UInt16.min ... .max {
            let value = HalfPrecision.float(half: bits)
            let back = HalfPrecision.half(value)
            #expect(value.isNaN ? back & 0x7FFF > 0x7C00 : back == bits)
        }
    }

    @Test("halves round to the nearest, ties to even")
    func halves() {
        for (value, bits) in [
            (1 + 0x1p-11, 0x3C00), (1 + 0x1p-11 + 0x1p-20, 0x3C01), (1 + 0x3p-11, 0x3C02), (65519, 0x7BFF), (65520, 0x7C00),
            (1e9, 0x7C00), (-1e9, 0xFC00), (0x1p-25, 0), (0x1.8p-25, 1), (0x3p-25, 2), (0x1p-14 - 0x1p-26, 0x0400), (-0.0, 0x8000),
        ] as [(Float, UInt16)] {
            #expect(HalfPrecision.half(value) == bits, "\(value)")
        }
    }

    @Test("the nearest of a half's neighbours is taken for numbers between them")
    func nearest() {
        var random = TestNumbers(3)
        for _ in 0..<20_000 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next() << 7 ^ random.next()))
            guard value.magnitude < 65504 else { continue }
            let bits = HalfPrecision.half(value)
            let error = (Double(HalfPrecision.float(half: bits)) - Double(value)).magnitude
            for neighbour in [bits &- 1, bits &+ 1] {
                let other = HalfPrecision.float(half: neighbour)
                #expect(other.isNaN || (Double(other) - Double(value)).magnitude >= error, "\(value)")
            }
        }
    }

    @Test func bfloat16() {
        for (value, bits) in [
            (1, 0x3F80), (1 + 0x1p-8, 0x3F80), (1 + 0x3p-8, 0x3F82), (1 + 0x1.01p-8, 0x3F81), (.infinity, 0x7F80),
            (.greatestFiniteMagnitude, 0x7F80), (-2.5, 0xC020), (.leastNonzeroMagnitude, 0),
        ] as [(Float, UInt16)] {
            #expect(HalfPrecision.bfloat16(value) == bits, "\(value)")
        }
        #expect(Float(bitPattern: UInt32(HalfPrecision.bfloat16(Float(bitPattern: 0x7F80_0001))) << 16).isNaN)
    }
}
