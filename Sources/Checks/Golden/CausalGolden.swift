import DriftAR
import DriftFormats
import DriftGPU

/// NextStep-1's network with its flow head: a block, a pass of training, the same row by row with keys and values kept, the head's
/// samplers, and whole drawings from given noise.
enum CausalGolden {
    static func causal(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("out", "attn") { return try block(golden, comparison, device) }
        if golden.has("out", "table") { return try sines(golden, comparison) }
        let model = try CausalModel(golden)
        let run = GoldenGraph(golden, device)
        if golden.has("out", "latents") { return try drawing(model, run, comparison) }
        let scope = try run.parameters(model.declarations)
        if golden.has("out", "times") { return try sample(model, run, scope, comparison) }
        if golden.has("out", "keys") { return try cached(model, run, scope, comparison) }
        try pass(model, run, scope, comparison)
    }

    private static func block(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let block = try CausalModel.block(golden)
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(block.declarations("", weight: .zeros))
        let (x, seed) = (try run.input("x", rank: 3), try run.input("G"))
        let positions = x.shape[1]
        let places = RotaryPlaces(front: 0, grid: nil, base: try golden.number("rope_theta"))
        let (y, qkv) = try block(x, table: run.graph.rotaryTable(places, count: positions, size: block.size), scope)
        [y, qkv].forEach(run.graph.output)
        let gradients = try run.gradients(of: y, seed: seed, inputs: ["x": x], scope)
        try run.run()
        let got = try run.read(y)
        try comparison.check("out", "y", got)
        try comparison.check("out", "loss", [zip(got, golden.input("G").floats ?? []).reduce(0) { $0 + $1.0 * $1.1 }])
        let table = places.table(count: positions, size: block.size)
        for (name, first) in [("cos", 0), ("sin", block.size / 2)] {
            // The reference has each half twice.
            try comparison.check(
                "out", name,
                (0..<(positions * block.size)).map { table[$0 / block.size * block.size + first + $0 % (block.size / 2)] })
        }
        try comparison.check(
            "out", "attn",
            attentionWeights(
                run.read(qkv), batch: x.shape[0], positions: positions, width: block.width, heads: block.heads, mask: .causal, device))
        try run.check(gradients, with: comparison)
    }

    private static func sines(_ golden: GoldenCase, _ comparison: GoldenComparison) throws {
        let (grid, width, rows) = (try golden.integer("grid"), try golden.integer("embed"), try golden.integer("rows"))
        let table = CausalStage.sines(rows: grid, columns: grid, width: width)
        try comparison.check("out", "table", Array(table.prefix(rows * width)))
    }

    /// All rows at once, and the loss of given times and noise.
    private static func pass(
        _ model: CausalModel, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let (graph, stage) = (run.graph, model.stage)
        let (front, tokens) = (try run.input("class_tokens", rank: 3), try run.input("tokens", rank: 3))
        let (normal, noise) = (try run.input("normal", rank: 3), try run.input("noise", rank: 4))
        let (count, width) = (stage.shape.tokens, stage.shape.tokenWidth)
        var x = try graph.concat([front, stage.enter(graph.slice(tokens, axis: 1, 0..<(count - 1)), scope)], axis: 1)
        var hidden: [Tensor] = []
        for layer in 0..<stage.shape.depth {
            x = try stage.shape.block(x, table: stage.table(graph), scope.scope("layers.\(layer)")).output
            hidden.append(x)
        }
        let last = try scope.rmsNorm(x, "norm", epsilon: stage.shape.block.epsilon)
        let z = try stage.forward(front: front, tokens: tokens, scope).z
        let parts = try model.head.losses(
            z: graph.reshape(z, [z.type.rows, stage.shape.embed]), targets: graph.detach(graph.reshape(tokens, [tokens.type.rows, width])),
            noise: graph.reshape(noise, [noise.type.rows, width]), normal: graph.reshape(normal, [normal.count]), scope)
        let loss = try graph.mean(parts.losses)
        (hidden + [last, z, parts.time, loss]).forEach(graph.output)
        let gradients = try run.gradients(of: loss, inputs: ["class_tokens": front, "tokens": tokens], scope)
        try run.run()
        for (index, rows) in hidden.dropLast().enumerated() { try comparison.check("out", "hidden_\(index + 1)", run.read(rows)) }
        try comparison.check("out", "last_hidden", run.read(last))
        try comparison.check("out", "condition", run.read(z))
        try comparison.check("out", "t", run.read(parts.time))
        try comparison.check("out", "loss", run.read(loss))
        try run.check(gradients, with: comparison)
    }

    /// The same rows one after the other, each from the keys and values of those before it.
    private static func cached(
        _ model: CausalModel, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        guard let source = try run.golden.source() else { throw GraphError("\(run.golden.id): no case with the tokens") }
        let (graph, stage) = (run.graph, model.stage)
        let front = try run.input("class_tokens", source.values("in", "class_tokens", rank: 3))
        let tokens = try run.input("tokens", source.values("in", "tokens", rank: 3))
        let (batch, count, own) = (tokens.shape[0], stage.shape.tokens, stage.shape.classTokens)
        let size = [batch, stage.shape.block.keyHeads, stage.shape.capacity, stage.shape.block.size]
        let caches = try (0..<stage.shape.depth).map { layer in
            try KeyValueCache(key: graph.input("keys_\(layer)", size), value: graph.input("values_\(layer)", size))
        }
        var (hidden, conditions): ([Tensor], [Tensor]) = ([], [])
        for token in 0..<count {
            let known = try graph.constant("known_\(token)", [Int32(token)], [1])
            var x = try token == 0 ? front : stage.enter(graph.slice(tokens, axis: 1, (token - 1)..<token), scope)
            for layer in 0..<stage.shape.depth {
                x = try stage.shape.block.step(
                    x, cache: caches[layer], known: known, offset: token == 0 ? 0 : own - 1, table: stage.table(graph),
                    scope.scope("layers.\(layer)"))
            }
            if token == 0 { x = try graph.slice(x, axis: 1, (own - 1)..<own) }
            hidden.append(try scope.rmsNorm(x, "norm", epsilon: stage.shape.block.epsilon))
            conditions.append(try stage.leave(x, places: nil, scope))
        }
        let (all, z) = (try graph.concat(hidden, axis: 1), try graph.concat(conditions, axis: 1))
        let kept = try [caches.map(\.key), caches.map(\.value)].map { try $0.map { try graph.copy($0) } }
        ([all, z] + kept.flatMap(\.self)).forEach(graph.output)
        try run.run()
        try comparison.check("out", "hidden", run.read(all))
        try comparison.check("out", "condition", run.read(z))
        for (name, tensors) in zip(["keys", "values"], kept) { try comparison.check("out", name, tensors.flatMap { try run.read($0) }) }
    }

    /// The head's sampler, step by step from given noise.
    private static func sample(
        _ model: CausalModel, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        try comparison.check("out", "times", model.schedule.times.map { Float($0) })
        try run.checkSteps(model.head, z: "c", scope, comparison)
    }

    /// Whole images by the loop of the product. The rows in front are classes of their own.
    private static func drawing(_ model: CausalModel, _ run: GoldenGraph, _ comparison: GoldenComparison) throws {
        let (golden, stage) = (run.golden, model.stage)
        let (count, width, steps) = (stage.shape.tokens, stage.shape.tokenWidth, model.head.steps)
        let cfg = Float(try golden.number("cfg"))
        let rows = try golden.input("class_tokens", rank: 3)
        let batch = rows.shape[0]
        let classes = (rows.floats ?? []) + (cfg == 1 ? [] : try golden.input("null_tokens", rank: 3).floats ?? [])
        _ = try run.parameters(model.declarations)
        // The rows in front are no parameters there: behind the others here.
        let layout = try ParameterLayout((model.declarations + stage.declarations.prefix(1)).map { ($0.name, $0.shape) })
        let values = try golden.parameters()
        var flat = [Float](repeating: 0, count: layout.count)
        for entry in layout.entries {
            let own = entry.name == stage.declarations[0].name ? classes : values[entry.name]?.floats ?? []
            flat.replaceSubrange(entry.offset..<(entry.offset + own.count), with: own)
        }
        try run.memory.write(flat, to: layout.storage("drawing"))
        /// [R, ..., B, C] -> [..., B, R, C].
        func byImage(_ noise: NamedTensor, inner: Int) -> [Float] {
            let values = noise.floats ?? []
            return (0..<(inner * batch * count * width)).map { index in
                let (c, r, b, s) = (index % width, index / width % count, index / (width * count) % batch, index / (width * count * batch))
                return values[((r * inner + s) * batch + b) * width + c]
            }
        }
        let noise = try golden.input("noise_steps", rank: 4)
        let given = CausalDecoding.Given(
            start: byImage(try golden.input("noise_init", rank: 3), inner: 1),
            steps: byImage(noise, inner: noise.shape[1])
                + [Float](repeating: 0, count: (steps - noise.shape[1]) * batch * count * width),
            classes: (0..<Int32(classes.count / (stage.shape.classTokens * stage.shape.embed))).map { $0 })
        let loop = CausalDecoding(
            stage, model.head, SamplingContext(StoredWeights(layout, buffer: "drawing"), memory: run.memory))
        try comparison.check("out", "cfg_iter", stage.drawing.strengths(cfg, tokens: count))
        let drawn = try loop.draw(Array(0..<batch), images: 0..<1, cfg: cfg, seed: 0, given: given)
        try comparison.check("out", "tokens", drawn)
        try run.checkLatents(drawn, patch: golden.integer("patch_size"), comparison)
    }
}

/// The model of a case.
private struct CausalModel {
    let stage: CausalStage
    let head: FlowHead
    let schedule: FlowSchedule
    /// All but the rows of the classes, which cases give.
    let declarations: [ParameterDeclaration]

    init(_ golden: GoldenCase) throws {
        let tokens = try golden.integer("seq_len")
        var drawing = CausalStage.Drawing()
        if golden.has("cfg_schedule") { drawing.guidance = try golden.text("cfg_schedule") == "linear" ? .falling : .constant }
        let hasPositions = golden.has("use_gen_pos_embed") ? try golden.flag("use_gen_pos_embed") : false
        let isNormed = golden.has("use_norm") ? try golden.flag("use_norm") : false
        stage = CausalStage(
            CausalStage.Shape(
                tokens: tokens, tokenRows: hasPositions ? 1 : Int(Double(tokens).squareRoot()), tokenWidth: try golden.integer("channels"),
                block: try Self.block(golden), depth: try golden.integer("layers"), classTokens: try golden.integer("class_tokens"),
                classes: 2 * (try golden.integer("B")) - 1, rotary: .line, rotaryBase: try golden.number("rope_theta"),
                headPositions: hasPositions ? .sines : .none),
            norm: isNormed ? .layer : .none, drawing)
        let (steps, shift) = golden.has("steps")
            ? (try golden.integer("steps"), try golden.number("timesteps_shift")) : (2, 1)
        let ending: FlowSchedule.Ending = golden.id.hasSuffix("head_new") ? .whole : .quiet
        schedule = FlowSchedule(ending, steps: steps, shift: shift)
        head = FlowHead(
            TokenHeadShape(
                tokenWidth: stage.shape.tokenWidth, conditionWidth: stage.shape.embed, width: try golden.integer("head_width"),
                depth: try golden.integer("head_depth")),
            noises: try golden.integer("batch_mul"), steps: steps, ending: ending, shift: shift)
        declarations = Array(stage.declarations.dropFirst()) + head.declarations
    }

    static func block(_ golden: GoldenCase) throws -> CausalBlock {
        CausalBlock(
            width: try golden.integer("embed"), heads: try golden.integer("heads"), keyHeads: try golden.integer("kv_heads"),
            hidden: try golden.integer("intermediate"), epsilon: Float(try golden.number("rms_norm_eps")))
    }
}
