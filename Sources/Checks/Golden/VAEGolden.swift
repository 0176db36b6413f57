import DriftAR
import DriftGPU

/// The autoencoder: moments, a draw from the posterior, its divergence, the decoder, and gradients through both.
enum VAEGolden {
    /// The sizes a case is about.
    private static func shape(_ golden: GoldenCase) throws -> VAE.Shape {
        var shape = VAE.Shape()
        shape.width = try golden.integer("ch")
        shape.multipliers = try golden.numbers("ch_mult").map { Int($0) }
        shape.blocks = try golden.integer("num_res_blocks")
        (shape.innerChannels, shape.latentChannels) = (try golden.integer("z"), try golden.integer("embed_dim"))
        shape.epsilon = Float(try golden.number("norm_eps"))
        let resolution = try golden.integer("resolution")
        func levels(_ name: String) throws -> Set<Int> {
            let resolutions = try golden.numbers(name).map { Int($0) }
            return Set(shape.multipliers.indices.filter { resolutions.contains(resolution >> $0) })
        }
        shape.encoderAttention = try levels("encoder_attn_resolutions")
        shape.decoderAttention = try levels("decoder_attn_resolutions")
        return shape
    }

    static func autoencoder(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let vae = try VAE(shape(golden))
        comparison.expect(try vae.shape.groups == golden.integer("groups"), "groups of the norms")
        let run = GoldenGraph(golden, device)
        let scope = try run.parameters(vae.encoderDeclarations + vae.decoderDeclarations)
        let (x, z) = (try run.input("x", rank: 4), try run.input("z", rank: 4))
        let moments = try vae.encode(x, scope)
        let sample = try run.graph.posterior(moments: moments, eps: run.input("eps"))
        let decoded = try vae.decode(z, scope)
        let gradients = try run.graph.gradients(
            of: [(moments, run.input("Gm")), (decoded, run.input("Gd"))], withRespectTo: [x, z])
        ([moments, sample, decoded] + gradients.compactMap { $0 }).forEach(run.graph.output)
        try run.run()
        try comparison.check("out", "moments", run.read(moments))
        try comparison.check("out", "sample", run.read(sample))
        try comparison.check("out", "kl", VAE.divergence(run.read(moments), batch: x.shape[0]))
        try comparison.check("out", "decoded", run.read(decoded))
        try comparison.check("grad", "x", run.read(gradients[0], count: x.count))
        try comparison.check("grad", "z", run.read(gradients[1], count: z.count))
        try fused(vae, golden, comparison, run.memory)
    }

    /// The same without gradients, where convolutions take up their neighbours.
    private static func fused(
        _ vae: VAE, _ golden: GoldenCase, _ comparison: GoldenComparison, _ memory: DeviceMemory
    ) throws {
        let graph = Graph()
        let declarations = vae.encoderDeclarations + vae.decoderDeclarations
        let scope = ParameterScope(graph, try ParameterLayout(declarations.map { ($0.name, $0.shape) }))
        let (x, z) = (try golden.input("x", rank: 4), try golden.input("z", rank: 4))
        let moments = try vae.encode(graph.input("x", x.shape), scope)
        let decoded = try vae.decode(graph.input("z", z.shape), scope)
        [moments, decoded].forEach(graph.output)
        let executor = try memory.executor(graph)
        try executor.run()
        try comparison.check("out", "moments", executor.read(moments))
        try comparison.check("out", "decoded", executor.read(decoded))
    }
}
