import DriftAR
import DriftGPU

/// The transformer blocks of encoder and decoder, forward and backward.
enum BlockGolden {
    private static func hidden(_ golden: GoldenCase, _ width: Int) throws -> Int {
        Int(Float(width) * Float(try golden.number("mlp_ratio")))
    }

    static func attentionBlock(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let (width, heads) = (try golden.integer("dim"), try golden.integer("heads"))
        let block = AttentionBlock(
            width: width, heads: heads, hidden: try hidden(golden, width), epsilon: Float(try golden.number("eps")))
        let mask: AttentionMask
        switch try golden.text("mask") {
        case "none": mask = .none
        case "causal": mask = .causal
        case "buffer_causal": mask = .bufferCausal(try golden.integer("buffer"))
        case let other: throw GraphError("\(golden.id): unknown mask \(other)")
        }
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(block.declarations(""))
        let (x, seed) = (try run.input("x", rank: 3), try run.input("G"))
        let (y, qkv) = try block(x, scope, mask: mask)
        [y, qkv].forEach(run.graph.output)
        let gradients = try run.gradients(of: y, seed: seed, inputs: ["x": x], scope)
        try run.run()
        try comparison.check("out", "y", run.read(y))
        try comparison.check(
            "out", "attn",
            attentionWeights(
                run.read(qkv), batch: x.shape[0], positions: x.shape[1], width: width, heads: heads, mask: mask, device))
        try run.check(gradients, with: comparison)
    }

    static func crossAttentionBlock(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let width = try golden.integer("dim")
        let block = CrossAttentionBlock(
            width: width, contextWidth: try golden.integer("cdim"), heads: try golden.integer("heads"),
            hidden: try hidden(golden, width), epsilon: Float(try golden.number("eps")))
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(block.declarations(""))
        let (x, context, t) = (
            try run.input("x", rank: 3), try run.input("c", rank: 3), try run.input("t", rank: 3)
        )
        let y = try block(x, context: context, modulation: t, scope)
        run.graph.output(y)
        let gradients = try run.gradients(
            of: y, seed: run.input("G"), inputs: ["x": x, "c": context, "t": t], scope)
        try run.run()
        try comparison.check("out", "y", run.read(y))
        try run.check(gradients, with: comparison)
    }

    static func driftDecoder(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let width = try golden.integer("width")
        let decoder = DriftDecoder(
            width: width, conditionWidth: try golden.integer("zc"), tokenWidth: try golden.integer("target"),
            tokens: try golden.integer("seq"), heads: try golden.integer("heads"), depth: try golden.integer("depth"),
            hidden: try hidden(golden, width), epsilon: Float(try golden.number("eps")))
        let hasEntropy = !golden.id.contains("no_entropy")
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(decoder.declarations("net."))
        let (noise, z) = (try run.input("noise", rank: 3), try run.input("z", rank: 3))
        let entropy = hasEntropy ? try run.input("entropy", rank: 2) : nil
        let y = try decoder(noise, z: z, entropy: entropy, scope.scope("net"))
        run.graph.output(y)
        var inputs = ["noise": noise, "z": z]
        inputs["entropy"] = entropy
        let gradients =
            golden.tensors.contains { $0.role == "grad" }
            ? try run.gradients(of: y, seed: run.input("G"), inputs: inputs, scope) : [:]
        try run.run()
        try comparison.check("out", "y", run.read(y))
        try run.check(gradients, with: comparison)
    }

    static func draftModel(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let (width, heads) = (try golden.integer("dim"), try golden.integer("heads"))
        let draft = DraftModel(
            block: AttentionBlock(
                width: width, heads: heads, hidden: try hidden(golden, width), epsilon: Float(try golden.number("eps"))),
            depth: try golden.integer("depth"))
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(draft.declarations(""))
        let z = try run.input("z", rank: 3)
        let prediction = try draft(z, scope)
        run.graph.output(prediction)
        var (loss, gradients): (Tensor?, [String: Tensor?]) = (nil, [:])
        if golden.has("out", "loss_reg") {
            let regression = try run.graph.smoothL1(prediction, run.input("target"), shift: 1)
            run.graph.output(regression)
            gradients = try run.gradients(of: regression, inputs: ["z": z], scope)
            loss = regression
        }
        let qkv = try lastQKV(draft, z, scope)
        run.graph.output(qkv)
        try run.run()
        try comparison.check("out", "pred", run.read(prediction))
        try comparison.check("out", "loss_reg", run.read(loss))
        try comparison.check(
            "out", "last_attn",
            attentionWeights(
                run.read(qkv), batch: z.shape[0], positions: z.shape[1], width: width, heads: heads, mask: .causal,
                device))
        try run.check(gradients, with: comparison)
    }

    /// Query, key and value of the draft's last block.
    private static func lastQKV(_ draft: DraftModel, _ z: Tensor, _ scope: ParameterScope) throws -> Tensor {
        var result = (output: z, qkv: z)
        for index in 0..<draft.depth {
            result = try draft.block(result.output, scope.scope("blocks.\(index)"), mask: .causal)
        }
        return result.qkv
    }
}
