import DriftGPU

/// What a causal stage makes of a training step, and what its draft learns beside it.
extension CausalStage {
    /// Every token is trained in each step, from the real ones before it. Whether an image loses its label is drawn for each image.
    package func condition(_ step: StepInputs, _ scope: ParameterScope) throws -> Condition {
        let graph = scope.graph
        let images = step.real.shape[0]
        let classes = try graph.input([images], .int32, block: StepInputs.block)
        let tokens = try norm(step.real, graph)
        let (z, entropy) = try forward(
            front: front(classes, scope), tokens: tokens, scope, withEntropy: step.needsEntropy || alignsEntropy,
            dropout: step.dropout(training.dropout))
        let (count, drop, none) = (training.imagesPerLabel, training.labelDrop, Int32(shape.classes))
        return Condition(
            labels: step.labels, z: z, entropy: entropy, targets: norm == .none ? nil : tokens,
            inputs: [
                StepInput(tensor: classes) { plan in
                    let keeps = plan.keepsLabel(perLabel: count, drop: drop)
                    return .ints(keeps.indices.map { keeps[$0] > 0 ? Int32(plan.labels[$0 / count]) : none })
                }
            ])
    }

    private var alignsEntropy: Bool { shape.draft != nil && training.alignmentWeight > 0 }

    /// The draft's losses: its features against the stage's of the same tokens (SmoothL1), its entropies against the stage's, and what
    /// a head of one step draws from it against what it draws from the stage with the same noise, by which guesses are judged. The
    /// draft alone learns from them.
    package func penalties(
        _ condition: Condition, head: any Head, _ step: StepInputs, _ scope: ParameterScope
    ) throws -> [LossTerm] {
        guard let draft = shape.draft, let z = condition.z else { return [] }
        let (graph, count) = (scope.graph, shape.tokens - 1)
        let proposed = try draft(
            z: z, tokens: condition.targets ?? step.real, added: shape.headPositions == .learned ? places(scope) : nil, scope,
            dropout: step.dropout(training.dropout))
        func behind(_ x: Tensor) throws -> Tensor { try graph.slice(graph.detach(x), axis: 1, 1..<shape.tokens) }
        let features = try behind(z)
        var losses = [LossTerm("draft", try graph.smoothL1(proposed.z, features))]
        let entropy = try condition.entropy.map(behind)
        if alignsEntropy, let entropy {
            let rows = [entropy.shape[0], count, 1]
            let loss = try graph.smoothL1(graph.reshape(proposed.entropy, rows), graph.reshape(entropy, rows))
            losses.append(LossTerm("alignment", try graph.scale(loss, by: training.alignmentWeight)))
        }
        guard training.guessWeight > 0, let head = head.ofTokens, head.steps == 1 else { return losses }
        let rows = z.shape[0] * count
        let (noise, fixed) = (try head.start.draw(rows, clock: step.clock, graph), scope.fixed)
        func draw(_ z: Tensor, _ entropy: Tensor?) throws -> Tensor {
            let embedded = try head.embed(
                z: graph.reshape(z, [rows, shape.embed]), entropy: entropy.map { try graph.reshape($0, [rows]) }, cfg: nil, fixed)
            let drawn = try norm(head.step(TokenStep(x: noise, embedded: embedded), fixed).x, graph)
            return try graph.reshape(drawn, [z.shape[0], count, shape.tokenWidth])
        }
        let loss = try graph.smoothL1(draw(proposed.z, proposed.entropy), graph.detach(draw(features, entropy)))
        return losses + [LossTerm("guess", try graph.scale(loss, by: training.guessWeight))]
    }
}
