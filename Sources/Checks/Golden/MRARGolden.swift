import DriftAR
import DriftFormats
import DriftGPU

/// TransDiff over several images of a class: a training step's forward and backward pass, and drawings from given noise.
enum MRARGolden {
    static func mrar(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let model = try Model(golden)
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(model.stage.declarations + model.head.declarations)
        if golden.has("out", "latents") { return try drawing(model, run, scope, comparison) }
        try training(model, run, scope, comparison, device)
    }

    /// Stage and head of a case, with its sampler where it draws.
    private struct Model {
        let stage: MRARStage
        let head: FlowDecoderHead
        let tiles: Int
        let labelDrop: Float

        init(_ golden: GoldenCase) throws {
            let sizes = try golden.source() ?? golden
            let (side, fold) = (try sizes.integer("side"), try sizes.integer("patch_size"))
            let (embed, heads) = (try sizes.integer("embed"), try sizes.integer("heads"))
            let (channels, ratio) = (try sizes.integer("vae_embed_dim"), Float(try sizes.number("mlp_ratio")))
            let epsilon = Float(try sizes.number("layer_norm_eps"))
            stage = MRARStage(
                .init(
                    rows: side, columns: side, channels: channels, patch: 1, embed: embed, heads: heads,
                    encoderDepth: try sizes.integer("encoder_depth"), buffer: try sizes.integer("buffer"),
                    images: try sizes.integer("images"), fold: fold, classes: try sizes.integer("class_num"), mlpRatio: ratio,
                    epsilon: epsilon))
            let decoder = FlowDecoder(
                width: embed, conditionWidth: embed, tokenWidth: channels, tokens: side * side, heads: heads,
                depth: try sizes.integer("decoder_depth"), hidden: Int(Float(embed) * ratio), epsilon: epsilon)
            head =
                golden.has("num_steps")
                ? FlowDecoderHead(
                    decoder, steps: try golden.integer("num_steps"), driftScale: try golden.number("scale_0"),
                    noiseScale: try golden.number("scale_1")) : FlowDecoderHead(decoder)
            tiles = try sizes.integer("batch_mul")
            labelDrop = Float(try sizes.number("label_drop_prob"))
        }
    }

    private static func training(
        _ model: Model, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison, _ device: Device
    ) throws {
        let (graph, stage, shape) = (run.graph, model.stage, model.stage.shape)
        let images = try (0..<shape.images).map { try graph.patchify(run.input("img\($0)", rank: 4), patch: 1) }
        let labels = try run.input("labels", rank: 1)
        let (count, size) = (labels.count, shape.tokens * shape.tokenWidth)
        let embedding = try stage.embed(labels, uniform: run.input("u", rank: 1), dropProbability: model.labelDrop, scope)
        let rows = try stage.encode(embedding, after: Array(images.dropLast()), scope)
        let z = try stage.place(rows, scope)
        let rounds = shape.images
        let normal = try perImage(run, "normal", rounds: rounds, tiles: model.tiles, count: count, size: 1)
        let noise = try perImage(run, "noise", rounds: rounds, tiles: model.tiles, count: count, size: size)
        var losses: [Tensor] = []
        for (round, image) in images.enumerated() {
            let targets = try graph.repeatEach(graph.reshape(image, [count, size]), times: model.tiles)
            let made = try model.head.losses(
                z: graph.slice(z, axis: 1, 0..<((round + 1) * shape.group)), targets: graph.reshape(targets, [count * model.tiles, size]),
                noise: graph.reshape(noise[round], [count * model.tiles, size]),
                normal: graph.reshape(normal[round], [count * model.tiles]), scope)
            losses.append(try graph.mean(made.losses))
        }
        let sum = try losses.dropFirst().reduce(losses[0]) { try graph.add($0, $1) }
        let loss = try graph.scale(sum, by: 1 / Float(rounds))
        ([rows, loss] + losses).forEach(graph.output)
        let gradients = try run.gradients(of: loss, inputs: [:], scope)
        try run.run()
        try comparison.check("out", "z", run.read(rows))
        try comparison.check("out", "stage_losses", losses.flatMap { try run.read($0) })
        try comparison.check("out", "loss", run.read(loss))
        try run.check(gradients, with: comparison)
        var squares = 0.0
        for tensor in gradients.values { for value in try run.read(tensor ?? nil) { squares += Double(value) * Double(value) } }
        try comparison.check("out", "grad_norm", [Float(squares.squareRoot())])
        try comparison.check("out", "mask_allowed", integers: seen(shape, device))
    }

    /// Values [rounds, tiles, n, ...] of the case, tile after tile, as tensors [n, tiles, ...] of each round, an image's together.
    private static func perImage(
        _ run: GoldenGraph, _ name: String, rounds: Int, tiles: Int, count: Int, size: Int
    ) throws -> [Tensor] {
        let values = try run.golden.input(name).floats ?? []
        return try (0..<rounds).map { round in
            var own: [Float] = []
            for image in 0..<count {
                for tile in 0..<tiles {
                    let begin = ((round * tiles + tile) * count + image) * size
                    own += values[begin..<(begin + size)]
                }
            }
            return try run.input("\(name)_\(round)", NamedTensor(shape: [own.count], floats: own))
        }
    }

    /// 1 where a row of the stage sees another, by what its attention weighs.
    private static func seen(_ shape: MRARStage.Shape, _ device: Device) throws -> [Int32] {
        let positions = shape.buffer + shape.images * shape.group
        let qkv = [Float](repeating: 0, count: positions * 3 * shape.embed)
        let weights = try attentionWeights(
            qkv, batch: 1, positions: positions, width: shape.embed, heads: 1,
            mask: .groups(prefix: shape.buffer, block: shape.group), device)
        return weights.map { $0 > 0 ? 1 : 0 }
    }

    private static func drawing(
        _ model: Model, _ run: GoldenGraph, _ scope: ParameterScope, _ comparison: GoldenComparison
    ) throws {
        let (graph, golden, stage, shape) = (run.graph, run.golden, model.stage, model.stage.shape)
        let strengths = try golden.has("cfg") && (try? golden.number("cfg")) == nil
            ? golden.numbers("cfg") : [Double](repeating: golden.number("cfg"), count: shape.images)
        let isGuided = strengths.contains { $0 != 1 }
        let labels = try golden.input("labels", rank: 1).ints ?? []
        let halves = isGuided ? 2 : 1
        let ids = try graph.constant("ids", (0..<halves).flatMap { _ in labels }, [halves * labels.count])
        let keeps = (0..<halves).flatMap { [Float](repeating: $0 == 0 ? 1 : 0, count: labels.count) }
        let embedding = try stage.embed(
            ids, uniform: graph.constant("keeps", keeps, [keeps.count]), dropProbability: 0.5, scope)
        let start = try run.input("noise_init", rank: 3)
        let rows = try graph.split(model.head.table(scope), axis: 0)
        let noises = try graph.split(run.input("noises", rank: 5), axis: 0)
        var (made, contexts): ([Tensor], [Tensor]) = ([], [])
        for round in 0..<shape.images {
            let earlier = try isGuided ? made.map { try graph.concat([$0, $0], axis: 0) } : made
            let z = try stage.place(stage.encode(embedding, after: earlier, scope), scope)
            contexts.append(z)
            let common = try model.head.common(z: z, scope)
            let cfg = try isGuided ? graph.constant("cfg_\(round)", [Float(strengths[round])], [1]) : nil
            let own = try graph.split(noises[round], axis: 0)
            var x = start
            for (step, row) in rows.enumerated() {
                x = try model.head.step(x, common: common, row: row, other: own[min(step, own.count - 1)], cfg: cfg, scope).x
            }
            made.append(x)
        }
        let last = made[made.count - 1]
        let latents = try graph.unpatchify(last, channels: shape.channels, height: shape.rows, width: shape.columns, patch: 1)
        (made + contexts + [latents]).forEach(graph.output)
        try run.run()
        for (round, tokens) in made.enumerated() { try comparison.check("out", "tokens_\(round)", run.read(tokens)) }
        for (round, z) in contexts.enumerated() where golden.has("out", "context_\(round)") {
            try comparison.check("out", "context_\(round)", run.read(z))
        }
        try comparison.check("out", "latents", run.read(latents))
    }
}
