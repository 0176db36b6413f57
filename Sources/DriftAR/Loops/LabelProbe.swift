import DriftGPU
import Foundation

/// What encoder and draft say of one label, position by position: all [R].
struct LabelDiagnostics: Sendable {
    /// Nil is the unconditional one of guidance.
    let label: Int?
    /// E of the encoder (Eq. 4): of the attention averaged over heads.
    let entropy: [Double]
    /// The same of each head alone: [H][R].
    let heads: [[Double]]
    /// Standard deviation of the prior's noise.
    let sigma: [Double]
    /// E of the draft's last block.
    let draftEntropy: [Double]
    /// Euclidean distance of the draft's proposal from z; NaN where it has none.
    let error: [Double]
    /// The same over the length of z.
    let relativeError: [Double]

    var name: String { label.map(String.init) ?? "unconditional" }

    /// Mean over the heads.
    var headEntropy: [Double] {
        entropy.indices.map { position in heads.reduce(0) { $0 + $1[position] } / Double(max(1, heads.count)) }
    }
}

extension SigmaMap {
    /// sigma(E); see `SigmaMap`.
    func deviation(_ entropy: Double) -> Double {
        let clamped = min(max(entropy, 0), Double(entropyMaximum))
        return Double(maximum) * expm1(clamped / Double(tau)) / expm1(Double(entropyMaximum) / Double(tau))
    }
}

/// Runs encoder and draft over labels and keeps what the sampler does not: the entropies of single heads, and how far each
/// proposal is from z.
package final class LabelProbe {
    private let stage: LabelStage
    private let context: SamplingContext
    private let sigma: SigmaMap
    private let shift: Int
    private var graphs: [Int: ProbeGraph] = [:]

    private struct ProbeGraph {
        let labels: Tensor
        let drop: Tensor
        let z: Tensor
        let entropy: Tensor
        let heads: [Tensor]
        let draft: Tensor
        let draftEntropy: Tensor
        let executor: Executor
    }

    /// `sigma`: the prior's. `shift`: the draft's output at r - shift is the proposal for r.
    init(_ stage: LabelStage, _ context: SamplingContext, sigma: SigmaMap, shift: Int) {
        (self.stage, self.context, self.sigma, self.shift) = (stage, context, sigma, shift)
    }

    /// Labels of one pass.
    private static let batch = 16

    func callAsFunction(_ labels: [Int?]) throws -> [LabelDiagnostics] {
        try stride(from: 0, to: labels.count, by: Self.batch).flatMap { start in
            try probe(Array(labels[start..<min(start + Self.batch, labels.count)]))
        }
    }

    private func probe(_ labels: [Int?]) throws -> [LabelDiagnostics] {
        let graph = try graphs[labels.count] ?? makeGraph(labels.count)
        let executor = graph.executor
        try executor.write(labels.map { Int32($0 ?? 0) }, to: graph.labels)
        try executor.write(labels.map { $0 == nil ? Float(0) : 1 }, to: graph.drop)
        try executor.run()
        let (z, draft) = (try executor.read(graph.z), try executor.read(graph.draft))
        let (entropy, draftEntropy) = (try executor.read(graph.entropy), try executor.read(graph.draftEntropy))
        let heads = try graph.heads.map { try executor.read($0) }
        let (tokens, width) = (stage.shape.tokens, stage.shape.embed)
        return labels.enumerated().map { row, label in
            func map(_ values: [Float]) -> [Double] { values[(row * tokens)..<((row + 1) * tokens)].map(Double.init) }
            var (error, relative) = ([Double](repeating: .nan, count: tokens), [Double](repeating: .nan, count: tokens))
            for position in shift..<tokens {
                let target = z[((row * tokens + position) * width)...].prefix(width)
                let proposal = draft[((row * tokens + position - shift) * width)...].prefix(width)
                var (square, length) = (0.0, 0.0)
                for (a, b) in zip(target, proposal) {
                    square += (Double(a) - Double(b)) * (Double(a) - Double(b))
                    length += Double(a) * Double(a)
                }
                error[position] = square.squareRoot()
                relative[position] = (square / length).squareRoot()
            }
            let own = map(entropy)
            return LabelDiagnostics(
                label: label, entropy: own, heads: heads.map(map), sigma: own.map(sigma.deviation),
                draftEntropy: map(draftEntropy), error: error, relativeError: relative)
        }
    }

    private func makeGraph(_ count: Int) throws -> ProbeGraph {
        let graph = Graph()
        let scope = context.weights.scope(graph)
        let labels = try graph.input("analysis_labels", [count], .int32, grows: true)
        let drop = try graph.input("analysis_drop", [count], grows: true)
        var heads: [Tensor] = []
        let (z, entropy) = try stage.encode(
            stage.embed(labels, dropUniform: drop, dropProbability: 0.5, scope), scope
        ) { qkv in
            heads = try (0..<stage.shape.heads).map { try graph.softmaxEntropy(ofHead: $0, qkv, stage.shape) }
        }.encoded()
        let draft = try stage.propose(z: z, scope)
        for output in [z, entropy, draft.features, draft.entropy] + heads { graph.output(output) }
        let made = ProbeGraph(
            labels: labels, drop: drop, z: z, entropy: entropy, heads: heads, draft: draft.features,
            draftEntropy: draft.entropy, executor: try context.memory.executor(graph))
        graphs[count] = made
        return made
    }
}

extension Graph {
    /// The entropy map [L, R] of one head of a block's packed query, key and value [L, K + R, 3 D].
    fileprivate func softmaxEntropy(ofHead head: Int, _ qkv: Tensor, _ shape: LabelStage.Shape) throws -> Tensor {
        let size = shape.embed / shape.heads
        let parts = try (0..<3).map { part in
            let start = part * shape.embed + head * size
            return try slice(qkv, axis: 2, start..<(start + size))
        }
        return try softmaxEntropy(concat(parts, axis: 2), heads: 1, buffer: shape.buffer)
    }
}
