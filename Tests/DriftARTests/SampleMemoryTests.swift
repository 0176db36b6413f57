import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

/// What drawing and encoding batches of many sizes take of a device.
@Suite(.serialized) struct SampleMemoryTests {
    @Test("drawings of fifty sizes take what the largest takes", arguments: [TinyRun.pixels, .dit])
    func sampler(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let before = device.allocatedBytes
            let speculation = kind == .dit ? nil : Speculation(threshold: 1)
            func bytes(_ sizes: [(labels: Int, perLabel: Int)], cfgs: [Float]) throws -> Int {
                let state = ModelState(try kind.configuration.makeGenerator(), memory: DeviceMemory(device))
                try state.initialize(seed: 3)
                let sampler = Sampler(state.model, memory: state.memory)
                for size in sizes {
                    for cfg in cfgs {
                        try sampler.reset()
                        let tokens = try sampler.tokens(
                            labels: Array(0..<size.labels), perLabel: size.perLabel, cfg: cfg, seed: 1,
                            speculation: speculation)
                        #expect(tokens.allSatisfy { $0.isFinite })
                    }
                }
                return device.allocatedBytes - before
            }
            let largest = try bytes([(10, 5)], cfgs: [1, 2])
            let sizes = (1...10).flatMap { labels in (1...5).map { (labels: labels, perLabel: $0) } }
            #expect(try bytes(sizes, cfgs: [1, 2]) == largest)
            #expect(device.allocatedBytes == before)
        }
    }

    @Test("an autoencoder takes what its largest batch takes, and gives the same in any order of sizes")
    func autoencoder() throws {
        try TestDevice.with(.cpu16) { device in
            let before = device.allocatedBytes
            let images = Array(try OptDigits.all().images[..<(12 * 64)])
            func results(_ counts: [Int]) throws -> (bytes: Int, moments: [Int: [Float]]) {
                let autoencoder = Autoencoder(try TinyVAE.weights(), device: device, batchLimit: 12)
                var moments: [Int: [Float]] = [:]
                for count in counts {
                    let values = try autoencoder.moments(Array(images[..<(count * 64)]), height: 8, width: 8)
                    moments[count] = values
                    _ = try autoencoder.images(Array(values[..<(count * 32)]), height: 4, width: 4)
                }
                return (device.allocatedBytes - before, moments)
            }
            let largest = try results([12])
            let (rising, falling) = (try results(Array(1...12)), try results((1...12).reversed()))
            #expect(rising.bytes == largest.bytes && falling.bytes == largest.bytes)
            #expect(rising.moments == falling.moments && rising.moments[12] == largest.moments[12])
            #expect(device.allocatedBytes == before)
        }
    }
}
