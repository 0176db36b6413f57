import DriftGPU
import TestSupport
import Testing

@testable import DriftAR

@Suite(.serialized) struct RenderingTests {
    private func latents(channels: Int) -> Configuration {
        var configuration = Configuration()
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) = (channels, 4, 4, 1)
        (configuration.data.form, configuration.data.latentScale) = (.latents, 0.5)
        return configuration
    }

    @Test("pixels are pictures as they are")
    func pixels() throws {
        let tokens = (0..<128).map { Float($0) / 64 - 1.1 }
        let (pixels, shape) = try Rendering(Configuration())(tokens)
        #expect(shape == [2, 1, 8, 8] && pixels == images(fromTokens: tokens, Configuration()))
    }

    @Test("planes cut into tokens and put together again are the same; a token is a patch")
    func tokensOfPlanes() {
        var configuration = Configuration()
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) = (2, 4, 6, 2)
        let values = (0..<(3 * 48)).map(Float.init)
        let cut = tokens(fromPlanes: values, configuration)
        #expect(planes(fromTokens: cut, configuration) == values)
        // The second token of the first image: columns 2 and 3 of the first two rows, of one channel and then of the other.
        #expect(cut[8..<16] == [2, 3, 8, 9, 26, 27, 32, 33])
    }

    @Test("latents without an autoencoder are shown in false colours", arguments: [1, 2, 3, 5])
    func falseColours(_ channels: Int) throws {
        let tokens = (0..<(2 * 16 * channels)).map { Float($0 % 11) - 5 }
        let (pixels, shape) = try Rendering(latents(channels: channels))(tokens)
        let shown = channels < 3 ? 1 : 3
        #expect(shape == [2, shown, 4, 4] && pixels.count == 2 * shown * 16)
        for image in 0..<2 {
            for channel in 0..<shown {
                for position in 0..<16 {
                    let latent = tokens[(image * 16 + position) * channels + channel]
                    #expect(pixels[(image * shown + channel) * 16 + position] == min(max(latent / 3, -1), 1))
                }
            }
        }
    }

    @Test("latents are divided by their scale and decoded")
    func decodes() throws {
        try TestDevice.with(.cpu16) { device in
            let autoencoder = Autoencoder(try TinyVAE.weights(), device: device)
            let tokens = (0..<64).map { Float($0 % 7) / 7 - 0.5 }
            let (pixels, shape) = try Rendering(latents(channels: 2), autoencoder: autoencoder)(tokens)
            #expect(shape == [2, 1, 8, 8])
            let planes = (0..<64).map { (i: Int) -> Float in
                let (image, channel, position) = (i / 32, i / 16 % 2, i % 16)
                return tokens[(image * 16 + position) * 2 + channel] / 0.5
            }
            let decoded = try autoencoder.images(planes, height: 4, width: 4)
            #expect(pixels == decoded.map { min(max($0, -1), 1) })
            #expect(Set(pixels).count > 50)
            for wrong in [latents(channels: 3), Configuration()] {
                #expect(errorText { _ = try Rendering(wrong, autoencoder: autoencoder) }?.contains("--vae") == true)
            }
        }
    }
}
