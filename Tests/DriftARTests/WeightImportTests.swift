import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct WeightImportTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func open(_ name: String) throws -> any TensorSource { try WeightFile.open(PyTorchFixtures.path(name)) }

    /// The fixture's tensors below a prefix of their paths.
    private func expected(_ name: String, below prefix: String) throws -> [String: NamedTensor] {
        try Dictionary(uniqueKeysWithValues: PyTorchFixtures.expected(name).compactMap { path, tensor in
            path.hasPrefix(prefix) ? (String(path.dropFirst(prefix.count)), tensor) : nil
        })
    }

    @Test("a training checkpoint: configuration, both sets of weights, wrappers' prefixes")
    func driftAR() throws {
        let weights = try WeightImport(open("drift_ar.pth"))
        #expect(weights.kind == .driftAR && weights.isExact)
        try weights.check(allowMissing: false)
        let configuration = try #require(weights.configuration)
        #expect((configuration.network.embed, configuration.network.heads, configuration.stage.label?.buffer, configuration.data.classes) == (4, 2, 3, 3))
        #expect((configuration.stage.label?.encoderDepth, configuration.head.depth, configuration.stage.label?.draftDepth) == (1, 1, 1))
        #expect((configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) == (1, 4, 4, 2))
        #expect((configuration.network.mlpRatio, configuration.run.labelDrop, configuration.network.dropout) == (2, 0.2, 0.05))

        let files = try weights.write(to: folder.file("run"))
        #expect(files.map(Files.name) == ["model.safetensors", "ema.safetensors", "config.json"])
        #expect(try SafeTensors.read(files[0]).tensors == expected("drift_ar.pth", below: "model/module._orig_mod."))
        #expect(try SafeTensors.read(files[1]).tensors == expected("drift_ar.pth", below: "model_ema/"))
        for kind in ["ema", "model"] { #expect(try SavedModel(folder.file("run"), weights: kind).configuration == configuration) }
        #expect(try RunFolder(folder.file("run")).configuration() == configuration)

        #expect(errorText { _ = try weights.write(to: folder.file("run")) }?.contains("exists already") == true)
        _ = try weights.write(to: folder.file("run"), overwrite: true)
        let single = try weights.write(to: folder.file("one.safetensors"))
        #expect(try SafeTensors.read(single[0]).tensors == expected("drift_ar.pth", below: "model_ema/"))
        let chosen = try WeightImport(open("drift_ar.pth"), key: "model").write(to: folder.file("model.safetensors"))
        #expect(try SafeTensors.read(chosen[0]).tensors == expected("drift_ar.pth", below: "model/module._orig_mod."))
    }

    @Test("TransDiff's checkpoint is taken whole")
    func transDiff() throws {
        let weights = try WeightImport(open("transdiff.pth"))
        #expect(weights.kind == .transDiff && weights.isExact, "\(weights.report)")
        let configuration = try #require(weights.configuration)
        #expect(configuration.stage.label?.entropy == false && configuration.head.flowDecoder?.depth == 1)
        let path = try weights.write(to: folder.file("whole.safetensors"))[0]
        #expect(try SafeTensors.read(path).tensors == expected("transdiff.pth", below: "model/"))
    }

    @Test("as a start for Drift-AR it gives its encoder and what the decoders share")
    func driftARFromTransDiff() throws {
        let weights = try WeightImport(open("transdiff.pth"), kind: .driftAR)
        #expect(weights.kind == .driftAR && !weights.isExact)
        let text = errorText { try weights.check(allowMissing: false) }
        #expect(text?.contains("55 missing, 7 extra") == true && text?.contains("--allow-missing") == true, "\(text ?? "")")
        #expect(weights.report.contains("  missing    drift_decoder.net.entropy_adaln.global_mlp.{0,2}.{bias,weight}"))
        #expect(weights.report.contains("  extra      diffdecoder.net.time_embed.time_embedder.linear_1.{bias,weight}"))
        try weights.check(allowMissing: true)
        let path = try weights.write(to: folder.file("trans.safetensors"))[0]
        let written = try SafeTensors.read(path).tensors
        let source = try expected("transdiff.pth", below: "model/")
        #expect(written.count == 65)
        for (name, tensor) in written {
            let origin = name.replacing("drift_decoder.net.pos_embed", with: "diffdecoder.net.diffusion_pos_embed_learned")
                .replacing("drift_decoder.", with: "diffdecoder.")
            #expect(source[origin] == tensor, "\(name)")
        }
        #expect(written["encoder_blocks.1.mlp.fc2.bias"] != nil && written["drift_decoder.net.res_blocks.0.attn2.wq.weight"] != nil)
    }

    @Test("an autoencoder inside a latent diffusion checkpoint")
    func autoencoder() throws {
        let weights = try WeightImport(open("kl16.ckpt"))
        #expect(weights.kind == .kl16 && weights.isExact && weights.configuration == nil)
        #expect(weights.report == ["kl16 model (state_dict/first_stage_model.): 134 tensors fit, 2 of other parts left out"])
        #expect(errorText { _ = try weights.write(to: folder.file("vae")) }?.contains(".safetensors") == true)
        let path = try weights.write(to: folder.file("vae.safetensors"))[0]
        let written = try SafeTensors.read(path)
        let source = try expected("kl16.ckpt", below: "state_dict/first_stage_model.").filter { !$0.key.hasPrefix("loss.") }
        #expect(written.tensors == source && written.metadata["driftgpu.kind"] == "kl16")
        #expect(written.tensors.keys.allSatisfy { name in ["encoder.", "decoder.", "quant_conv.", "post_quant_conv."].contains { name.hasPrefix($0) } })
    }

    @Test("an autoencoder's layout is read off its tensors")
    func layout() throws {
        var headers: [String: TensorHeader] = [:]
        for (name, tensor) in try expected("kl16.ckpt", below: "state_dict/first_stage_model.") where name != "loss.logvar" {
            headers[name] = TensorHeader(type: .f32, shape: tensor.shape, count: tensor.count)
        }
        let layout = try AutoencoderLayout(headers, path: "vae")
        #expect(Set(layout.parameters.map(\.name)) == Set(headers.keys))
        headers["encoder.down.1.block.0.nin_shortcut.weight"] = nil
        headers["encoder.down.900000000000.block.0.conv1.weight"] = TensorHeader(type: .f32, shape: [1, 1, 3, 3], count: 9)
        #expect(errorText { _ = try AutoencoderLayout(headers, path: "vae") }?.contains("no KL autoencoder") == true)
    }

    @Test("missing, misshapen and extra tensors are all listed")
    func comparison() throws {
        var tensors = try expected("drift_ar.pth", below: "model_ema/")
        tensors["encoder_norm.bias"] = nil
        for part in ["weight", "bias"] { tensors["draft_model.blocks.0.mlp.fc1." + part] = nil }
        tensors["z_proj_ln.weight"] = try NamedTensor(shape: [5], floats: [1, 2, 3, 4, 5])
        for i in [0, 1, 2, 7] { tensors["bank.\(i).rows"] = try NamedTensor(shape: [1], floats: [0]) }
        try SafeTensors.write(tensors, to: folder.file("odd.safetensors"))
        let odd = try WeightFile.open(folder.file("odd.safetensors"))
        #expect(errorText { _ = try WeightImport(odd) }?.contains("give --heads") == true)
        let weights = try WeightImport(odd, options: ImportOptions(heads: 2, patch: 2))
        #expect(weights.report == [
            "3 classes, 4 tokens of 4, width 4, 2 heads, encoder 2 x 1, decoder 1, draft 1",
            "assumed, for the file does not say: images are pixels, 1x4x4. Choose with --draws",
            "drift-ar model: 104 tensors fit; 3 missing, 1 misshapen, 4 extra", "  missing    encoder_norm.bias",
            "  missing    draft_model.blocks.0.mlp.fc1.{bias,weight}", "  misshapen  z_proj_ln.weight: [5], the model needs [4]",
            "  extra      bank.{0-2,7}.rows",
        ])
        #expect(errorText { try weights.check(allowMissing: false) }?.contains("3 missing, 1 misshapen, 4 extra tensors") == true)
        try weights.check(allowMissing: true)
        let written = try weights.write(to: folder.file("odd"))
        #expect(try SafeTensors.read(written[0]).tensors.count == 104)
        #expect(try Files.read(written[0]) == Files.read(written[1]), "without EMA weights the model's stand in for them")
        let incomplete = try SavedModel(folder.file("odd"))
        #expect(errorText { try WeightExport.write(incomplete, to: folder.file("e.safetensors")) }?.contains("no tensor") == true)
    }

    @Test("the reference's own sizes, by their shapes alone", arguments: [(768, 12, 12), (1024, 16, 16), (1280, 20, 16)])
    func referenceSizes(_ width: Int, _ depth: Int, _ heads: Int) throws {
        var reference = Configuration()
        (reference.data.channels, reference.data.height, reference.data.width, reference.data.patch) = (16, 16, 16, 1)
        reference.data.classes = 1000
        reference.run.labelsPerStep = 10
        reference.stage.label?.buffer = 64
        reference.network.embed = width
        reference.network.heads = heads
        reference.stage.label?.draftDepth = 6
        reference.stage.label?.encoderDepth = depth
        reference.head.depth = depth
        reference.preset = "imported"
        reference.data.form = .latents
        let declarations = try reference.makeGenerator().declarations
        let weights = try WeightImport(Headers(shapes: declarations.map { ($0.name, $0.shape) }))
        #expect(weights.isExact && weights.configuration == reference)
        #expect(weights.assumptions == "assumed, for the file does not say: patch 1; images are latents, 16x16x16, scaled by 0.2325; "
            + "\(heads) heads. Choose with --patch, --draws, --latent-scale, --heads")
    }

    @Test("what a model draws is recorded: by the file, by the options, else by the channels")
    func form() throws {
        let shapes = try expected("drift_ar.pth", below: "model_ema/").map { ($0.key, $0.value.shape) }
        func configuration(_ metadata: [String: String] = [:], _ change: (inout ImportOptions) -> Void = { _ in }) throws -> Configuration {
            var options = ImportOptions(heads: 2)
            change(&options)
            return try #require(try WeightImport(Headers(shapes: shapes, metadata: metadata), options: options).configuration)
        }
        let bare = try configuration()
        #expect((bare.data.channels, bare.data.height, bare.data.patch, bare.data.form, bare.data.latentScale) == (4, 2, 1, .latents, 0.18215))
        let pixels = try configuration { $0.patch = 2 }
        #expect((pixels.data.channels, pixels.data.height, pixels.data.patch, pixels.data.form) == (1, 4, 2, .folder) && !pixels.data.areLatents)
        let chosen = try configuration { ($0.patch, $0.draws, $0.latentScale) = (2, .latents, 0.5) }
        #expect((chosen.data.channels, chosen.data.form, chosen.data.latentScale) == (1, .latents, 0.5))
        let said = try configuration(["args/vae_embed_dim": "1", "args/vae_path": "kl.ckpt"])
        #expect((said.data.channels, said.data.patch, said.data.form) == (1, 2, .latents))
        #expect(try configuration(["hyper_parameters/patch_size": "2", "hyper_parameters/vae_path": "None"]).data.form == .folder)

        // An older import says "digits" of latents: they are found out by their channels.
        var old = bare
        old.data.form = .digits
        #expect(old.data.areLatents)
        let stored = try configuration([RunFolder.configurationKey: String(decoding: old.json(), as: UTF8.self)])
        #expect((stored.data.form, stored.data.latentScale) == (.latents, 0.18215))
    }

    @Test("what is no such model is an error that says where to look")
    func refuses() throws {
        let plain = try open("checkpoint.pth")
        #expect(errorText { _ = try WeightImport(plain) }?.contains("(0.bias, 0.weight, 1.bias, ...)") == true)
        #expect(errorText { _ = try WeightImport(plain, kind: .driftAR) }?.contains("'class_emb.weight'") == true)
        #expect(errorText { _ = try WeightImport(plain, kind: .kl16) }?.contains("no KL autoencoder") == true)
        #expect(errorText { _ = try WeightImport(plain, key: "net") }?.contains("there are tensors at model, model_ema, optimizer/state/0") == true)
        #expect(errorText { _ = try WeightImport(open("drift_ar.pth"), options: ImportOptions(patch: 3)) }?.contains("--patch") == true)
        #expect(errorText { _ = try WeightImport(open("drift_ar.pth"), options: ImportOptions(heads: 3)) }?.contains("multiple of heads (3)") == true)
        #expect(errorText { _ = try WeightImport(open("drift_ar.pth"), options: ImportOptions(heads: 0)) }?.contains("heads (0)") == true)
        try SafeTensors.write(
            ["module.a": NamedTensor(shape: [1], floats: [1]), "a": NamedTensor(shape: [1], floats: [1])], to: folder.file("twice.safetensors"))
        let twice = try WeightFile.open(folder.file("twice.safetensors"))
        #expect(errorText { _ = try WeightImport(twice) }?.contains("'a' and 'module.a' are both 'a'") == true)
        try SafeTensors.write([:], to: folder.file("none.safetensors"))
        let none = try WeightFile.open(folder.file("none.safetensors"))
        #expect(errorText { _ = try WeightImport(none) }?.contains("holds none at all") == true)
        try Files.makeFolder(folder.file("run/checkpoints"))
        #expect(errorText { _ = try WeightImport(open("drift_ar.pth")).write(to: folder.file("run")) }?.contains("holds a run") == true)
    }

    @Test("shapes no model can have are refused before anything is made of them")
    func absurdShapes() throws {
        for (name, shape) in [
            ("class_emb.weight", [0, 4]), ("class_emb.weight", [3]), ("encoder_pos_embed_learned", [1, 4, 4]),
            ("diffusion_pos_embed_learned", [1, 5, 4]), ("encoder_blocks.400000000000000000.norm1.bias", [4]),
            ("encoder_blocks.2.norm1.bias", [4]), ("z_proj.weight", [4, 0]),
        ] {
            var tensors = try expected("drift_ar.pth", below: "model_ema/")
            tensors[name] = try NamedTensor(shape: shape, floats: [Float](repeating: 0, count: shape.reduce(1, *)))
            try SafeTensors.write(tensors, to: folder.file("absurd.safetensors"))
            let source = try WeightFile.open(folder.file("absurd.safetensors"))
            let text = errorText { _ = try WeightImport(source, options: ImportOptions(heads: 2)) }
            #expect(text?.contains("absurd.safetensors") == true, "\(name): \(text ?? "was taken")")
        }
    }

    @Test("exported weights are rounded; what a half cannot hold is refused")
    func exportTypes() throws {
        var tensors = try expected("drift_ar.pth", below: "model_ema/")
        let values = try #require(tensors["z_proj.bias"]?.floats)
        func saved() throws -> SavedModel {
            try SafeTensors.write(tensors, to: folder.file("in.safetensors"))
            let weights = try WeightImport(WeightFile.open(folder.file("in.safetensors")), options: ImportOptions(heads: 2, patch: 2))
            return try SavedModel(weights.write(to: folder.file("out.safetensors"), overwrite: true)[0])
        }
        let path = folder.file("e.safetensors")
        #expect(try WeightExport.write(saved(), as: .f16, to: path).isEmpty)
        let file = try SafeTensorsFile(path)
        #expect(file.entries.count == 108 && file.entries.values.allSatisfy { $0.type == .f16 })
        #expect(try file.floats("z_proj.bias") == values.map { HalfPrecision.float(half: HalfPrecision.half($0)) })
        #expect(file.metadata["format"] == "pt" && file.metadata["driftgpu.config"] != nil)
        #expect(errorText { try WeightExport.write(saved(), as: .f16, to: path) }?.contains("exists already") == true)
        tensors["z_proj.bias"] = try NamedTensor(shape: [4], floats: [1, 70000, 2, 3])
        #expect(errorText { try WeightExport.write(saved(), as: .f16, to: path, overwrite: true) }?.contains("'z_proj.bias' has values beyond 65504") == true)
        try WeightExport.write(saved(), as: .bf16, to: path, overwrite: true)
        #expect(try SafeTensorsFile(path).floats("z_proj.bias")[1] == 70144)
        #expect(errorText { try WeightExport.write(saved(), to: folder.file("e.pth")) }?.contains(".safetensors") == true)
    }

    @Test func compactNames() {
        #expect(NameList.compact([]) == [])
        #expect(NameList.compact(["a.10.w", "a.2.w", "a.3.w", "b"]) == ["a.{2-3,10}.w", "b"])
        #expect(NameList.compact(["a.0.b.0.weight", "a.0.b.1.weight", "a.1.b.0.weight", "a.1.b.1.weight"]) == ["a.{0-1}.b.{0-1}.weight"])
        #expect(NameList.compact(["x.weight", "x.bias", "weight"]) == ["x.{bias,weight}", "weight"])
        #expect(NameList.compact(["a.\(Int.max).w", "a.\(Int.min).w", "a.007.w"]).count == 2)
    }
}

/// Names and shapes of a file that is not there.
private struct Headers: TensorSource {
    let path = "headers"
    let metadata: [String: String]
    let headers: [String: TensorHeader]

    init(shapes: [(name: String, shape: [Int])], metadata: [String: String] = [:]) {
        self.metadata = metadata
        headers = Dictionary(uniqueKeysWithValues: shapes.map { name, shape in
            (name, TensorHeader(type: .f32, shape: shape, count: shape.reduce(1, *)))
        })
    }

    func header(_ name: String) throws -> TensorHeader {
        guard let header = headers[name] else { throw DataError("no tensor '\(name)'", at: path, fix: "none") }
        return header
    }

    func elements<Element: BitwiseCopyable>(_ name: String, of type: Element.Type) throws -> [Element] {
        throw DataError("no values", at: path, fix: "none")
    }
}
