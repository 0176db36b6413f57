import DriftGPU

/// The small causal transformer that proposes tokens to a causal stage, as EAGLE's does (arXiv 2401.15077). From the features z and the
/// tokens up to a position it predicts the features of the next, from which the head draws a token with the same noise as from the
/// stage's: the stage then need only check it.
package struct CausalDraft: Sendable, Hashable {
    package let block: CausalBlock
    package let depth: Int
    /// C.
    package let tokenWidth: Int
    /// R, tokens of an image.
    package let tokens: Int
    /// How positions turn queries and keys, counted from the first token.
    package let places: RotaryPlaces

    private static let prefix = "draft."

    package var declarations: [ParameterDeclaration] {
        let (width, prefix) = (block.width, Self.prefix)
        var list = ParameterDeclaration.linear(prefix + "fc", width + tokenWidth, width, .glorot)
        for index in 0..<depth { list += block.declarations(prefix + "layers.\(index).", weight: .glorot) }
        list.append(.init(prefix + "norm.weight", [width], .ones))
        return list + ParameterDeclaration.linear(prefix + "out_proj", width, width, .glorot)
    }

    /// The parameters of the draft in those of the model.
    private func own(_ scope: ParameterScope) -> ParameterScope { scope.scope(String(Self.prefix.dropLast())) }

    /// What the draft says of the tokens behind the first, from the features z [B, R, D] and the tokens [B, R, C] before each: their
    /// features [B, R - 1, D] and the entropy [B, R - 1] of its last block's attention. `added` [R, D]: what features have for their
    /// positions. No gradient enters any of them.
    package func callAsFunction(
        z: Tensor, tokens: Tensor, added: Tensor?, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> (z: Tensor, entropy: Tensor) {
        let (graph, own, last) = (scope.graph, own(scope), self.tokens - 1)
        let inputs = try graph.concat([graph.slice(graph.detach(z), axis: 1, 0..<last), graph.slice(tokens, axis: 1, 0..<last)], axis: 2)
        var x = try own.linear(inputs, "fc")
        let table = try table(graph)
        var entropy: Tensor?
        for index in 0..<depth {
            x = try graph.segment {
                let result = try block(x, table: table, own.scope("layers.\(index)"), dropout: dropout)
                if index == depth - 1 {
                    let uncertain = try graph.fill([z.shape[0], 1], with: 1)
                    entropy = uncertain
                    if last > 1 {
                        let all = try graph.softmaxEntropy(result.qkv, heads: block.heads, buffer: 0)
                        entropy = try graph.concat([uncertain, graph.slice(all, axis: 1, 1..<last)], axis: 1)
                    }
                }
                return result.output
            }
        }
        guard let entropy else { throw GraphError("causal draft: without a block it has no entropy") }
        var out = try own.linear(own.rmsNorm(x, "norm", epsilon: block.epsilon), "out_proj")
        if let added { out = try graph.addPeriodic(out, graph.slice(graph.detach(added), axis: 0, 1..<self.tokens)) }
        return (out, entropy)
    }

    /// The angles of all positions [R - 1, D / H].
    package func table(_ graph: Graph) throws -> Tensor { try graph.rotaryTable(places, count: tokens - 1, size: block.size) }

    /// The sizes of a pass over rows.
    package var pass: CausalPassShape {
        CausalPassShape(
            channels: block.width + tokenWidth, width: block.width, hidden: block.hidden, heads: block.heads, keyHeads: block.keyHeads,
            depth: depth, capacity: tokens - 1, epsilon: block.epsilon)
    }

    /// The same where the kernel for small networks takes it.
    package var small: CausalPassShape? { pass.isSmall ? pass : nil }

    /// The weights as that kernel reads them.
    package func packed(_ scope: ParameterScope) throws -> Tensor {
        let own = own(scope)
        func layer(_ name: String) throws -> CausalPassWeights.Layer {
            try .init(weight: own.parameter(name + ".weight"), bias: own.parameter(name + ".bias"))
        }
        return try scope.graph.causalPassWeights(
            CausalPassWeights(
                input: layer("fc"), blocks: (0..<depth).map { try block.weights(own.scope("layers.\($0)")) },
                norm: own.parameter("norm.weight"), output: layer("out_proj")))
    }

    /// New rows [B, G, D + C] of features and tokens, the first at place known[b mod n] + `offset`, of sequences whose earlier rows the
    /// caches hold -> what the draft says of the tokens behind them: features [B, G, D], without what they have for their positions,
    /// and entropies [B, G].
    package func step(
        _ rows: Tensor, caches: (Int) throws -> KeyValueCache, known: Tensor, offset: Int, _ scope: ParameterScope
    ) throws -> (z: Tensor, entropy: Tensor) {
        let (graph, own) = (scope.graph, own(scope))
        let table = try table(graph)
        var x = try own.linear(rows, "fc")
        var entropy: Tensor?
        for index in 0..<depth {
            let cache = try caches(index)
            x = try block.step(x, cache: cache, known: known, offset: offset, table: table, own.scope("layers.\(index)")) { query in
                guard index == depth - 1 else { return }
                entropy = try self.entropy(query, keys: cache.key, known: known, offset: offset, graph)
            }
        }
        guard let entropy else { throw GraphError("causal draft: without a block it has no entropy") }
        return (try own.linear(own.rmsNorm(x, "norm", epsilon: block.epsilon), "out_proj"), entropy)
    }

    /// The entropy [B, G] of queries [B, G, D] of the last block, whose keys the cache holds.
    package func entropy(_ queries: Tensor, keys: Tensor, known: Tensor, offset: Int, _ graph: Graph) throws -> Tensor {
        try graph.cachedEntropy(
            query: queries, heads: block.heads, keys: keys, known: known, offset: offset, buffer: 0, table: table(graph))
    }
}
