import Testing
@testable import DriftData

@Suite struct PhiloxTests {
    /// The known answers published with the generator.
    @Test func knownAnswers() {
        #expect(Philox(seed: 0).words(0, 0, 0, 0) == SIMD4(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
        #expect(Philox(seed: .max).words(.max, .max, .max, .max) == SIMD4(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
        #expect(Philox(seed: 0x299F_31D0_A409_3822).words(0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344)
            == SIMD4(0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
    }

    @Test func boundedDrawsAreEven() {
        let random = Philox(seed: 5)
        var counts = [Int](repeating: 0, count: 7)
        for i in 0..<70_000 { counts[random.below(7, stream: 1, step: 2, element: UInt32(i))] += 1 }
        // Five standard deviations of a binomial count.
        #expect(counts.allSatisfy { abs($0 - 10_000) < 470 })
    }
}
