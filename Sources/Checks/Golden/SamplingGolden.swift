import DriftAR
import DriftFormats
import DriftGPU

/// One-pass generation with and without guidance, from given noise.
enum SamplingGolden {
    static func sampling(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let model = try golden.generator()
        let labels = (try golden.input("labels").ints ?? []).map { Int($0) }
        let noise = try golden.input("noise").floats ?? []
        let cfg = Float(try golden.number("cfg"))
        let run = GoldenGraph(golden, device)
        _ = try run.parameters(model.layout)
        let sampler = Sampler(model.generator, memory: run.memory, weights: "parameters", batchLimit: labels.count)
        let tokens = try sampler.tokens(labels: labels, perLabel: 1, cfg: cfg) { _, _, _ in noise }
        let conditions = try labels.map { try sampler.condition($0) }
        try comparison.check("out", "z_cond", conditions.flatMap(\.z))
        try comparison.check("out", "entropy_cond", conditions.flatMap(\.entropy))
        let unconditional = try sampler.condition(nil)
        try comparison.check("out", "entropy_uncond", labels.flatMap { _ in unconditional.entropy })
        try comparison.check("out", "z_uncond", labels.flatMap { _ in unconditional.z })
        try compare(tokens, of: run, comparison)
    }

    /// Compares image tokens [B, R, C] with the latents the case expects.
    static func compare(_ tokens: [Float], of run: GoldenGraph, _ comparison: GoldenComparison) throws {
        try run.checkLatents(tokens, patch: run.golden.integer("patch_size"), comparison)
    }
}
