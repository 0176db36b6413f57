import DriftFormats
import DriftGPU

/// A feature encoder that is trained no more, and the vectors it makes of an image, by which a loss compares images beside their
/// values (arXiv 2602.04770, A.5). Its parameters are in a buffer of their own: nothing trains, averages or saves them with the model's.
package struct FrozenEncoder: Sendable {
    private let settings: EncoderSettings
    private let data: DataSettings
    private let encoder: PatchEncoder

    /// Nil where the settings name none.
    package init?(_ configuration: Configuration) {
        guard configuration.loss.features == .encoder else { return nil }
        (settings, data) = (configuration.encoder, configuration.data)
        let columns = data.width / settings.patch
        encoder = PatchEncoder(
            tokens: data.height / settings.patch * columns, tokenWidth: data.channels * settings.patch * settings.patch, columns: columns,
            embed: settings.embed, heads: settings.heads, depth: settings.depth, mlpRatio: settings.mlpRatio,
            epsilon: settings.layerNormEpsilon)
    }

    /// The name of the buffer of its parameters.
    package static let storageName = "feature_encoder"

    package func layout() throws -> ParameterLayout { try ParameterLayout(encoder.declarations.map { ($0.name, $0.shape) }) }

    /// Fills the buffer from the weights of a feature encoder's run.
    package func load(_ file: SafeTensorsFile, into memory: DeviceMemory) throws {
        try memory.load(file, layout(), into: Self.storageName)
    }

    /// Fills the buffer with untrained weights: for benchmarks, which time a step whatever the weights are.
    package func initialize(seed: UInt64, in memory: DeviceMemory) throws {
        let layout = try layout()
        let storage = layout.storage(Self.storageName)
        try layout.forEachInitialValue(of: encoder.declarations, seed: seed) { entry in
            try memory.read(Float.self, from: storage, at: entry.offset, count: entry.count)
        } body: { entry, values in
            try memory.write(values, to: storage, at: entry.offset)
        }
    }

    /// Whether the values of whole images are compared, too.
    package var comparesImages: Bool { settings.images }

    /// What images are compared by, each [n, V, D] of V vectors that have one scale: the rows of some blocks, and the means and deviations
    /// of these over patches and over the image. `tokens` [n, R, C] are the model's.
    package func vectors(of tokens: Tensor, in graph: Graph) throws -> [Tensor] {
        let count = tokens.shape[0]
        let images = try graph.unpatchify(tokens, channels: data.channels, height: data.height, width: data.width, patch: data.patch)
        let patches = try settings.patch == data.patch ? tokens : graph.patchify(images, patch: settings.patch)
        let scope = ParameterScope(graph, try layout(), storage: Self.storageName).fixed
        let (height, width) = (data.height / settings.patch, data.width / settings.patch)
        var vectors: [Tensor] = []
        for rows in try encoder.attended(encoder.embedded(patches, scope), after: settings.compared, scope) {
            vectors.append(rows)
            let map = try graph.reshape(rows, [count, height, width, encoder.width])
            let windows = settings.windows.filter { $0 > 1 && height % $0 == 0 && width % $0 == 0 && ($0 < height || $0 < width) }
            for (down, across) in windows.map({ ($0, $0) }) + [(height, width)] {
                let (mean, deviation) = try graph.patchStatistics(map, height: down, width: across)
                for statistic in [mean, deviation] {
                    vectors.append(try graph.reshape(statistic, [count, height / down * (width / across), encoder.width]))
                }
            }
        }
        return vectors
    }
}

extension Graph {
    /// Vectors of images [L n, V, D], the images of a label together -> a group for each label and vector, [L V, n, D].
    func groups(of vectors: Tensor, labels: Int) throws -> Tensor {
        let (count, places, width) = (vectors.shape[0] / labels, vectors.shape[1], vectors.shape[2])
        let split = try reshape(vectors, [labels, count, places, width])
        return try reshape(places == 1 ? split : permute(split, axis: 1), [labels * places, count, width])
    }
}

extension Graph {
    /// The vectors [n, V, D] by which generated and real tokens [n, R, C] are compared: whole images where `images` says so and the encoder's
    /// settings do not leave them out, then what the encoder makes of them.
    func compared(
        _ generated: Tensor, _ real: Tensor, _ encoder: FrozenEncoder?, images: Bool = true
    ) throws -> [(generated: Tensor, real: Tensor)] {
        func whole(_ x: Tensor) throws -> Tensor { try reshape(x, [x.shape[0], 1, x.count / x.shape[0]]) }
        var pairs: [(generated: Tensor, real: Tensor)] = []
        if images, encoder?.comparesImages != false { pairs.append(try (whole(generated), whole(real))) }
        guard let encoder else { return pairs }
        let (made, wanted) = try (encoder.vectors(of: generated, in: self), encoder.vectors(of: real, in: self))
        return pairs + zip(made, wanted).map { ($0, $1) }
    }
}
