import Foundation
import TestSupport
import Testing
@testable import DriftAR
@testable import DriftFormats
@testable import DriftReport

@Suite struct StatisticsFileTests {
    let folder: TestFolder
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/metrics").path

    init() throws { folder = try TestFolder() }

    private func bytes(_ name: String) throws -> [UInt8] { try Files.read(Self.fixtures + "/" + name) }

    /// What NumPy stored and deflated are the statistics of the features themselves.
    @Test(arguments: ["stored.npz", "deflated.npz"])
    func agreesWithNumPy(_ name: String) throws {
        let read = try FeatureStatistics(npz: Self.fixtures + "/" + name)
        let file = try SafeTensorsFile(Self.fixtures + "/features.safetensors")
        let own = try FeatureStatistics(FeatureSet(file.floats("x"), width: 24))
        // The deflated mean is of single precision.
        for (a, b) in zip(read.mean, own.mean) { #expect(abs(a - b) < 1e-7) }
        for (a, b) in zip(read.covariance, own.covariance) { #expect(abs(a - b) < 1e-12) }
        #expect(abs(try FrechetDistance.squared(read, own)) < 1e-7)
    }

    @Test(arguments: ["stored.npz", "deflated.npz"])
    func refusesEveryTruncation(_ name: String) throws {
        let whole = try bytes(name)
        for length in stride(from: 0, to: whole.count, by: 7) {
            let path = try folder.write(Array(whole[..<length]), to: "cut.npz")
            #expect(throws: DataError.self, "cut at \(length)") { _ = try FeatureStatistics(npz: path) }
        }
    }

    @Test(arguments: ["stored.npz", "deflated.npz"])
    func survivesFlippedBits(_ name: String) throws {
        let whole = try bytes(name)
        var random = TestNumbers(5)
        for _ in 0..<400 {
            var damaged = whole
            damaged[random.below(whole.count)] ^= 1 << UInt8(random.below(8))
            let path = try folder.write(damaged, to: "flipped.npz")
            // A date or an unused field may change; anything else is an error, nothing a crash.
            do {
                _ = try FeatureStatistics(npz: path)
            } catch {
                #expect(error is DataError, "\(error)")
            }
        }
    }

    @Test func inflatesNoMoreThanIsThere() throws {
        // The directory claims another size: in the entry of sigma the field at 24.
        for size: UInt32 in [0, 1, 4736, 4735, 4737, 40_000, 0x7FFF_FFFF] {
            var damaged = try bytes("deflated.npz")
            let signature: [UInt8] = [0x50, 0x4B, 0x01, 0x02]
            let starts = damaged.indices.filter { damaged[$0...].starts(with: signature) }
            let entry = try #require(starts.first { damaged[($0 + 46)...].starts(with: Array("sigma".utf8)) })
            for i in 0..<4 { damaged[entry + 24 + i] = UInt8(truncatingIfNeeded: size >> UInt32(8 * i)) }
            let path = try folder.write(damaged, to: "lied.npz")
            if size == 4736 {
                _ = try FeatureStatistics(npz: path)
            } else {
                #expect(throws: DataError.self, "\(size)") { _ = try FeatureStatistics(npz: path) }
            }
        }
    }

    @Test func namesWhatIsWrong() throws {
        let path = try folder.write("no zip", to: "text.npz")
        #expect(errorText { _ = try FeatureStatistics(npz: path) }?.contains("zip") == true)
        #expect(errorText { _ = try FeatureStatistics(npz: folder.file("none.npz")) }?.contains("No such file") == true)
        let pictures = try folder.write([0x50, 0x4B, 5, 6] + [UInt8](repeating: 0, count: 18), to: "empty.npz")
        #expect(errorText { _ = try FeatureStatistics(npz: pictures) }?.contains("no array 'mu'") == true)
    }

    /// The covariance of 40 random features of `width` values, times `scale`.
    private func covariance(_ width: Int, seed: UInt64, scale: Double = 1) throws -> [Double] {
        var random = TestNumbers(seed)
        let set = try FeatureSet((0..<(40 * width)).map { _ in random.float() }, width: width)
        return try FeatureStatistics(set).covariance.map { $0 * scale }
    }

    private func write(_ mean: [Double], _ covariance: [Double], kind: String = "<f8", fortran: Bool = false) throws -> String {
        func bytes(_ values: [Double]) -> [UInt8] {
            kind == "<f4" ? NumPyFixtures.bytes(values.map(Float.init)) : NumPyFixtures.bytes(values)
        }
        let (mu, sigma) = (
            NumPyFixtures.npy(kind, [mean.count], bytes(mean)),
            NumPyFixtures.npy(kind, [mean.count, mean.count], bytes(covariance), fortran: fortran)
        )
        return try folder.write(NumPyFixtures.npz([("mu", mu), ("sigma", sigma)]), to: "s.npz")
    }

    @Test("a sigma that is no covariance is refused; one that rounding made singular is none of those")
    func isACovariance() throws {
        let width = 64
        let (mean, good) = ([Double](repeating: 0, count: width), try covariance(width, seed: 1))
        func message(_ covariance: [Double], mean: [Double]? = nil) throws -> String {
            let path = try write(mean ?? [Double](repeating: 0, count: width), covariance)
            return errorText { _ = try FeatureStatistics(npz: path) } ?? ""
        }
        #expect(try message(good).isEmpty && message(good.map { $0 * 0 }).isEmpty && message(good.map { $0 * 1e-30 }).isEmpty)
        #expect(try message(good.map { -$0 }).contains("sigma is no covariance: a variance of -"))
        // One direction alone.
        var dented = good
        for i in 0..<width { for j in 0..<width { dented[i * width + j] -= 0.05 / Double(width) } }
        #expect(try message(dented).contains("sigma is no covariance: a variance of -0.0"))
        var skewed = good
        skewed[1] += 0.01
        #expect(try message(skewed).contains("sigma is not symmetric, by up to 0.01"))
        for value in [Double.nan, .infinity] {
            var broken = good
            broken[5] = value
            #expect(try message(broken).contains("1 value of mu and sigma not finite"))
        }
        #expect(try message(good, mean: [Double](repeating: .nan, count: width)).contains("64 values of mu and sigma not finite"))
        let (mu, sigma) = (NumPyFixtures.npy("<f8", [1], NumPyFixtures.bytes([0.0])), NumPyFixtures.npy("<f8", [2, 2], NumPyFixtures.bytes([1.0, 0, 0, 1])))
        try folder.write(NumPyFixtures.npz([("mu", mu), ("sigma", sigma)]), to: "two.npz")
        #expect(errorText { _ = try FeatureStatistics(npz: folder.file("two.npz")) }?.contains("sigma [2, 2] for mu [1]") == true)
        // 40 images have 39 directions: rounded to single precision, the others' variances scatter about 0.
        let rounded = try FeatureStatistics(npz: write(mean, good, kind: "<f4"))
        #expect(rounded.covariance != good)
        #expect(try FeatureStatistics(npz: write(mean, good, fortran: true)).covariance == good)
    }

    @Test("no distance is below 0, and equal statistics are at 0 but for rounding")
    func neverBelowZero() throws {
        for seed in 0..<12 as Range<UInt64> {
            let width = 8 + 8 * Int(seed)
            let mean = [Double](repeating: 0, count: width)
            let (a, b) = (try covariance(width, seed: seed), try covariance(width, seed: seed + 100, scale: 1e3))
            for kind in ["<f8", "<f4"] {
                let first = try FeatureStatistics(npz: write(mean, a, kind: kind))
                let second = try FeatureStatistics(npz: write(mean, b, kind: kind))
                let trace = (0..<width).reduce(0) { $0 + a[$1 * (width + 1)] }
                for (one, other) in [(first, first), (first, second), (second, first)] {
                    #expect(try FrechetDistance.squared(one, other) >= 0)
                }
                #expect(try FrechetDistance.squared(first, first) < (kind == "<f8" ? 1e-9 : 1e-2) * trace)
            }
        }
        // Variances below 0, each within rounding of the largest: together they say something else.
        let width = 256
        let diagonal = (0..<(width * width)).map { $0 == 0 ? 1 : $0 % (width + 1) == 0 ? -3e-5 : 0 }
        let hollow = try FeatureStatistics(mean: [Double](repeating: 0, count: width), covariance: diagonal, name: "hollow")
        #expect(errorText { _ = try FrechetDistance.squared(hollow, hollow) }?.contains("which is below 0") == true)
    }
}
