import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// What the README says to do with weights of another program: import, sample, sample with an autoencoder, judge.
@Suite(.serialized) struct ImportFlowTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func run(_ line: String, says parts: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try folder.run(line)
        #expect(result.code == 0 && parts.allSatisfy(result.output.contains), "\(line): \(result)", sourceLocation: sourceLocation)
    }

    /// The state_dict of a new model: names and values, and nothing that says more of them.
    private func writeBare(_ change: (inout Configuration) -> Void, to name: String) throws {
        var configuration = TinyRun.pixels.configuration
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) = (2, 4, 4, 1)
        change(&configuration)
        let model = try configuration.makeGenerator()
        try SafeTensors.write(model.layout.tensors(model.layout.initialValues(of: model.declarations, seed: 1)), to: folder.file(name))
    }

    private func width(_ path: String) throws -> Int { try PNG.read(folder.file(path)).picture.width }

    @Test("a model of latents is sampled in false colours and through an autoencoder, and its pictures are judged")
    func driftAR() throws {
        try writeBare({ _ in }, to: "bare.safetensors")
        try SafeTensors.write(TinyVAE.tensors(), to: folder.file("vae.safetensors"))
        try run("import bare.safetensors --heads 2 --output model", says: "patch 1; images are latents, 2x4x4, scaled by 0.2325", "--patch, --draws, --latent-scale")
        let saved = try SavedModel(folder.file("model")).configuration
        #expect((saved.data.form, saved.data.channels, saved.data.height, saved.data.latentScale) == (.latents, 2, 4, 0.2325))
        #expect(try RunFolder(folder.file("model")).configuration() == saved)
        try run("sample --checkpoint model --per-label 2 --output colours", says: "20 images", "latents of 2 channels, shown in false colours", "--vae", "--patch")
        #expect(try width("colours/0000-00000.png") == 4)
        try run("sample --checkpoint model --per-label 2 --vae vae.safetensors --format npy --output decoded", says: "20 images")
        #expect(try width("decoded/0000-00000.png") == 8)
        // Gray pictures of 8x8: the digits are real images of that kind.
        try run("eval --images decoded --json figures.json", says: "class accuracy")
        try folder.expectError("eval --checkpoint model", says: "the model does not say where its images are")

        // What came in goes out and comes in again.
        try run("export --checkpoint model --output out.safetensors", says: "wrote")
        try run("import out.safetensors --output again", says: "108 tensors fit")
        #expect(try SavedModel(folder.file("again")).configuration == saved)
    }

    @Test("MAR's own weights: drawn in rounds, and what does not go with them is refused")
    func mar() throws {
        let golden = Files.join(Files.parent(of: PyTorchFixtures.folder), "golden")
        try run("import \(golden)/15_mar_train.safetensors --key mar/param --heads 2 --output model", says: "mar model (mar/param): 92 tensors fit", "encoder 2, decoder 2, head 2")
        let saved = try SavedModel(folder.file("model")).configuration
        #expect(saved.stage.mar?.buffer == 4 && saved.head.diffusion?.width == 32 && saved.head.diffusion?.limit == 0)
        #expect(saved.data.classes == 5 && saved.data.tokens == 16 && saved.stage.mar?.rounds == 16)
        func drawn(_ options: String) throws -> [UInt8] {
            try run("sample --checkpoint model --per-label 2 --format npy --output drawn " + options, says: "10 images")
            return try Files.read(folder.file("drawn/samples.npy"))
        }
        let plain = try drawn("--rounds 4 --head-steps 5")
        #expect(try drawn("--rounds 4 --head-steps 5") == plain)
        #expect(try drawn("--rounds 8 --head-steps 5") != plain && drawn("--rounds 4 --head-steps 6") != plain)
        #expect(try drawn("--rounds 4 --head-steps 5 --temperature 0.5") != plain && drawn("--rounds 4 --head-steps 5 --order entropy") != plain)
        #expect(try drawn("--rounds 4 --head-steps 5 --order random") == plain)
        let guided = try drawn("--rounds 4 --head-steps 5 --cfg 2")
        #expect(try guided != plain && drawn("--rounds 4 --head-steps 5 --cfg 2 --cfg-schedule constant") != guided)
        try folder.expectError("sample --checkpoint model --rounds 17", says: "rounds 17: an image of 16 tokens is drawn in 1 to 16")
        try folder.expectError("sample --checkpoint model --head-steps 1", says: "head steps 1: take 2 to 1000")
        try folder.expectError("sample --checkpoint model --sampler ode", says: "sampler: nothing that a model of")
        try folder.expectError("sample --checkpoint model --temperature -1", says: "temperature -1.0: must be 0 or more")
        try folder.expectError("sample --checkpoint model --speculative", says: "speculative: the stage mar has no draft")

        try run("export --checkpoint model --output out.safetensors", says: "wrote")
        try run("import out.safetensors --output again", says: "92 tensors fit")
        #expect(try SavedModel(folder.file("again")).configuration == saved)
    }

    @Test("the reference's own weights, of latents of 16 channels, and its autoencoder")
    func reference() throws {
        let golden = Files.join(Files.parent(of: PyTorchFixtures.folder), "golden")
        try run("import \(golden)/07_drift_ar_train.safetensors --key model/param --heads 4 --output model", says: "167 tensors fit", "images are latents, 16x4x4")
        try run("sample --checkpoint model --labels 0-1 --per-label 1 --output colours", says: "latents of 16 channels")
        #expect(try PNG.read(folder.file("colours/0000-00000.png")).picture.channels == 3)
        try run("sample --checkpoint model --labels 0-1 --per-label 1 --vae random --vae-width 16 --vae-multipliers 1,2 --output decoded", says: "2 images")
        #expect(try width("decoded/0000-00000.png") == 8)
        try run("import \(golden)/10_vae.safetensors --output vae.safetensors", says: "kl16 model (vae/param): 134 tensors fit")
        try run("vae reconstruct decoded/0001-00000.png --vae vae.safetensors", says: " dB")
        try folder.expectError("sample --checkpoint model --vae vae.safetensors", says: "latents of 4 channels, the model makes 16")
        try folder.expectError("import \(golden)/07_drift_ar_train.safetensors --output other", says: "weights at several keys: model/param, model/phase1/grad")
    }

    @Test("a causal model, by its names alone and as exported, and what does not go with it is refused")
    func causal() throws {
        try writeBare(
            {
                $0.adopt(.causal)
                $0.network.dropout = 0
                $0.stage.causal?.keyHeads = 1
                $0.stage.causal?.draftDepth = 1
                $0.head.flow?.steps = 3
            }, to: "causal.safetensors")
        try run("inspect causal.safetensors", says: "transformer", "head")
        try run(
            "import causal.safetensors --heads 2 --output model", says: "causal model", "width 16, 2 heads, depth 4, head 1",
            "positions turn by grid, base 10000", "--rotary, --rotary-base")
        try run("import causal.safetensors --heads 2 --rotary line --rotary-base 1e6 --output lined", says: "causal model")
        let lined = try RunFolder(folder.file("lined")).configuration().stage.causal
        #expect(lined?.rotary == .line && lined?.rotaryBase == 1e6 && lined?.draftDepth == 1)
        let saved = try SavedModel(folder.file("model")).configuration
        #expect(saved.stage.causal?.keyHeads == 1 && saved.stage.causal?.classTokens == 2 && saved.head.flow?.width == 128)
        func drawn(_ options: String) throws -> [UInt8] {
            try run("sample --checkpoint model --per-label 1 --format npy --output drawn " + options, says: "10 images")
            return try Files.read(folder.file("drawn/samples.npy"))
        }
        let plain = try drawn("--head-steps 4")
        #expect(try drawn("--head-steps 4") == plain && drawn("--head-steps 5") != plain && drawn("--head-steps 4 --temperature 0.5") != plain)
        let straight = try drawn("--head-steps 4 --sampler ode")
        #expect(try straight != plain && drawn("--head-steps 4 --sampler ode") == straight && drawn("--head-steps 4 --sampler sde") == plain)
        let said = String(decoding: try Files.read(folder.file("drawn/samples.json")), as: UTF8.self)
        #expect(said.contains(#""driftgpu.head-steps":"4","driftgpu.sampler":"sde""#), "\(said)")
        try folder.expectError(
            "sample --checkpoint model --sampler ode --temperature 0.5", says: "temperature 0.5: steps of the sampler ode draw nothing at random")
        try folder.expectError("sample --checkpoint model --parallel 2", says: "parallel 2: the head flow draws a token in many steps")
        try folder.expectError("sample --checkpoint model --rounds 2", says: "rounds: nothing that a model of causal x flow draws by")
        try folder.expectError("sample --checkpoint model --speculative", says: "speculative: the stage causal has no draft of features; leave it out")
        try run("export --checkpoint model --output out.safetensors", says: "wrote")
        try run("import out.safetensors --output again", says: "tensors fit")
        #expect(try SavedModel(folder.file("again")).configuration == saved)
    }

    @Test("a DiT, by its names alone and as exported")
    func dit() throws {
        let change: (inout Configuration) -> Void = {
            $0.adopt(.dit)
            $0.network.dropout = 0
            $0.head.dit?.rope = true
            $0.head.dit?.qkNorm = true
            $0.head.dit?.swiglu = true
        }
        try writeBare(change, to: "dit.safetensors")
        try run("import \(PyTorchFixtures.path("kl16.ckpt")) --output vae.safetensors", says: "kl16 model")
        try run("import dit.safetensors --output model", says: "10 classes, 16 tokens of 2, width 16, 2 heads, depth 1", "rope true", "--rope")
        try run("sample --checkpoint model --per-label 1 --output colours", says: "false colours")
        try run("sample --checkpoint model --per-label 1 --vae vae.safetensors --output decoded", says: "10 images")
        #expect(try PNG.read(folder.file("decoded/0000-00000.png")).picture.channels == 3)
        try run("export --checkpoint model --output out.safetensors", says: "wrote")
        try run("import out.safetensors --output again", says: "tensors fit")
        #expect(try SavedModel(folder.file("again")).configuration == SavedModel(folder.file("model")).configuration)
        for name in ["model", "again"] {
            try run("sample --checkpoint \(name) --labels 3 --per-label 2 --format npy --output s-\(name)", says: "2 images")
        }
        #expect(try Files.read(folder.file("s-model/samples.npy")) == Files.read(folder.file("s-again/samples.npy")))
    }

    @Test("TransDiff's checkpoint draws; as a start for Drift-AR a part is missing, which sample says")
    func transDiff() throws {
        let file = PyTorchFixtures.path("transdiff.pth")
        try run("import \(file) --output whole", says: "transdiff model")
        try run("sample --checkpoint whole --per-label 1 --head-steps 3 --format npy --output drawn", says: "3 images")
        try run("export --checkpoint whole --output out.safetensors", says: "wrote")
        try run("import out.safetensors --output again", says: "tensors fit")
        try run("import out.safetensors --kind drift-ar --allow-missing --output start", says: "missing")
        #expect(try SavedModel(folder.file("start")).configuration.stage.label?.entropy == true)
        try run("sample --checkpoint again --per-label 1 --head-steps 3 --format npy --output redrawn", says: "3 images")
        #expect(try Files.read(folder.file("drawn/samples.npy")) == Files.read(folder.file("redrawn/samples.npy")))
        try run("import \(file) --kind drift-ar --allow-missing --output model", says: "55 missing")
        try folder.expectError("sample --checkpoint model", says: "it lacks 55 of the model's 120 tensors")
    }
}
