import DriftData
import DriftFormats
import DriftGPU
import DriftReport
import Foundation

/// What a model that takes images apart makes of some of them, while it trains: pictures to look at, and how near they come.
final class HeldOutReconstructions {
    private let state: ModelState
    private let configuration: Configuration
    private let rendering: Rendering
    private let images: ImageSet
    /// The images that are compared, evenly spread over the set.
    private let chosen: [DrawnImage]
    private var graph: (tokens: Tensor, made: Tensor, executor: Executor)?

    /// Images that are compared, at most.
    private static let limit = 64
    /// Images at once: a graph has that many, and fewer images are filled up.
    private static let batch = 8

    /// Nil where the model reconstructs nothing. `training`: what to take where nothing is held out.
    init?(_ state: ModelState, _ configuration: Configuration, _ rendering: Rendering, heldOut: ImageSet?, training: ImageSet) {
        guard state.model.head.reconstructs else { return nil }
        (self.state, self.configuration, self.rendering) = (state, configuration, rendering)
        let images = heldOut.flatMap { $0.count > 0 ? $0 : nil } ?? training
        self.images = images
        let count = min(Self.limit, images.count)
        chosen = (0..<count).map { DrawnImage(index: $0 * images.count / count, variant: .plain) }
    }

    /// The first images and what is made of each, both as values in [-1, 1] of [count, C, H, W].
    private func pairs(_ count: Int) throws -> (real: [Float], made: [Float]) {
        let graph = try graph ?? bound()
        self.graph = graph
        var (real, made): ([Float], [Float]) = ([], [])
        for start in stride(from: 0, to: min(count, chosen.count), by: Self.batch) {
            let part = Array(chosen[start..<min(start + Self.batch, min(count, chosen.count))])
            let filled = part + Array(repeating: part[0], count: Self.batch - part.count)
            let pixels = try values(filled)
            try graph.executor.write(tokens(fromPlanes: pixels, configuration), to: graph.tokens)
            try graph.executor.run()
            let values = DriftAR.images(fromTokens: try graph.executor.read(graph.made), configuration)
            real += pixels[..<(part.count * size)]
            made += values[..<(part.count * size)]
        }
        return (real, made)
    }

    /// Values of an image.
    private var size: Int { images.channels * images.height * images.width }

    /// Images as the model sees them; of latents that are distributions, the means.
    private func values(_ chosen: [DrawnImage]) throws -> [Float] {
        var stored = [Float](repeating: 0, count: chosen.count * images.valueCount)
        try stored.withUnsafeMutableBufferPointer { try images.read(chosen, to: $0) }
        guard case .moments(let scale) = images.form else { return stored }
        return chosen.indices.flatMap { index in
            stored[(index * images.valueCount)..<(index * images.valueCount + size)].map { $0 * scale }
        }
    }

    private func bound() throws -> (tokens: Tensor, made: Tensor, executor: Executor) {
        let (graph, model) = (Graph(), state.model)
        let tokens = try graph.input("reconstructed_tokens", [Self.batch, model.tokens, model.tokenWidth])
        let scope = StoredWeights(model.layout, buffer: configuration.run.evalWeights.buffer).scope(graph)
        guard let made = try model.head.reconstruct(tokens, scope) else {
            throw GraphError("head \(model.head.kind): reconstructs nothing")
        }
        graph.output(made)
        return (tokens, made, try state.memory.executor(graph))
    }

    /// Peak signal-to-noise ratio in decibels, the mean over the images. Latents are taken to have the range of pixels.
    func signalToNoise() throws -> Double {
        let (real, made) = try pairs(chosen.count)
        let ratios = (0..<(real.count / size)).map { image in
            let error = (image * size..<(image + 1) * size).reduce(0.0) { sum, index in
                let difference = Double(real[index]) - Double(made[index])
                return sum + difference * difference
            }
            // The range of values is 2.
            return 10 * log10(4 * Double(size) / error)
        }
        return ratios.reduce(0, +) / Double(max(1, ratios.count))
    }

    /// The first images, each with what is made of it on its right, in rows of five.
    func picture() throws -> Picture {
        let (real, made) = try pairs(25)
        let count = real.count / size
        var both: [Float] = []
        for start in stride(from: 0, to: real.count, by: size) {
            both += real[start..<(start + size)]
            both += made[start..<(start + size)]
        }
        let (pixels, shape) = try rendering(tokens(fromPlanes: both, configuration))
        return try Picture(grid: pixels, shape: shape, columns: 2 * min(count, 5), scale: max(1, 48 / shape[2]))
    }
}
