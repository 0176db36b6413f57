import DriftAR
import DriftFormats
import DriftGPU
import Foundation

/// MAR's head: its network, its loss at given times and noise, its sampler, its schedules and its embedding of times.
enum DiffusionHeadGolden {
    private static let prefix = "diffloss.net"

    static func head(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("out", "betas") { return try schedule(golden, comparison) }
        if golden.has("out", "embedding") { return try sinusoid(golden, comparison, device) }
        let head = DiffusionHead(
            .init(
                tokenWidth: try golden.integer("channels"), conditionWidth: try golden.integer("z"),
                width: try golden.integer("head_width"), depth: try golden.integer("head_depth")),
            steps: golden.has("steps") ? try golden.integer("steps") : DiffusionSchedule.trainingSteps)
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(head.declarations, prefix: prefix + ".")
        if golden.has("out", "sample") { return try run.checkSteps(head, z: "z", temperature: Float(golden.number("temperature")), scope, comparison) }
        let net = scope.scope(prefix)
        if golden.has("out", "mse") { return try loss(head, run, net, comparison) }
        let (x, z) = (try run.input("x", rank: 2), try run.input("z", rank: 2))
        let y = try head.network(x, time: run.wholeInput("t"), z: z, net)
        try run.checkNetwork(y, inputs: ["x": x, "z": z], net, comparison)
    }

    private static func loss(
        _ head: DiffusionHead, _ run: GoldenGraph, _ net: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let graph = run.graph
        let z = try run.input("z", rank: 2)
        let parts = try head.losses(
            z: z, targets: run.input("target", rank: 2), noise: run.input("noise", rank: 2), time: run.wholeInput("t"), net)
        let rows = try graph.add(parts.mse, parts.bound)
        let loss = try run.maskedMean(rows)
        [parts.noisy, parts.mse, parts.bound, rows, loss].forEach(graph.output)
        let gradients = try run.gradients(of: loss, inputs: ["z": z], net)
        try run.run()
        for (name, tensor) in [
            ("x_t", parts.noisy), ("mse", parts.mse), ("vb", parts.bound), ("row_loss", rows), ("loss", loss),
        ] { try comparison.check("out", name, run.read(tensor)) }
        try run.check(gradients, with: comparison)
    }

    private static func sinusoid(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let run = GoldenGraph(golden, device)
        let y = try run.graph.sinusoid(run.input("t", rank: 1), width: golden.integer("freq"))
        run.graph.output(y)
        try run.run()
        try comparison.check("out", "embedding", run.read(y))
    }

    private static func schedule(_ golden: GoldenCase, _ comparison: GoldenComparison) throws {
        let schedule = try golden.text("respacing").isEmpty ? .training : DiffusionSchedule(steps: golden.integer("steps"))
        try comparison.check("out", "timestep_map", integers: schedule.times.map(Int32.init))
        let (steps, bars) = (schedule.times.indices, schedule.alphaBars)
        let columns: [(String, [Double])] = [
            ("betas", schedule.betas), ("log_betas", schedule.betas.map { log($0) }), ("alphas_cumprod", bars),
            ("log_alphas_cumprod", bars.map { log($0) }), ("posterior_log_variance_clipped", schedule.logVariances),
            ("posterior_mean_coef1", steps.map(schedule.shareOfClean)), ("posterior_mean_coef2", steps.map(schedule.shareOfNoisy)),
            ("log_sqrt_recip_alphas_cumprod", bars.map { -log($0) / 2 }),
            ("log_sqrt_recipm1_alphas_cumprod", bars.map { log(1 / $0 - 1) / 2 }),
        ]
        for (name, values) in columns { try comparison.check("out", name, values.map { Float($0) }) }
    }
}
