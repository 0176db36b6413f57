import DriftAR
import DriftGPU

/// The anti-symmetric drift loss (Eq. 8). Where samples repeat with noise, their distance is rounding noise of the
/// reference's own formula; the index allows for it in that case's atol (200 times the reference's error, about 1%), and
/// nothing is added to it here.
enum DriftGolden {
    static func driftLoss(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let radii = try golden.numbers("R_list").map(Float.init)
        let run = GoldenGraph(golden, device)
        let gen = try run.input("gen")
        let hasNegative = golden.has("in", "neg")
        let weights =
            golden.has("in", "weight_gen")
            ? DriftTargets.Weights(
                gen: try run.input("weight_gen"), negative: hasNegative ? try run.input("weight_neg") : nil,
                positive: try run.input("weight_pos")) : nil
        let drift = try run.graph.driftLoss(
            gen,
            targets: DriftTargets(
                positive: run.input("pos"), negative: hasNegative ? run.input("neg") : nil, weights: weights),
            affinity: DriftAffinity(temperatures: radii))
        [drift.loss, drift.scale, drift.squaredForce].forEach(run.graph.output)
        let gradients = try run.gradients(of: drift.loss, inputs: ["gen": gen])
        try run.run()
        try comparison.check("out", "loss", run.read(drift.loss))
        try comparison.check("out", "scale", run.read(drift.scale))
        try comparison.check("out", "loss_R", run.read(drift.squaredForce))
        try run.check(gradients, with: comparison)
    }
}
