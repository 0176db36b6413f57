import DriftAR
import DriftFormats
import DriftGPU

/// The whole model in training: losses, the gradient of every parameter in both phases, label drop, and steps of the
/// optimiser.
enum ModelGolden {
    static func model(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let model = try golden.generator()
        if !golden.names("adamw_decay").isEmpty {
            try compareLists(golden, model, comparison)
        } else if golden.has("in", "u") {
            try compareLabelDrop(golden, model, device, comparison)
        } else if golden.tensors.contains(where: { $0.role.hasPrefix("step") }) {
            try compareSteps(golden, model, device, comparison)
        } else {
            try comparePhase(golden, model, device, comparison)
        }
    }

    /// Which parameters there are, which decay, and which are frozen.
    private static func compareLists(_ golden: GoldenCase, _ model: DriftARGolden, _ comparison: GoldenComparison) throws {
        let entries = model.layout.entries
        let named = try golden.parameters().keys
        comparison.expect(Set(entries.map(\.name)) == Set(named), "the model has other parameters")
        let never = model.names(trained: [.never])
        let trained = entries.filter { !never.contains($0.name) }
        comparison.expect(
            Set(trained.filter(\.decays).map(\.name)) == Set(golden.names("adamw_decay")), "other parameters decay")
        comparison.expect(
            Set(trained.filter { !$0.decays }.map(\.name)) == Set(golden.names("adamw_no_decay")),
            "other parameters do not decay")
        let frozen = model.names(trained: [.never, .firstPhase])
        comparison.expect(
            frozen == Set(golden.names("frozen_in_phase2")), "other parameters are frozen in the second phase")
    }

    private static func compareLabelDrop(
        _ golden: GoldenCase, _ model: DriftARGolden, _ device: Device, _ comparison: GoldenComparison
    ) throws {
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(model.layout)
        let embedding = try model.stage.embed(
            run.input("labels"), dropUniform: run.input("u"),
            dropProbability: Float(golden.number("label_drop_prob")), scope)
        let (z, entropy) = try model.stage.encode(embedding, scope).encoded()
        [z, entropy].forEach(run.graph.output)
        try run.run()
        try comparison.check("out", "z_AR", run.read(z))
        try comparison.check("out", "entropy_map", run.read(entropy))
    }

    private static func comparePhase(
        _ golden: GoldenCase, _ model: DriftARGolden, _ device: Device, _ comparison: GoldenComparison
    ) throws {
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(model.layout)
        let isSecond = try golden.flag("phase2")
        let noise = try run.input(isSecond ? "noise2" : "noise1")
        let step = try TrainingForward(run, model, scope, noise: noise, isSecondPhase: isSecond)
        let images = try golden.about("out", "gen_latents", rank: 4).shape
        let latents = try run.graph.unpatchify(
            step.generated, channels: images[1], height: images[2], width: images[3], patch: golden.integer("patch_size"))

        // Without gradient is what is never trained, or what the total does not depend on; a gradient that is zero
        // throughout may be missing too.
        let trained = model.generator.trained(isSecondPhase: false).map(\.name)
        let found = try run.graph.gradients(of: step.total, withRespectTo: trained.map { try scope.parameter($0) })
        let gradients = Dictionary(zip(trained, found), uniquingKeysWith: { first, _ in first })
        (step.outputs + [latents] + found.compactMap { $0 }).forEach(run.graph.output)
        try run.run()

        try step.check(run, comparison)
        try comparison.check("out", "gen_latents", run.read(latents))
        var squares = 0.0
        for (name, gradient) in gradients {
            let count = model.layout[name]?.count ?? 0
            let values = try run.read(gradient, count: count)
            squares += values.reduce(0) { $0 + Double($1) * Double($1) }
            try comparison.check("grad", name, values)
            if golden.names("grad_zero").contains(name) {
                comparison.expect(values.allSatisfy { $0 == 0 }, "the gradient of \(name) is not zero")
            }
            if golden.names("grad_none").contains(name) {
                comparison.expect(gradient == nil, "\(name) has a gradient")
            }
        }
        try comparison.check("out", "grad_norm", [Float(squares.squareRoot())])
    }

    private static func compareSteps(
        _ golden: GoldenCase, _ model: DriftARGolden, _ device: Device, _ comparison: GoldenComparison
    ) throws {
        let run = GoldenGraph(golden, device)
        let isSecond = try golden.flag("phase2")
        let scope = try run.parameters(model.layout, in: ["parameters", "ema"])
        let shape = try golden.input("noise1").shape
        let noise = try run.graph.input("noise", shape)
        let forward = try TrainingForward(run, model, scope, noise: noise, isSecondPhase: isSecond)
        let trained = model.generator.trained(isSecondPhase: isSecond)
        let gradients = try run.graph.gradients(
            of: forward.total, withRespectTo: trained.map { try scope.parameter($0.name) })
        for (entry, gradient) in zip(trained, gradients) {
            if let gradient { try run.graph.place(gradient, in: model.layout.storage("gradients"), at: entry.offset) }
        }
        var configuration = Configuration()
        let betas = try golden.numbers("betas")
        guard betas.count == 2 else { throw GraphError("\(golden.id): betas \(betas)") }
        (configuration.optimizer.beta1, configuration.optimizer.beta2) = (betas[0], betas[1])
        configuration.optimizer.adamEpsilon = try golden.number("eps")
        configuration.optimizer.weightDecay = try golden.number("wd")
        configuration.optimizer.clip = try golden.number("clip")
        configuration.optimizer.ema = try golden.number("ema")
        let rate = try run.input("learning_rate", NamedTensor(shape: [1], floats: [Float(golden.number("lr"))]))
        let norm = try UpdateGraph.optimize(
            run.graph, model.generator, configuration, active: Set(trained.map(\.name)), loss: forward.total, learningRate: rate,
            flagsName: "flags")
        (forward.outputs + [norm]).forEach(run.graph.output)

        let steps = golden.tensors.compactMap { Int($0.role.dropFirst("step".count)) }.max() ?? 0
        for step in 1...max(steps, 1) {
            let values = try golden.input("noise\(step)").floats ?? []
            try run.memory.write(values, to: Storage("noise", count: values.count))
            try run.run()
            try comparison.check("out", "step\(step).losses", forward.losses.flatMap { try run.read($0) })
            try comparison.check("out", "step\(step).grad_norm", [run.read(norm)[0]])
            for (role, buffer) in [("step", "parameters"), ("ema", "ema")] {
                let flat = try run.memory.read(Float.self, from: model.layout.storage(buffer))
                for entry in model.layout.entries {
                    try comparison.check(
                        role + "\(step)", entry.name, Array(flat[entry.offset..<(entry.offset + entry.count)]))
                }
            }
        }
    }
}
