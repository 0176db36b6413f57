import DriftGPU

/// The small causal transformer that predicts z from z (Eq. 3): the proposer of the speculative loop.
public struct DraftModel: Sendable {
    public let block: AttentionBlock
    public let depth: Int

    public init(block: AttentionBlock, depth: Int) {
        self.block = block
        self.depth = depth
    }

    /// The first blocks and the norm start as copies of the encoder's, where `encoderBlocks` has as many.
    public func declarations(_ prefix: String, encoderBlocks: Int = 0) -> [ParameterDeclaration] {
        var list: [ParameterDeclaration] = []
        for index in 0..<depth {
            list += block.declarations(prefix + "blocks.\(index).").map { declaration in
                guard index < encoderBlocks else { return declaration }
                let source = "encoder_blocks." + declaration.name.dropFirst((prefix + "blocks.").count)
                return ParameterDeclaration(declaration.name, declaration.shape, .copy(source))
            }
        }
        for name in ["norm.weight", "norm.bias"] {
            let initial: ParameterDeclaration.Initial =
                encoderBlocks > 0 ? .copy("encoder_" + name) : name.hasSuffix("weight") ? .ones : .zeros
            list.append(.init(prefix + name, [block.width], initial))
        }
        return list + ParameterDeclaration.linear(prefix + "out_proj", block.width, block.width)
    }

    /// z [B, R, D] -> prediction [B, R, D].
    public func callAsFunction(_ z: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil) throws -> Tensor {
        try predict(z, scope, dropout: dropout).prediction
    }

    /// z [B, R, D] -> the proposals [B, R, D] and the entropy map [B, R] of the last block's attention: how sure the draft is.
    public func propose(_ z: Tensor, _ scope: ParameterScope) throws -> (features: Tensor, entropy: Tensor) {
        let (prediction, qkv) = try predict(z, scope)
        guard let qkv else { throw GraphError("draft model: without a block it has no entropy") }
        return (prediction, try scope.graph.softmaxEntropy(qkv, heads: block.heads, buffer: 0))
    }

    /// The prediction, and the last block's packed query, key and value.
    private func predict(
        _ z: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> (prediction: Tensor, qkv: Tensor?) {
        var x = z
        var qkv: Tensor?
        for index in 0..<depth {
            let result = try block(x, scope.scope("blocks.\(index)"), mask: .causal, dropout: dropout)
            x = result.output
            qkv = result.qkv
        }
        return (try scope.linear(scope.layerNorm(x, "norm", epsilon: block.epsilon), "out_proj"), qkv)
    }
}
