import DriftGPU

/// The encoder of a masked autoencoder (arXiv 2111.06377): patches of an image, each with its position, through transformer blocks. Parameters
/// have the names of facebookresearch/mae.
package struct PatchEncoder: Sendable {
    /// R and C.
    package let tokens: Int
    package let tokenWidth: Int
    package let depth: Int
    let block: AttentionBlock
    package let declarations: [ParameterDeclaration]

    /// `columns`: tokens in a line of the image.
    init(tokens: Int, tokenWidth: Int, columns: Int, embed: Int, heads: Int, depth: Int, mlpRatio: Float, epsilon: Float) {
        (self.tokens, self.tokenWidth, self.depth) = (tokens, tokenWidth, depth)
        let block = AttentionBlock(width: embed, heads: heads, hidden: Int(Float(embed) * mlpRatio), epsilon: epsilon)
        self.block = block
        var list = ParameterDeclaration.linear("patch_embed.proj", tokenWidth, embed, .glorot)
        list.append(.init("pos_embed", [1, tokens, embed], .position(columns: columns)))
        list += (0..<depth).flatMap { block.declarations("blocks.\($0).", weight: .glorot) }
        declarations = list + ParameterDeclaration.layerNorm("norm", embed)
    }

    /// D.
    package var width: Int { block.width }

    /// Images [B, R, C] -> rows [B, R, D] that know their positions.
    func embedded(_ images: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.addPeriodic(scope.linear(images, "patch_embed.proj"), scope.parameter("pos_embed"))
    }

    /// The tokens of images [B, R, C] that stand at `seen` in the orders [B, R] -> rows [B, seen, D] that know their positions.
    func embedded(_ images: Tensor, order: Tensor, _ seen: Range<Int>, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        let batch = images.shape[0]
        let rows = try graph.gatherRows(graph.reshape(images, [batch * tokens, tokenWidth]), graph.places(order, seen, stride: tokens))
        let positions = try graph.gatherRows(
            graph.reshape(scope.parameter("pos_embed"), [tokens, width]), graph.places(order, seen, stride: 0))
        return try graph.reshape(graph.add(scope.linear(rows, "patch_embed.proj"), positions), [batch, seen.count, width])
    }

    /// Rows -> what all blocks make of them, normalised.
    func attended(_ rows: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try attended(rows, after: [depth], scope)[0]
    }

    /// Rows -> what the first so many blocks make of them, for each number of `counts`, normalised as the last block's are.
    func attended(_ rows: Tensor, after counts: [Int], _ scope: ParameterScope) throws -> [Tensor] {
        var (x, made) = (rows, [Int: Tensor]())
        for index in 0..<(counts.max() ?? 0) {
            x = try block(x, scope.scope("blocks.\(index)")).output
            if counts.contains(index + 1) { made[index + 1] = try scope.layerNorm(x, "norm", epsilon: block.epsilon) }
        }
        return counts.compactMap { made[$0] }
    }
}
