import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

@Suite(.serialized) struct AutoencoderTests {
    private func values(_ count: Int) throws -> [Float] { Array(try OptDigits.all().images[..<(count * 64)]) }

    @Test("an image's result does not depend on what is encoded or decoded with it")
    func batches() throws {
        try TestDevice.with(.cpu16) { device in
            let images = try values(5)
            let results = try [1, 2, 5].map { limit in
                let autoencoder = Autoencoder(try TinyVAE.weights(), device: device, batchLimit: limit)
                let moments = try autoencoder.moments(images, height: 8, width: 8)
                return (moments, try autoencoder.images(Array(moments[..<(5 * 32)]), height: 4, width: 4))
            }
            #expect(results[0].0.count == 5 * 4 * 16 && results[0].1.count == 5 * 64)
            for (moments, pixels) in results {
                for (got, want) in [(moments, results[0].0), (pixels, results[0].1)] {
                    let error = zip(got, want).map { abs($0 - $1) }.max() ?? 1
                    #expect(error <= 1e-5 * (want.map(abs).max() ?? 0))
                }
            }
            #expect(Set(results[0].0).count > 100)
        }
    }

    @Test("sizes that are no whole latents are refused")
    func sizes() throws {
        try TestDevice.with(.cpu16) { device in
            let autoencoder = Autoencoder(try TinyVAE.weights(), device: device)
            for (height, width) in [(7, 8), (8, 0), (-2, 8), (8192, 2)] {
                #expect(errorText { _ = try autoencoder.moments([], height: height, width: width) } != nil)
            }
            #expect(errorText { _ = try autoencoder.moments([1, 2], height: 8, width: 8) } != nil)
            #expect(errorText { _ = try autoencoder.images([], height: 1 << 40, width: 1) } != nil)
        }
    }

    @Test("the checksum tells encoders apart")
    func checksum() throws {
        try TestDevice.with(.cpu16) { device in
            let checksums = try [1, 1, 2].map { try Autoencoder(TinyVAE.weights(seed: $0), device: device).encoderChecksum() }
            #expect(checksums[0] == checksums[1] && checksums[0] != checksums[2])
        }
    }

    @Test("a reconstruction stands beside its original")
    func reconstruction() throws {
        try TestDevice.with(.cpu16) { device in
            let pixels = (0..<(6 * 10)).map { UInt8($0 * 4) }
            let picture = try Picture(width: 10, height: 6, channels: 1, pixels: pixels)
            let result = try Reconstruction(
                picture, height: 6, width: 10, autoencoder: Autoencoder(TinyVAE.weights(), device: device))
            #expect(result.original == picture)
            #expect(result.signalToNoise.isFinite && result.signalToNoise > 0)
            let both = try result.sideBySide()
            #expect((both.width, both.height) == (20, 6))
            for y in 0..<6 {
                #expect(Array(both.pixels[(y * 20)..<(y * 20 + 10)]) == Array(pixels[(y * 10)..<(y * 10 + 10)]))
                #expect(
                    Array(both.pixels[(y * 20 + 10)..<(y * 20 + 20)])
                        == Array(result.reconstructed.pixels[(y * 10)..<(y * 10 + 10)]))
            }
        }
    }

    @Test("signal-to-noise ratio by its definition")
    func signalToNoise() throws {
        let a = try Picture(width: 2, height: 1, channels: 1, pixels: [0, 255])
        let b = try Picture(width: 2, height: 1, channels: 1, pixels: [51, 255])
        #expect(abs(try peakSignalToNoise(a, b) - 16.9897) < 1e-4)
        #expect(try peakSignalToNoise(a, a) == .infinity)
        let other = try Picture(width: 1, height: 2, channels: 1, pixels: [0, 255])
        #expect(errorText { _ = try peakSignalToNoise(a, other) } != nil)
    }
}
