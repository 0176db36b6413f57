import DriftData
import DriftFormats
import DriftGPU

/// Drifting in the plane: a generator for each start, trained together on one device, with pictures of how their points move.
public struct ToyRun {
    /// What can be chosen.
    public struct Settings: Sendable {
        public var distribution = ToyDistribution.swissRoll
        public var steps = 1000
        /// Points that each generator makes, and real points, in a step; as many are shown.
        public var points = 512
        public var seed: UInt64 = 0
        public var learningRate = 5e-3
        /// Reaches of the field's kernels, as distances. One is enough in the plane: the force of each is scaled to unit size,
        /// so a wide one, which cannot see the shape any more, would shake the points to the end.
        public var temperatures: [Float] = [0.05]

        public init() {}

        /// Throws a line that names the first setting out of range.
        public func validate() throws {
            guard (1...1_000_000).contains(steps) else { throw ConfigurationError("steps \(steps): take 1 to 1000000") }
            guard (2...4096).contains(points) else { throw ConfigurationError("points \(points): take 2 to 4096") }
        }
    }

    /// Where the points are after some steps: for each start x and y one after the other.
    public struct Moment: Sendable {
        public let step: Int
        public let points: [[Float]]
    }

    public let settings: Settings
    private let memory: DeviceMemory
    private let training: Executor
    private let showing: Executor
    private let inputs: (positive: Tensor, clock: Tensor, learningRate: Tensor)
    private let shown: [Tensor]
    public static let starts = ToyStart.allCases

    public init(_ settings: Settings, device: Device) throws {
        try settings.validate()
        self.settings = settings
        memory = DeviceMemory(device)
        let generator = PointGenerator()
        let declarations = Self.starts.flatMap { generator.declarations($0.rawValue + ".") }
        let layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
        let count = settings.points

        let graph = Graph()
        let scope = ParameterScope(graph, layout)
        let clock = try graph.input("clock", [4], .uint32)
        let learningRate = try graph.input("learning_rate", [1])
        let positive = try graph.input("positive", [Self.starts.count, count, 2])
        let points = try Self.starts.map { start in
            try graph.reshape(
                generator(
                    graph.randomNormal([count, generator.noiseWidth], clock: clock), scope.scope(start.rawValue)),
                [1, count, 2])
        }
        // A group for each start: they share the data, and nothing else.
        let loss = try graph.driftLoss(
            graph.concat(points, axis: 0), targets: DriftTargets(positive: positive),
            affinity: .drifting(temperatures: settings.temperatures.map { $0 / Float(2).squareRoot() })
        ).loss
        try UpdateGraph.placeGradients(of: loss, layout.entries, layout, scope)
        var optimizer = AdamW()
        (optimizer.weightDecay, optimizer.maxNorm, optimizer.beta2) = (0, 0, 0.99)
        optimizer.averageDecay = 0.98
        try UpdateGraph.optimize(
            graph, layout, optimizer, active: Set(layout.entries.map(\.name)), loss: loss, learningRate: learningRate,
            flagsName: "flags")
        graph.output(loss)
        training = try memory.executor(graph)
        inputs = (positive, clock, learningRate)

        // The same noise in every picture, so that each point can be followed.
        let view = Graph()
        let noise = try view.input("shown_noise", [count, generator.noiseWidth])
        let averages = ParameterScope(view, layout, storage: "ema")
        shown = try Self.starts.map { try generator(noise, averages.scope($0.rawValue)) }
        shown.forEach(view.output)
        showing = try memory.executor(view)

        let random = Philox(seed: settings.seed)
        let fixed = (0..<noise.count).map { element in
            Float(random.normal(stream: Self.noiseStream, tensor: 0, element: element))
        }
        try showing.write(fixed, to: noise)
        try start(layout, declarations, generator)
    }

    private static let noiseStream: UInt32 = 0x2008_0000

    /// Draws the parameters, makes each cloud round, then moves and scales it so that it is where the start says.
    private func start(
        _ layout: ParameterLayout, _ declarations: [ParameterDeclaration], _ generator: PointGenerator
    ) throws {
        var values = try layout.initialValues(of: declarations, seed: settings.seed)
        let skips = Self.starts.compactMap { layout["\($0.rawValue).skip.weight"] }
        for skip in skips {
            for axis in 0..<2 { values[skip.offset + axis * generator.noiseWidth + axis] = 1 }
        }
        func show() throws -> [[Float]] {
            for name in ["parameters", "ema"] { try memory.write(values, to: layout.storage(name)) }
            return try look(step: 0).points
        }
        for ((start, skip), points) in zip(zip(Self.starts, skips), try show()) {
            let place = start.place(settings.distribution)
            let name = "\(start.rawValue).layers.\(generator.depth)."
            guard let weight = layout[name + "weight"], let bias = layout[name + "bias"] else { continue }
            for axis in 0..<2 {
                let list = stride(from: axis, to: points.count, by: 2).map { points[$0] }
                let mean = list.reduce(0, +) / Float(list.count)
                let variance = list.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(list.count)
                let factor = place.deviation / max(variance.squareRoot(), 1e-6)
                for k in 0..<generator.hidden { values[weight.offset + axis * generator.hidden + k] *= factor }
                for k in 0..<generator.noiseWidth { values[skip.offset + axis * generator.noiseWidth + k] *= factor }
                values[bias.offset + axis] = (axis == 0 ? place.centre.0 : place.centre.1) - mean * factor
            }
        }
        _ = try show()
    }

    /// The points at the start, at the end and at `count` - 2 steps between, more of them early, when most happens.
    public func run(moments count: Int, progress: (Int) -> Void = { _ in }) throws -> [Moment] {
        let wanted = Set((0..<max(count, 2)).map { index in
            let part = Double(index) / Double(max(count, 2) - 1)
            return Int((part * part * Double(settings.steps)).rounded())
        })
        let rate = LearningRate(
            peak: settings.learningRate, minimum: 0, warmup: 20, total: Double(settings.steps), kind: .cosine)
        var moments = [try look(step: 0)]
        for step in 0..<settings.steps {
            let real = settings.distribution.points(settings.points, seed: settings.seed &+ 1, step: step)
            try training.write([[Float]](repeating: real, count: Self.starts.count).flatMap { $0 }, to: inputs.positive)
            try training.write([Float(rate(Double(step + 1)))], to: inputs.learningRate)
            try training.write(Philox.clock(seed: settings.seed, number: step), to: inputs.clock)
            try training.run()
            if wanted.contains(step + 1) {
                moments.append(try look(step: step + 1))
                progress(step + 1)
            }
        }
        return moments
    }

    private func look(step: Int) throws -> Moment {
        try showing.run()
        return Moment(step: step, points: try shown.map { try showing.read($0) })
    }
}
