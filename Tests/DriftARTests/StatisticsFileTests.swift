import Foundation
import Testing
@testable import DriftAR

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
        var random = TestRandom(5)
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
}
