import DriftData
import DriftGPU

/// Passes of a causal model over whole images: what it says of each token from the real ones before it, and what its draft says.
/// Without guidance.
package final class CausalProbe {
    private let stage: CausalStage
    private let head: any TokenHead
    private let context: SamplingContext
    private var passes: [Int: Pass] = [:]

    private struct Pass {
        let executor: Executor
        let (classes, tokens, clock): (Tensor, Tensor, Tensor)
        let known: Tensor
        let entropy: Tensor
        let drawn: Tensor?
        let draftEntropy: Tensor?
        let guesses: Tensor?
    }

    /// What a pass over b images of R tokens found.
    struct Look: Sendable {
        /// The real tokens as the model has them, normed where it norms [b, R, C].
        let real: [Float]
        /// [b, R].
        let entropy: [Float]
        /// What the head draws for each token [b, R, C]; empty where it takes several steps.
        let drawn: [Float]
        /// The draft's entropies [b, R - 1] for the tokens behind the first; empty where there is no draft.
        let draftEntropy: [Float]
        /// What the head draws for them from the draft's features and the same noise [b, R - 1, C].
        let guesses: [Float]
    }

    package init(_ stage: CausalStage, _ head: any TokenHead, _ context: SamplingContext) {
        (self.stage, self.head, self.context) = (stage, head, context)
    }

    /// Real tokens [b, R, C], the label of each image, and a number of the draw, which decides the noise.
    func look(_ real: [Float], _ labels: [Int], seed: UInt64, draw: Int) throws -> Look {
        let pass = try passes[labels.count] ?? make(labels.count)
        passes[labels.count] = pass
        let executor = pass.executor
        try executor.write(labels.map(Int32.init), to: pass.classes)
        try executor.write(real, to: pass.tokens)
        try executor.write(Philox.clock(seed: seed, number: draw), to: pass.clock)
        try executor.run()
        func read(_ tensor: Tensor?) throws -> [Float] { try tensor.map { try executor.read($0) } ?? [] }
        return try Look(
            real: read(pass.known), entropy: read(pass.entropy), drawn: read(pass.drawn),
            draftEntropy: read(pass.draftEntropy), guesses: read(pass.guesses))
    }

    private func make(_ images: Int) throws -> Pass {
        let (graph, tokens, width) = (Graph(), stage.shape.tokens, stage.shape.tokenWidth)
        let scope = context.weights.scope(graph)
        let classes = try graph.input("probe_classes", [images], .int32, grows: true)
        let real = try graph.input("probe_tokens", [images, tokens, width], grows: true)
        let clock = try graph.input("probe_clock", [4], .uint32)
        let known = try stage.norm(real, graph)
        let (z, found) = try stage.forward(front: stage.front(classes, scope), tokens: known, scope, withEntropy: true)
        guard let entropy = found else { throw GraphError("causal probe: no entropy") }
        let start = try graph.reshape(
            head.start.draw(images * tokens, clock: clock, graph), [images, tokens, head.start.width])

        /// Tokens that the head draws from features [b, n, D] and entropies [b, n], from the noise of the last n of each image.
        func draw(_ z: Tensor, _ entropy: Tensor) throws -> Tensor? {
            guard head.steps == 1 else { return nil }
            let (count, rows) = (z.shape[1], images * z.shape[1])
            let noise = try graph.reshape(graph.slice(start, axis: 1, (tokens - count)..<tokens), [rows, head.start.width])
            let embedded = try head.embed(
                z: graph.reshape(z, [rows, z.type.columns]), entropy: graph.reshape(entropy, [rows]), cfg: nil, scope)
            let drawn = try head.step(
                TokenStep(x: noise, embedded: embedded, weights: head.packed(scope), temperature: stage.drawing.temperature), scope).x
            return try graph.reshape(stage.norm(drawn, graph), [images, count, width])
        }

        let drawn = try draw(z, entropy)
        var (draftEntropy, guesses): (Tensor?, Tensor?)
        if let draft = stage.shape.draft {
            let added = try stage.shape.headPositions == .learned ? stage.places(scope) : nil
            let proposed = try draft(z: z, tokens: known, added: added, scope)
            (draftEntropy, guesses) = (proposed.entropy, try draw(proposed.z, proposed.entropy))
        }
        for tensor in [known, entropy, drawn, draftEntropy, guesses].compactMap(\.self) { graph.output(tensor) }
        return try Pass(
            executor: context.memory.executor(graph), classes: classes, tokens: real, clock: clock, known: known, entropy: entropy,
            drawn: drawn, draftEntropy: draftEntropy, guesses: guesses)
    }
}
