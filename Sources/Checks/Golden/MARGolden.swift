import DriftAR
import DriftFormats
import DriftGPU

/// MAR with its diffusion head: losses and gradients at given orders, masks, times and noise; steps of the optimiser; drawing in
/// rounds from given noise.
enum MARGolden {
    static func training(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("mask_ratio_min") {
            try compareMasking(golden, comparison)
        } else if !golden.names("adamw_decay").isEmpty {
            try compareLists(golden, comparison)
        } else if golden.tensors.contains(where: { $0.role.hasPrefix("step") }) {
            try compareSteps(golden, comparison, device)
        } else {
            try comparePass(golden, comparison, device)
        }
    }

    private static func compareMasking(_ golden: GoldenCase, _ comparison: GoldenComparison) throws {
        let (minimum, deviation) = (try golden.number("mask_ratio_min"), try golden.number("std"))
        let u = try golden.input("u").floats ?? []
        func masking(_ tokens: Int) -> TokenMasking { TokenMasking(tokens: tokens, minimum: minimum, deviation: deviation) }
        try comparison.check("out", "mask_rate", u.map { Float(masking(1).rate(Double($0))) })
        for tokens in try golden.numbers("R").map({ Int($0) }) {
            let masking = masking(tokens)
            try comparison.check("out", "masked_\(tokens)", integers: u.map { Int32(masking.count(masking.rate(Double($0)))) })
        }
    }

    /// Which parameters there are, and which decay.
    private static func compareLists(_ golden: GoldenCase, _ comparison: GoldenComparison) throws {
        let model = try MARModel(golden)
        comparison.expect(Set(model.layout.entries.map(\.name)) == Set(try golden.parameters().keys), "the model has other parameters")
        func names(_ decays: Bool) -> Set<String> { Set(model.layout.entries.filter { $0.decays == decays }.map(\.name)) }
        comparison.expect(names(true) == Set(golden.names("adamw_decay")), "other parameters decay")
        comparison.expect(names(false) == Set(golden.names("adamw_no_decay")), "other parameters do not decay")
    }

    private static func comparePass(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let model = try MARModel(golden)
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(model.layout)
        let pass = try MARPass(run, model, scope, suffix: "")
        let gradients = try run.gradients(of: pass.loss, inputs: [:], scope)
        let all = try run.graph.gradients(of: pass.loss, withRespectTo: model.layout.entries.map { try scope.parameter($0.name) })
        ([pass.encoded, pass.z, pass.mse, pass.bound, pass.loss] + all.compactMap { $0 }).forEach(run.graph.output)
        try run.run()
        try comparison.check("out", "mask", integers: pass.mask)
        try comparison.check("out", "dropped", integers: pass.keeps.map { $0 < 0.5 ? 1 : 0 })
        try comparison.check("out", "encoder", run.read(pass.encoded))
        try comparison.check("out", "z", run.read(pass.z))
        try comparison.check("out", "mse", pass.spread(run.read(pass.mse)))
        try comparison.check("out", "vb", pass.spread(run.read(pass.bound)))
        try comparison.check("out", "loss", run.read(pass.loss))
        try run.check(gradients, with: comparison)
        var squares = 0.0
        for (entry, gradient) in zip(model.layout.entries, all) {
            let values = try run.read(gradient, count: entry.count)
            squares += values.reduce(0) { $0 + Double($1) * Double($1) }
            guard golden.names("grad_zero").contains(entry.name) else { continue }
            comparison.expect(values.allSatisfy { $0 == 0 }, "the gradient of \(entry.name) is not zero")
        }
        try comparison.check("out", "grad_norm", [Float(squares.squareRoot())])
    }

    private static func compareSteps(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let model = try MARModel(golden)
        let first = GoldenGraph(golden, device)
        _ = try first.parameters(model.layout, in: ["parameters", "ema"])
        let settings = try golden.adamW(clips: true)
        let steps = golden.tensors.compactMap { Int($0.role.dropFirst("step".count)) }.max() ?? 0
        for step in 1...max(steps, 1) {
            // Another number of hidden tokens is another graph on the same memory.
            let run = GoldenGraph(golden, memory: first.memory)
            let scope = ParameterScope(run.graph, model.layout)
            let pass = try MARPass(run, model, scope, suffix: "\(step)")
            let gradients = try run.graph.gradients(
                of: pass.loss, withRespectTo: model.layout.entries.map { try scope.parameter($0.name) })
            for (entry, gradient) in zip(model.layout.entries, gradients) {
                if let gradient { try run.graph.place(gradient, in: model.layout.storage("gradients"), at: entry.offset) }
            }
            func flat(_ name: String) throws -> Tensor { try run.graph.stored([model.layout.count], in: model.layout.storage(name)) }
            let flags = model.layout.flags { _ in true }
            let norm = try run.graph.step(
                settings,
                AdamW.State(
                    parameters: flat("parameters"), gradient: flat("gradients"), firstMoment: flat("moment1"),
                    secondMoment: flat("moment2"), average: flat("ema"),
                    flags: run.graph.constant("flags", flags, [flags.count]),
                    counters: run.graph.stored([2], in: UpdateGraph.counters),
                    learningRate: run.input("learning_rate", NamedTensor(shape: [1], floats: [Float(golden.number("lr"))]))),
                loss: pass.loss)
            [pass.loss, norm].forEach(run.graph.output)
            try run.run()
            try comparison.check("out", "step\(step).losses", run.read(pass.loss))
            try comparison.check("out", "step\(step).grad_norm", [run.read(norm)[0]])
            for (role, buffer) in [("step", "parameters"), ("ema", "ema")] {
                let values = try run.memory.read(Float.self, from: model.layout.storage(buffer))
                for entry in model.layout.entries {
                    try comparison.check(role + "\(step)", entry.name, Array(values[entry.offset..<(entry.offset + entry.count)]))
                }
            }
        }
    }

    // MARK: Drawing

    static func drawing(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        guard golden.has("rounds") else { return try compareCounts(golden, comparison) }
        let model = try MARModel(golden, steps: golden.integer("steps"))
        let run = GoldenGraph(golden, device)
        _ = try run.parameters(model.layout)
        guard let guidance = RoundSettings.Guidance(rawValue: try golden.text("cfg_schedule")) else {
            throw GraphError("\(golden.id): cfg_schedule \(try golden.text("cfg_schedule"))")
        }
        let settings = RoundSettings(
            rounds: try golden.integer("rounds"), guidance: guidance, temperature: Float(try golden.number("temperature")))
        let (tokens, width) = (model.stage.shape.tokens, model.stage.shape.tokenWidth)
        let cfg = Float(try golden.number("cfg"))
        let orders = try golden.input("orders", rank: 2).ints ?? []
        let labels = try golden.input("labels", rank: 1).ints?.map { Int($0) } ?? []
        let plan = settings.plan(tokens: tokens)
        try comparison.check("out", "count", integers: plan.map { Int32($0.drawn.count) })
        try comparison.check("out", "cfg_iter", settings.strengths(cfg, tokens: tokens))
        try comparison.check(
            "out", "predicted",
            integers: plan.flatMap { round -> [Int32] in
                labels.indices.flatMap { image -> [Int32] in
                    let drawn = Set(orders[(image * tokens + round.drawn.lowerBound)..<(image * tokens + round.drawn.upperBound)])
                    return (0..<Int32(tokens)).map { drawn.contains($0) ? Int32(1) : 0 }
                }
            })
        // The reference's last step draws nothing.
        let steps = try golden.input("noise_steps").floats ?? []
        let given = MaskedRounds.Given(
            orders: orders, start: try golden.input("noise_init").floats ?? [],
            steps: steps + [Float](repeating: 0, count: labels.count * tokens * width))
        let loop = MaskedRounds(
            model.stage, model.head, settings,
            SamplingContext(StoredWeights(model.layout, buffer: "parameters"), memory: run.memory))
        var drawn: [Float] = []
        for round in 1...settings.rounds {
            drawn = try loop.draw(labels, images: 0..<1, cfg: cfg, seed: 0, given: given, rounds: round)
            try comparison.check("out", "tokens_\(round)", drawn)
        }
        try run.checkLatents(drawn, patch: model.patch, comparison)
    }

    /// Tokens and strength of guidance of each round, for numbers of tokens and rounds.
    private static func compareCounts(_ golden: GoldenCase, _ comparison: GoldenComparison) throws {
        let cfg = Float(try golden.number("cfg"))
        for tensor in golden.tensors where tensor.role == "out" {
            let numbers = tensor.name.split { !$0.isNumber }.compactMap { Int($0) }
            guard numbers.count == 2 else { throw GraphError("\(golden.id): \(tensor.name) names no tokens and rounds") }
            let plan = RoundSettings(rounds: numbers[1]).plan(tokens: numbers[0])
            if tensor.isInteger {
                try comparison.check("out", tensor.name, integers: plan.map { Int32($0.drawn.count) })
            } else {
                try comparison.check(
                    "out", tensor.name, RoundSettings(rounds: numbers[1]).strengths(cfg, tokens: numbers[0]))
            }
        }
    }
}

/// The model of a case.
struct MARModel {
    let stage: MARStage
    let head: DiffusionHead
    let layout: ParameterLayout
    let patch: Int

    init(_ golden: GoldenCase, steps: Int = 100) throws {
        patch = try golden.integer("patch_size")
        stage = MARStage(
            MARStage.Shape(
                tokens: try golden.integer("seq_len"), tokenWidth: try golden.integer("channels"), embed: try golden.integer("embed"),
                heads: try golden.integer("heads"), encoderDepth: try golden.integer("encoder_depth"),
                decoderDepth: try golden.integer("decoder_depth"), buffer: try golden.integer("buffer"),
                classes: try golden.integer("class_num"), mlpRatio: Float(try golden.number("mlp_ratio")),
                epsilon: Float(try golden.number("layer_norm_eps"))))
        head = DiffusionHead(
            TokenHeadShape(
                tokenWidth: stage.shape.tokenWidth, conditionWidth: stage.shape.embed, width: try golden.integer("head_width"),
                depth: try golden.integer("head_depth")),
            noises: try golden.integer("batch_mul"), steps: steps)
        layout = try Generator(
            stage, head, classes: stage.shape.classes, tokens: stage.shape.tokens, tokenWidth: stage.shape.tokenWidth
        ).layout
    }
}

/// A pass of training from the case's images, orders, times and noise.
private struct MARPass {
    let encoded: Tensor
    /// Of all positions [B, R, D].
    let z: Tensor
    /// Of the hidden ones, tile after tile.
    let mse: Tensor
    let bound: Tensor
    let loss: Tensor
    /// [B, R], 1 where a position is hidden.
    let mask: [Int32]
    let keeps: [Float]
    /// Where each row stands in [batch_mul, B, R].
    private let places: [Int]
    private let count: Int

    init(_ run: GoldenGraph, _ model: MARModel, _ scope: ParameterScope, suffix: String) throws {
        let (golden, graph) = (run.golden, run.graph)
        let (tokens, width) = (model.stage.shape.tokens, model.stage.shape.tokenWidth)
        let orders = try golden.input("orders" + suffix, rank: 2)
        let (batch, tiles) = (orders.shape[0], model.head.noises)
        let rate = Double(try golden.input("mask_rate" + suffix).floats?.first ?? 1)
        let masked = TokenMasking(tokens: tokens, minimum: 0.7, deviation: 0.25).count(rate)
        let drop = Float(try golden.number("label_drop_prob"))
        let keeps = try golden.input("u" + suffix).floats?.map { $0 < drop ? Float(0) : 1 } ?? []
        let hidden = (0..<batch).map { image in
            (orders.ints ?? [])[(image * tokens)..<(image * tokens + masked)].map { Int($0) }.sorted()
        }
        let flat = hidden.enumerated().flatMap { image, positions in positions.map { image * tokens + $0 } }
        let places = (0..<tiles).flatMap { tile in flat.map { tile * batch * tokens + $0 } }
        let times = try golden.input("t" + suffix).ints ?? []
        let noise = try golden.input("noise" + suffix).floats ?? []
        (self.keeps, self.places, count) = (keeps, places, tiles * batch * tokens)
        mask = (0..<(batch * tokens)).map { Set(flat).contains($0) ? 1 : 0 }

        let image = try run.input("imgs", rank: 4)
        let real = try graph.reshape(graph.patchify(image, patch: model.patch), [batch * tokens, width])
        let order = try run.input("order", orders)
        let known = MARStage.Known(tokens: real, order: order, range: masked..<tokens)
        encoded = try model.stage.encode(
            model.stage.embed(run.input("labels"), keeps: run.input("keeps", NamedTensor(shape: [batch], floats: keeps)), scope),
            known, scope)
        z = try model.stage.decode(encoded, known, wanted: 0..<tokens, scope).z
        let wanted = try model.stage.decode(encoded, known, wanted: 0..<masked, scope).z
        let targets = try graph.gatherRows(real, graph.places(order, 0..<masked, stride: tokens))
        let rows = places.count
        let parts = try model.head.losses(
            z: graph.reshape(wanted, [batch * masked, model.stage.shape.embed]), targets: targets,
            noise: run.input(
                "rows_noise\(suffix)", NamedTensor(shape: [rows, width], floats: places.flatMap { noise[($0 * width)..<(($0 + 1) * width)] })),
            time: run.input("rows_time\(suffix)", NamedTensor(shape: [rows], floats: places.map { Float(times[$0]) })),
            scope.scope("diffloss.net"))
        (mse, bound) = (parts.mse, parts.bound)
        loss = try graph.mean(graph.add(mse, bound))
    }

    /// Values of the hidden rows among all, zeros elsewhere.
    func spread(_ values: [Float]) -> [Float] {
        var all = [Float](repeating: 0, count: count)
        for (place, value) in zip(places, values) { all[place] = value }
        return all
    }
}
