import DriftFormats
import DriftGPU

/// A VAE at work on a device: images to moments, latents to images, a few at a time.
public final class Autoencoder {
    public let weights: VAEWeights
    private let memory: DeviceMemory
    private let batchLimit: Int?
    private var encoder: Stage?
    private var decoder: Stage?

    public var vae: VAE { weights.vae }
    /// What it rounds the inputs of products and convolutions to.
    package var precision: Precision { memory.device.precision }

    /// One of the two halves: its parameters and the graphs made for it so far, by the shape of their input.
    private struct Stage {
        let layout: ParameterLayout
        let storage: String
        let checksum: UInt32
        var graphs: [[Int]: (input: Tensor, output: Tensor, executor: Executor)] = [:]
    }

    /// Parameters go to the device when a half is first used. `batchLimit`: most images at once; nil: as many as take little
    /// memory.
    public convenience init(_ weights: VAEWeights, device: Device, batchLimit: Int? = nil) {
        self.init(weights, memory: DeviceMemory(device), batchLimit: batchLimit)
    }

    /// The same in memory that others use, too: what it runs is timed with what they run.
    package init(_ weights: VAEWeights, memory: DeviceMemory, batchLimit: Int? = nil) {
        (self.weights, self.memory, self.batchLimit) = (weights, memory, batchLimit)
    }

    /// Images [N, C, height, width] in [-1, 1] -> moments [N, 2 z, height / f, width / f], means and log-variances.
    public func moments(_ images: [Float], height: Int, width: Int) throws -> [Float] {
        try vae.shape.check(height: height, width: width)
        return try run(
            images, entry: [vae.shape.imageChannels, height, width], pixels: height * width, stage: \.encoder,
            make: { try self.stage("vae_encoder", self.vae.encoderDeclarations) }, build: vae.encode)
    }

    /// Latents [N, z, height, width], not scaled -> images [N, C, height f, width f].
    public func images(_ latents: [Float], height: Int, width: Int) throws -> [Float] {
        let factor = vae.shape.factor
        guard height > 0, width > 0, height <= 4096 / factor, width <= 4096 / factor else {
            throw ConfigurationError("VAE: latents of \(height)x\(width); take 1 to \(4096 / factor)")
        }
        return try run(
            latents, entry: [vae.shape.latentChannels, height, width], pixels: height * width * factor * factor,
            stage: \.decoder, make: { try self.stage("vae_decoder", self.vae.decoderDeclarations) }, build: vae.decode)
    }

    /// The graphs made so far, of the encoder and then of the decoder: what can be measured after a run.
    package var executors: [Executor] {
        [encoder, decoder].compactMap { $0 }.flatMap { $0.graphs.values.map(\.executor) }
    }

    /// Images that are encoded or decoded at once at this size.
    public func batch(pixels: Int) -> Int {
        if let batchLimit { return max(1, batchLimit) }
        // About four tensors as large as the image's at the first level's width are alive at a time.
        let bytes = 16 * pixels * vae.shape.width
        return max(1, min(16, (memory.device.traits.isGPUShape ? 4 << 30 : 512 << 20) / max(1, bytes)))
    }

    /// A checksum of the encoder's parameters: which moments it makes.
    public func encoderChecksum() throws -> UInt32 {
        if let encoder { return encoder.checksum }
        let stage = try stage("vae_encoder", vae.encoderDeclarations)
        encoder = stage
        return stage.checksum
    }

    /// A checksum of the decoder's parameters: which images it makes.
    package func decoderChecksum() throws -> UInt32 {
        if let decoder { return decoder.checksum }
        let stage = try stage("vae_decoder", vae.decoderDeclarations)
        decoder = stage
        return stage.checksum
    }

    private func stage(_ storage: String, _ declarations: [ParameterDeclaration]) throws -> Stage {
        let layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
        // The device refuses what is too large before the host allocates as much.
        try memory.reserve(layout.storage(storage))
        let values = try weights.values(declarations, layout)
        var crc = CRC32()
        values.withUnsafeBytes { crc.update($0) }
        try memory.write(values, to: layout.storage(storage))
        try memory.device.finish()
        return Stage(layout: layout, storage: storage, checksum: crc.value)
    }

    private func run(
        _ values: [Float], entry: [Int], pixels: Int, stage path: ReferenceWritableKeyPath<Autoencoder, Stage?>,
        make: () throws -> Stage, build: (Tensor, ParameterScope) throws -> Tensor
    ) throws -> [Float] {
        let size = entry.reduce(1, *)
        guard values.count.isMultiple(of: size) else {
            throw GraphError("VAE: \(values.count) values are no whole number of images \(entry)")
        }
        let count = values.count / size
        let atOnce = batch(pixels: pixels)
        var result: [Float] = []
        for start in stride(from: 0, to: count, by: atOnce) {
            let shape = [min(atOnce, count - start)] + entry
            var stage = try self[keyPath: path] ?? make()
            let graph = try stage.graphs[shape] ?? bound(stage, shape, build)
            stage.graphs[shape] = graph
            self[keyPath: path] = stage
            try graph.executor.write(Array(values[(start * size)..<((start + shape[0]) * size)]), to: graph.input)
            try graph.executor.run()
            result += try graph.executor.read(graph.output)
        }
        return result
    }

    private func bound(
        _ stage: Stage, _ shape: [Int], _ build: (Tensor, ParameterScope) throws -> Tensor
    ) throws -> (input: Tensor, output: Tensor, executor: Executor) {
        let (graph, input, output) = try Self.graph(stage.layout, storage: stage.storage, shape, build)
        return (input, output, try memory.executor(graph))
    }

    /// The graph of one of the halves, with its parameters in the flat buffer `storage`.
    private static func graph(
        _ layout: ParameterLayout, storage: String, _ shape: [Int], _ build: (Tensor, ParameterScope) throws -> Tensor
    ) throws -> (graph: Graph, input: Tensor, output: Tensor) {
        let graph = Graph()
        let input = try graph.input("\(storage)_input", shape, grows: true)
        let output = try build(input, ParameterScope(graph, layout, storage: storage))
        graph.output(output)
        return (graph, input, output)
    }

    /// The graphs that encode and decode `count` images.
    static func graphs(_ vae: VAE, count: Int, height: Int, width: Int) throws -> [Graph] {
        func layout(_ declarations: [ParameterDeclaration]) throws -> ParameterLayout {
            try ParameterLayout(declarations.map { ($0.name, $0.shape) })
        }
        let (shape, factor) = (vae.shape, vae.shape.factor)
        return [
            try graph(
                layout(vae.encoderDeclarations), storage: "vae_encoder", [count, shape.imageChannels, height, width], vae.encode
            ).graph,
            try graph(
                layout(vae.decoderDeclarations), storage: "vae_decoder",
                [count, shape.latentChannels, height / factor, width / factor], vae.decode
            ).graph,
        ]
    }
}
