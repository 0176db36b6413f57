import DriftGPU

/// Draws the images of a generator whose parameters are on a device, and keeps what batches share.
package protocol GenerationLoop: AnyObject {
    /// The conditions it keeps; nil where the stage has none.
    var encoder: LabelEncoder? { get }
    /// The speculative loop around it; nil where there is no draft.
    var speculation: SpeculativeLoop? { get }

    /// Looks into single rounds; nil where tokens are not drawn in rounds.
    var probe: MaskedProbe? { get }
    /// What passes over tokens have drawn since the last `reset`; nil where there are none.
    var decoding: DecodingFigures? { get }

    /// Forgets what belongs to weights that have changed.
    func reset() throws

    /// Makes labels ready for `draw`. Throws where the generator knows no such `speculation`.
    func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws

    /// Tokens [labels.count * images.count, R, C] of labels that have been prepared.
    func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: DrawingNoise
    ) throws -> [Float]

    /// Ends a drawing.
    func finish() throws
}

extension GenerationLoop {
    package var probe: MaskedProbe? { nil }
    package var decoding: DecodingFigures? { nil }
}

/// Where the random numbers of a drawing come from.
package struct DrawingNoise {
    package let seed: UInt64
    /// Those of a round as the host draws them, [labels.count * images.count, R, C].
    package let values: (_ round: Int) -> [Float]
}

/// Parameters in a flat buffer.
package struct StoredWeights: Sendable {
    package let layout: ParameterLayout
    /// The buffer's name: `ema` or `parameters`.
    package let buffer: String

    package init(_ layout: ParameterLayout, buffer: String) { (self.layout, self.buffer) = (layout, buffer) }

    /// The parameters as tensors of a graph.
    package func scope(_ graph: Graph) -> ParameterScope { ParameterScope(graph, layout, storage: buffer) }
    package var storage: Storage { layout.storage(buffer) }
}

/// What everything that draws from a generator needs of the device.
package struct SamplingContext {
    package let weights: StoredWeights
    package let memory: DeviceMemory
    package let clock: SamplingClock

    package init(_ weights: StoredWeights, memory: DeviceMemory, clock: SamplingClock = SamplingClock()) {
        (self.weights, self.memory, self.clock) = (weights, memory, clock)
    }
}

extension Generator {
    /// The loop that draws from this generator: the stage's where it asks for tokens that were drawn before, else all at once.
    package func loop(_ context: SamplingContext) -> any GenerationLoop {
        stage.loop(head, context) ?? LabelOnce(self, context)
    }

    /// The graphs that `loop` makes for batches without guidance, from labels it has not seen.
    func drawingGraphs(_ batches: [DrawingGraph.Size], weights: String) throws -> [Graph] {
        let weights = StoredWeights(layout, buffer: weights)
        if let graphs = try stage.graphs(ofLoopWith: head, batches, weights) { return graphs }
        return try stage.graphs(batches, weights) + batches.flatMap { try LabelOnce.graphs(self, weights, .init($0)) }
    }

    /// Storages that the graphs above do not name: the tracker of the speculative loop.
    var drawingStorages: [Storage] { stage.hasEntropy ? [SpeculativeLoop.tracker] : [] }
}
