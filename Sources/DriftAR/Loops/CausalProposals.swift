import DriftGPU

/// What the draft does in a pass of causal decoding: before the drawn tokens are accepted it takes up all of them with the stage's
/// features (`follow`); behind that it proposes the next from its own, one by one (`propose`).
extension CausalGraphs {
    /// The features [B, G, D] and entropies [B, G] that the draft says of the tokens behind its new rows.
    struct Proposal {
        let z: Tensor
        let entropy: Tensor
    }

    /// The draft, where it guesses.
    var draft: CausalDraft? { batch.parallel > 1 && stage.drawing.guess == .draft ? stage.shape.draft : nil }

    private func caches(_ draft: CausalDraft) -> Storage { Place.draftCaches(2 * draft.depth * draft.pass.span(batch.conditions)) }

    private func cache(_ graph: Graph, _ draft: CausalDraft, _ layer: Int) throws -> KeyValueCache {
        try draft.pass.cache(graph, in: caches(draft), layer: layer, sequences: batch.conditions)
    }

    /// The draft over `count` rows of features z [B, G, D] and tokens [b, G, C] of each image, the first at place known + `offset`.
    private func pass(
        _ graph: Graph, _ draft: CausalDraft, z: Tensor, tokens: Tensor, known: Tensor, offset: Int, _ scope: ParameterScope
    ) throws -> Proposal {
        // With guidance both halves go on from the same tokens.
        let both = try batch.isGuided ? graph.concat([tokens, tokens], axis: 0) : tokens
        let rows = try graph.concat([z, both], axis: 2)
        let count = z.shape[1]
        let places = try stage.shape.headPositions == .learned ? stage.places(scope) : nil
        if let small = draft.small, let draftWeights {
            let caches = caches(draft)
            let (z, queries) = try graph.causalPass(
                small, tokens: sequence(graph), inputs: rows, known: known, offset: offset, count: count, sequences: batch.conditions,
                weights: graph.stored([draftWeights.count], in: draftWeights), table: draft.table(graph),
                caches: graph.stored([caches.count], in: caches), places: places, ahead: offset + 1, shown: draft.depth - 1)
            guard let queries else { throw GraphError("causal draft: no queries") }
            let keys = try cache(graph, draft, draft.depth - 1).key
            return try Proposal(z: z, entropy: draft.entropy(queries, keys: keys, known: known, offset: offset, graph))
        }
        let (plain, entropy) = try draft.step(rows, caches: { try cache(graph, draft, $0) }, known: known, offset: offset, scope)
        guard let places else { return Proposal(z: plain, entropy: entropy) }
        let added = try graph.window(
            graph.reshape(places, [1, stage.shape.tokens, stage.shape.embed]), from: known, offset: offset + 1, count: count,
            sequences: batch.conditions)
        return try Proposal(z: graph.add(plain, added), entropy: entropy)
    }

    /// Takes up tokens [b, G, C] that were drawn from features z [B, G, D] of the stage, before it is known which of them are final: what
    /// the caches hold behind the final ones is written anew before it is read.
    func follow(_ graph: Graph, _ draft: CausalDraft, z: Tensor, tokens: Tensor, known: Tensor, _ scope: ParameterScope) throws -> Proposal {
        try pass(graph, draft, z: z, tokens: tokens, known: known, offset: 0, scope)
    }

    /// Proposes the G - 1 tokens of each image behind those known: the first from row `last` [b] of what `follow` gave.
    func propose(
        _ graph: Graph, _ draft: CausalDraft, from followed: Proposal, last: Tensor, known: Tensor, _ scope: ParameterScope
    ) throws {
        let (conditions, images, tokens) = (batch.conditions, batch.images, stage.shape.tokens)
        let rows = followed.z.shape[1]
        var next = try Proposal(
            z: graph.window(followed.z, from: last, count: 1, sequences: conditions),
            entropy: graph.window(graph.reshape(followed.entropy, [conditions, rows, 1]), from: last, count: 1, sequences: conditions))
        let entropies = try graph.stored([images, tokens, 1], in: Place.draftEntropy(images * tokens))
        for ahead in 0..<(batch.parallel - 1) {
            if ahead > 0 {
                let before = try graph.window(sequence(graph), from: known, offset: ahead - 1, count: 1, sequences: images)
                next = try pass(graph, draft, z: next.z, tokens: before, known: known, offset: ahead - 1, scope)
            }
            let entropy = try graph.reshape(next.entropy, [conditions])
            let own = try graph.reshape(graph.slice(entropy, axis: 0, 0..<images), [images, 1, 1])
            try graph.putWindow(own, into: entropies, from: known, offset: ahead)
            let cfg = try cfg(graph, known, offset: ahead, count: 1)
            let embedded = try graph.part(Graph.head) {
                try head.embed(z: graph.reshape(next.z, [conditions, stage.shape.embed]), entropy: entropy, cfg: cfg, scope)
            }
            let start = try start(graph, known, offset: ahead, count: 1, isFirst: false)
            let drawn = try draw(known, start: start, embedded: embedded, cfg: cfg, scope)
            let guess = try graph.reshape(stage.norm(drawn, graph), [images, 1, stage.shape.tokenWidth])
            try graph.putWindow(guess, into: sequence(graph), from: known, offset: ahead)
        }
    }
}
