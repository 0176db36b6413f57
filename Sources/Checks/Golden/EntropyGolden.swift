import DriftAR
import DriftFormats
import DriftGPU

/// Entropy of given attention logits (Eq. 4, 5) and the noise level (Eq. 6).
enum EntropyGolden {
    static func entropyAndNoise(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("in", "logits") {
            try compareLogits(golden, device, comparison)
        } else {
            try compareSigma(golden, device, comparison)
        }
    }

    private static func compareSigma(_ golden: GoldenCase, _ device: Device, _ comparison: GoldenComparison) throws {
        let run = GoldenGraph(golden, device)
        let entropy = try run.input("E")
        let sigma = try run.graph.sigma(
            entropy,
            SigmaMap(
                maximum: Float(golden.number("sigma_max")), tau: Float(golden.number("tau_sigma")),
                entropyMaximum: Float(golden.number("E_max"))))
        run.graph.output(sigma)
        let gradients = try run.gradients(of: run.graph.sum(sigma), inputs: ["E": entropy])
        try run.run()
        try comparison.check("out", "sigma", run.read(sigma))
        try run.check(gradients, with: comparison)
    }

    /// The kernel takes query and key, not logits. With the unit vectors as queries, key row j holds column j of the logits;
    /// a head size that is a power of 4 makes the attention's scale a power of 2, so nothing is rounded on the way.
    private static func compareLogits(_ golden: GoldenCase, _ device: Device, _ comparison: GoldenComparison) throws {
        let logits = try golden.input("logits", rank: 4)
        let (batch, heads, positions) = (logits.shape[0], logits.shape[1], logits.shape[2])
        let buffer = golden.has("buffer") ? try golden.integer("buffer") : 0
        let known = buffer == 0 ? "causal" : "buffer+content causal"
        let mask = try golden.text("mask")
        guard mask == known, let size = [4, 16, 64, 128].first(where: { $0 >= positions }) else {
            throw GraphError("\(golden.id): \(positions) positions under the mask \(mask) cannot be posed")
        }
        let scale = 1 / Float(size).squareRoot()
        let (width, values) = (heads * size, logits.floats ?? [])
        var qkv = [Float](repeating: 0, count: batch * positions * 3 * width)
        /// Where `part` (query 0, key 1) of a position holds `column`, and the logit that a key's element stands for.
        func place(_ image: Int, _ position: Int, _ part: Int, _ head: Int, _ column: Int) -> Int {
            ((image * positions + position) * 3 + part) * width + head * size + column
        }
        func logit(_ image: Int, _ head: Int, _ query: Int, _ key: Int) -> Int {
            ((image * heads + head) * positions + query) * positions + key
        }
        for image in 0..<batch {
            for head in 0..<heads {
                for key in 0..<positions {
                    qkv[place(image, key, 0, head, key)] = 1
                    for query in 0..<positions {
                        qkv[place(image, key, 1, head, query)] = values[logit(image, head, query, key)] / scale
                    }
                }
            }
        }

        let run = GoldenGraph(golden, device)
        let graph = run.graph
        let input = try run.input("qkv", NamedTensor(shape: [batch, positions, 3 * width], floats: qkv))
        let entropy = try graph.softmaxEntropy(input, heads: heads, buffer: buffer)
        let sigma = try graph.sigma(
            entropy, SigmaMap(maximum: Float(golden.number("sigma_max")), tau: Float(golden.number("tau_sigma"))))
        let loss = try graph.scale(graph.mean(entropy), by: -1)
        let gradient = try graph.gradients(of: loss, withRespectTo: [input])[0]
        ([entropy, sigma, loss] + (gradient.map { [$0] } ?? [])).forEach(graph.output)
        try run.run()
        try comparison.check("out", "entropy", run.read(entropy))
        try comparison.check("out", "sigma", run.read(sigma))
        try comparison.check("out", "loss_entropy", run.read(loss))

        let dqkv = try run.read(gradient, count: qkv.count)
        var dlogits = [Float](repeating: 0, count: values.count)
        for image in 0..<batch {
            for head in 0..<heads {
                for key in 0..<positions {
                    for query in 0..<positions {
                        dlogits[logit(image, head, query, key)] = dqkv[place(image, key, 1, head, query)] / scale
                    }
                }
            }
        }
        try comparison.check("grad", "logits", dlogits)

        let attentionMask: AttentionMask = buffer == 0 ? .causal : .bufferCausal(buffer)
        func weights(_ qkv: [Float]) throws -> [Float] {
            try attentionWeights(
                qkv, batch: batch, positions: positions, width: width, heads: heads, mask: attentionMask, device)
        }
        try comparison.check("out", "attn", weights(qkv))
        // Equal logits give a weight wherever the mask allows one.
        let even = try weights([Float](repeating: 0, count: qkv.count)).prefix(positions * positions)
        try comparison.check("out", "mask_allowed", integers: even.map { $0 > 0 ? 1 : 0 })
    }
}
