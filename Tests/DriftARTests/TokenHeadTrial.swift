import DriftGPU

@testable import DriftAR
@testable import DriftData

/// A token head without a stage: conditions and tokens come from the host, and the head alone is trained.
final class TokenHeadTrial {
    let head: any TokenHead
    let rows: Int
    private let memory: DeviceMemory
    private let training: Executor
    private let inputs: (z: Tensor, targets: Tensor, clock: Tensor, learningRate: Tensor)
    let losses: [Tensor]
    let watched: [LossTerm]
    let layout: ParameterLayout

    /// D of the conditions.
    static let conditionWidth = 3

    init(_ head: any TokenHead, rows: Int, tokenWidth: Int, device: Device) throws {
        (self.head, self.rows) = (head, rows)
        memory = DeviceMemory(device)
        let declarations = head.declarations
        layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
        let graph = Graph()
        let scope = ParameterScope(graph, layout)
        let z = try graph.input("z", [1, rows, Self.conditionWidth])
        let targets = try graph.input("targets", [1, rows, tokenWidth])
        let clock = try graph.input("clock", [4], .uint32)
        let learningRate = try graph.input("learning_rate", [1])
        let step = try Self.inputs(graph, real: targets, clock: clock)
        let condition = Condition(z: z, entropy: try graph.fill([1, rows], with: 1), targets: targets)
        let made = try head.loss(condition, step, scope)
        (losses, watched) = (made.losses.map(\.value), made.watched)
        let loss = losses[0]
        let gradients = try graph.gradients(of: loss, withRespectTo: layout.entries.map { try scope.parameter($0.name) })
        for (entry, gradient) in zip(layout.entries, gradients) {
            if let gradient { try graph.place(gradient, in: layout.storage("gradients"), at: entry.offset) }
        }
        var optimizer = AdamW()
        (optimizer.weightDecay, optimizer.averageDecay) = (0, 0.99)
        try UpdateGraph.optimize(
            graph, layout, optimizer, active: Set(layout.entries.map(\.name)), loss: loss, learningRate: learningRate, flagsName: "flags")
        (losses + watched.map(\.value)).forEach(graph.output)
        training = try memory.executor(graph)
        inputs = (z, targets, clock, learningRate)
        let values = try layout.initialValues(of: declarations, seed: 3)
        for name in ["parameters", "ema"] { try memory.write(values, to: layout.storage(name)) }
    }

    /// What a step of training brings besides z.
    static func inputs(_ graph: Graph, real: Tensor, clock: Tensor) throws -> StepInputs {
        let labels = try graph.input("labels", [1], .int32)
        let one = try graph.input("one", [1])
        return StepInputs(labels: labels, dropUniform: one, clock: clock, alpha: one, real: real, isSecondPhase: false, labelCount: 1)
    }

    /// Takes a step on these rows, z [rows, conditionWidth] and targets [rows, C]; the loss before it.
    @discardableResult
    func train(_ z: [Float], _ targets: [Float], step: Int, learningRate: Float) throws -> Float {
        try training.write(z, to: inputs.z)
        try training.write(targets, to: inputs.targets)
        try training.write([11, 0, UInt32(step), 0] as [UInt32], to: inputs.clock)
        try training.write([learningRate], to: inputs.learningRate)
        try training.run()
        return try training.read(losses[0])[0]
    }

    /// The gradients of the last step by name.
    func gradients() throws -> [String: [Float]] {
        let flat = try memory.read(Float.self, from: layout.storage("gradients"))
        return Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, Array(flat[$0.offset..<($0.offset + $0.count)])) })
    }

    /// Gives every parameter values of its own, those that start at 0 too.
    func shake() throws {
        let random = Philox(seed: 5)
        let values = (0..<layout.count).map { 0.3 * Float(random.normal(stream: 1, tensor: 0, element: $0)) }
        for name in ["parameters", "ema"] { try memory.write(values, to: layout.storage(name)) }
    }

    /// Draws a token for each row of z [n, conditionWidth], guided from `other` where given. `clock` chooses the noise.
    func draw(
        _ z: [Float], from other: [Float]? = nil, cfg: Float = 1, temperature: Float = 1, clock: UInt32 = 0
    ) throws -> [Float] {
        let count = z.count / Self.conditionWidth
        let all = z + (other ?? [])
        let graph = Graph()
        let scope = ParameterScope(graph, layout, storage: "ema")
        let conditions = try graph.input("drawn_z", [all.count / Self.conditionWidth, Self.conditionWidth], grows: true)
        let strength = try other.map { _ in try graph.input("cfg", [1]) }
        let now = try graph.input("drawn_clock", [4], .uint32)
        let embedded = try head.embed(
            z: conditions, entropy: graph.fill([conditions.shape[0]], with: 1), cfg: strength, scope)
        let rows = try head.table(scope).map { try graph.split($0, axis: 0) }
        var x = try head.start.draw(count, clock: now, graph)
        for index in 0..<head.steps {
            let noise = head.drawsInSteps ? try graph.randomNormal(x.shape, clock: now) : nil
            x = try head.step(
                TokenStep(x: x, embedded: embedded, row: rows?[index], other: noise, cfg: strength, temperature: temperature), scope).x
        }
        graph.output(x)
        let executor = try memory.executor(graph)
        try executor.write([clock, 0, 0, 0] as [UInt32], to: now)
        try executor.write(all, to: conditions)
        if let strength { try executor.write([cfg], to: strength) }
        try executor.run()
        return try executor.read(x)
    }
}
