import DriftAR
import DriftFormats
import DriftGPU

/// Images drawn from a model, from labels to tokens on the host.
public struct SampleBenchmark: Codable, Sendable {
    public let size: String
    public let labels: Int
    public let perLabel: Int
    public let isGuided: Bool
    /// Each distinct label encoded once, or every image as the reference does.
    public let encodeOnce: Bool
    /// With speculation: the draft's features where they are accepted. Nil in reports of models without a draft.
    public let isSpeculative: Bool?
    public let timing: Timing
    /// Launches of one time, and the part of a profiled one that is not in kernels: launching, and waiting for the host. Nil in
    /// reports made before they were measured.
    public let launches: Int?
    public let outsideKernels: Double?
    /// Part of the time in kernels that is the head's. Nil in reports made before it was measured.
    public let headShare: Double?

    public var imagesPerSecond: Double { Double(labels * perLabel) / timing.median }

    /// A way of drawing.
    public struct Kind: Sendable {
        public let isGuided: Bool
        public let encodeOnce: Bool
        public let isSpeculative: Bool

        /// Every kind that is timed. Guidance takes one decoder pass over both halves where labels are encoded once, and two
        /// where every image is.
        public static let all: [Kind] = [
            .init(isGuided: false, encodeOnce: true), .init(isGuided: false, encodeOnce: false),
            .init(isGuided: true, encodeOnce: true), .init(isGuided: true, encodeOnce: false),
            .init(isGuided: false, encodeOnce: true, isSpeculative: true),
        ]

        init(isGuided: Bool, encodeOnce: Bool, isSpeculative: Bool = false) {
            self.isGuided = isGuided
            self.encodeOnce = encodeOnce
            self.isSpeculative = isSpeculative
        }

        /// For example `guided, labels once`.
        public var name: String {
            "\(isSpeculative ? "speculative" : isGuided ? "guided" : "plain"), \(encodeOnce ? "labels once" : "every image")"
        }
    }

    /// How it was drawn.
    public var kind: Kind { Kind(isGuided: isGuided, encodeOnce: encodeOnce, isSpeculative: isSpeculative ?? false) }

    /// Draws `perLabel` images of each of `labels` labels, again and again, less often where that takes long. Nothing is kept from
    /// one time to the next but the bound graphs. `open` opens the device, with or without profiling: the times are taken without.
    public init(
        _ configuration: Configuration, labels: Int, perLabel: Int, kind: Kind, repetitions: Int,
        open: (_ isProfiling: Bool) throws -> Device
    ) throws {
        size = configuration.preset
        self.labels = labels
        self.perLabel = perLabel
        isGuided = kind.isGuided
        encodeOnce = kind.encodeOnce
        isSpeculative = kind.isSpeculative
        func prepared(_ isProfiling: Bool) throws -> (memory: DeviceMemory, draw: () throws -> Void) {
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(try open(isProfiling)))
            try state.initialize(seed: 1)
            let chosen = (0..<labels).map { $0 % configuration.data.classes }
            let draw =
                kind.encodeOnce
                ? Self.encodingOnce(Sampler(state.model, memory: state.memory), chosen, perLabel: perLabel, kind)
                : try Self.encodingEach(state, chosen, perLabel: perLabel, isGuided: kind.isGuided)
            try warmUp(draw)
            return (state.memory, draw)
        }
        let draw = try prepared(false).draw
        timing = try Timing(repetitions: repetitions) { try seconds(draw) }
        let (memory, profiled) = try prepared(true)
        let run = try ProfiledRun(memory) { try seconds(profiled) }
        (launches, outsideKernels, headShare) = (run.launches, run.outsideKernels, run.headShare)
    }

    private static let strength: Float = 3

    private static func encodingOnce(
        _ sampler: Sampler, _ labels: [Int], perLabel: Int, _ kind: Kind
    ) -> () throws -> Void {
        return {
            try sampler.reset()
            _ = try sampler.tokens(
                labels: labels, perLabel: perLabel, cfg: kind.isGuided ? strength : 1, seed: 1,
                speculation: kind.isSpeculative ? Speculation() : nil)
        }
    }

    /// Encoder and decoder for every image, and once more without a label for guidance, in batches as the sampler's.
    private static func encodingEach(
        _ state: ModelState, _ labels: [Int], perLabel: Int, isGuided: Bool
    ) throws -> () throws -> Void {
        let model = state.model
        guard model.stage.hasEntropy else {
            throw ConfigurationError("the model has no entropy: of its kind only labels encoded once are timed; take --encode-once true")
        }
        let memory = state.memory
        let all = labels.flatMap { Array(repeating: Int32($0), count: perLabel) }
        let count = min(all.count, 256)
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: "ema")
        let input = try graph.input("bench_labels", [count], .int32)
        let clock = try graph.input("bench_clock", [4], .uint32)
        let noise = try graph.randomNormal([count, model.tokens, model.tokenWidth], clock: clock)
        func generated(isDropped: Bool) throws -> Tensor {
            let drop = try graph.constant(
                isDropped ? "bench_dropped" : "bench_kept", [Float](repeating: isDropped ? 0 : 1, count: count), [count])
            let condition = try model.stage.condition(labels: input, drop: drop, scope)
            return try graph.part(Graph.head) {
                try model.head.draw(DrawingInputs(condition: condition, noise: noise), scope).tokens
            }
        }
        var tokens = try generated(isDropped: false)
        if isGuided {
            tokens = try graph.add(
                graph.scale(tokens, by: strength), graph.scale(generated(isDropped: true), by: 1 - strength))
        }
        graph.output(tokens)
        let executor = try memory.executor(graph)
        return {
            for start in stride(from: 0, to: all.count, by: count) {
                let part = Array(all[start..<min(start + count, all.count)])
                try executor.write(part + Array(repeating: 0, count: count - part.count), to: input)
                try executor.write([1, 0, UInt32(start), 0], to: clock)
                try executor.run()
                let _: [Float] = try executor.read(tokens)
            }
        }
    }
}
