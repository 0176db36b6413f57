import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct VAEWeightsTests {
    @Test("sizes and values are those of the file, below whatever prefix")
    func readsFiles() throws {
        let folder = try TestFolder()
        for prefix in ["", "first_stage_model."] {
            var tensors = try TinyVAE.tensors(prefix: prefix)
            tensors["loss.discriminator.weight"] = try NamedTensor(shape: [2], floats: [0, 1])
            let path = folder.file("vae\(prefix.count).safetensors")
            try SafeTensors.write(tensors, to: path)
            let (read, drawn) = (try VAEWeights(path), try TinyVAE.weights())
            #expect(read.vae.shape == TinyVAE.shape)
            for declarations in [drawn.vae.encoderDeclarations, drawn.vae.decoderDeclarations] {
                let layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
                #expect(try read.values(declarations, layout) == drawn.values(declarations, layout))
            }
        }
    }

    /// The names of diffusers for those of latent diffusion, of two levels.
    private static let diffusers = [
        ("encoder.down.0.block.", "encoder.down_blocks.0.resnets."), ("encoder.down.1.block.", "encoder.down_blocks.1.resnets."),
        ("encoder.down.1.attn.", "encoder.down_blocks.1.attentions."), ("encoder.down.0.downsample.", "encoder.down_blocks.0.downsamplers.0."),
        ("decoder.up.0.block.", "decoder.up_blocks.1.resnets."), ("decoder.up.1.block.", "decoder.up_blocks.0.resnets."),
        ("decoder.up.1.upsample.", "decoder.up_blocks.0.upsamplers.0."), ("mid.block_1.", "mid_block.resnets.0."),
        ("mid.block_2.", "mid_block.resnets.1."), ("mid.attn_1.", "mid_block.attentions.0."), ("nin_shortcut", "conv_shortcut"),
        ("norm_out", "conv_norm_out"),
    ]

    @Test("the names of diffusers are those of latent diffusion in another spelling", arguments: [
        ["norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"],
        ["norm": "group_norm", "q": "query", "k": "key", "v": "value", "proj_out": "proj_attn"],
    ])
    func readsDiffusers(_ attention: [String: String]) throws {
        let folder = try TestFolder()
        let tensors = try TinyVAE.tensors()
        var renamed: [String: NamedTensor] = [:]
        for (name, tensor) in tensors {
            var new = Self.diffusers.reduce(name) { $0.replacing($1.0, with: $1.1) }
            var shape = tensor.shape
            if new.contains("attentions.") {
                let parts = new.split(separator: ".").map(String.init)
                new = (parts.dropLast(2) + [attention[parts[parts.count - 2]] ?? "?", parts[parts.count - 1]]).joined(separator: ".")
                if shape.count == 4 { shape.removeLast(2) }
            }
            renamed[new] = try NamedTensor(shape: shape, floats: #require(tensor.floats))
        }
        #expect(renamed["decoder.mid_block.attentions.0.\(attention["proj_out"] ?? "").weight"]?.shape == [8, 8])
        let path = folder.file("diffusion_pytorch_model.safetensors")
        try SafeTensors.write(renamed, to: path)
        let (read, drawn) = (try VAEWeights(path), try TinyVAE.weights())
        #expect(read.vae.shape == TinyVAE.shape)
        for declarations in [drawn.vae.encoderDeclarations, drawn.vae.decoderDeclarations] {
            let layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
            #expect(try read.values(declarations, layout) == drawn.values(declarations, layout))
        }
        let weights = try WeightImport(WeightFile.open(path))
        #expect(weights.kind == .kl16 && weights.isExact)
        #expect(try SafeTensors.read(weights.write(to: folder.file("vae.safetensors"))[0]).tensors == tensors)
        renamed["decoder.mid_block.resnets.1.conv2.bias"] = nil
        try SafeTensors.write(renamed, to: path)
        #expect(errorText { _ = try VAEWeights(path) }?.contains("lacks decoder.mid.block_2.conv2.bias") == true)
    }

    @Test("a checkpoint of latent diffusion is read as it is, and errors of sizes name the file")
    func readsCheckpoints() throws {
        #expect(try VAEWeights(PyTorchFixtures.path("kl16.ckpt")).vae.shape.latentChannels == 2)
        let folder = try TestFolder()
        var tensors = try TinyVAE.tensors()
        for name in tensors.keys where name.hasPrefix("encoder.down.") { tensors[name] = nil }
        try SafeTensors.write(tensors, to: folder.file("vae.safetensors"))
        let text = errorText { _ = try VAEWeights(folder.file("vae.safetensors")) }
        #expect(text?.contains("vae.safetensors: VAE: 0 levels") == true, "\(text ?? "")")
    }

    @Test("the default has the sizes of kl16")
    func kl16() throws {
        let vae = try VAE()
        let shapes = Dictionary(
            uniqueKeysWithValues: (vae.encoderDeclarations + vae.decoderDeclarations).map { ($0.name, $0.shape) })
        #expect(vae.shape.factor == 16 && vae.shape.groups == 32)
        #expect(shapes["encoder.down.4.attn.1.q.weight"] == [512, 512, 1, 1])
        #expect(shapes["encoder.down.3.attn.0.q.weight"] == nil)
        #expect(shapes["encoder.down.2.block.0.nin_shortcut.weight"] == [256, 128, 1, 1])
        #expect(shapes["encoder.conv_out.weight"] == [32, 512, 3, 3])
        #expect(shapes["decoder.up.4.block.2.conv1.weight"] == [512, 512, 3, 3])
        #expect(shapes["decoder.up.4.attn.0.q.weight"] == nil)
        #expect(shapes["decoder.up.0.upsample.conv.weight"] == nil)
        #expect(shapes["post_quant_conv.weight"] == [16, 16, 1, 1])
    }

    private func complaint(_ folder: TestFolder, _ change: (inout [String: NamedTensor]) throws -> Void) throws -> String? {
        var tensors = try TinyVAE.tensors()
        try change(&tensors)
        let path = folder.file("bad.safetensors")
        try SafeTensors.write(tensors, to: path)
        return errorText { _ = try VAEWeights(path) }
    }

    @Test("everything missing or misshapen is named in one line")
    func listsWhatIsWrong() throws {
        let folder = try TestFolder()
        let text = try #require(
            try complaint(folder) { tensors in
                tensors["decoder.mid.attn_1.q.bias"] = nil
                tensors["quant_conv.bias"] = nil
                tensors["encoder.norm_out.weight"] = try NamedTensor(shape: [3], floats: [1, 1, 1])
            })
        #expect(text.contains("lacks quant_conv.bias, decoder.mid.attn_1.q.bias"))
        #expect(text.contains("encoder.norm_out.weight [3] instead of [8]"))
        #expect(text.contains("bad.safetensors") && !text.contains("\n"))
    }

    @Test("tensors of absurd shapes are errors, never crashes")
    func absurdShapes() throws {
        let folder = try TestFolder()
        let names = [
            "encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "encoder.down.1.block.0.conv1.weight",
            "decoder.conv_in.weight", "post_quant_conv.weight",
        ]
        for name in names {
            for shape in [[], [0], [0, 0, 0, 0], [1, 1, 1], [1, 1, 1, 1], [5, 1, 3, 3], [1, 1, 3, 3, 1], [1, 300, 1, 1]] {
                let text = try complaint(folder) { tensors in
                    tensors[name] = try NamedTensor(
                        shape: shape, floats: [Float](repeating: 0, count: shape.reduce(1, *)))
                }
                #expect(text != nil, "\(name) \(shape)")
            }
        }
        for name in names { #expect(try complaint(folder) { $0[name] = nil } != nil, "\(name)") }
        let text = try complaint(folder) { tensors in tensors = ["weight": tensors["quant_conv.bias"]!] }
        #expect(text?.contains("not the weights of a KL autoencoder") == true)
        #expect(errorText { _ = try VAEWeights(folder.file("none")) } != nil)
    }

    @Test("sizes out of range are named")
    func validates() throws {
        let changes: [(String, (inout VAE.Shape) -> Void)] = [
            ("image channels", { $0.imageChannels = 2 }), ("width", { $0.width = 0 }), ("levels", { $0.multipliers = [] }),
            ("multipliers", { $0.multipliers = [1, -1] }), ("blocks", { $0.blocks = 99 }),
            ("latents", { $0.latentChannels = 0 }), ("levels", { $0.multipliers = Array(repeating: 1, count: 9) }),
        ]
        for (part, change) in changes {
            var shape = TinyVAE.shape
            change(&shape)
            #expect(errorText { _ = try VAE(shape) }?.contains(part) == true, "\(part)")
        }
    }
}
