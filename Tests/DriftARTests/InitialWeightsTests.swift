import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct InitialWeightsTests {
    private func state(
        _ device: Device, seed: UInt64, from file: SafeTensorsFile? = nil, _ change: (inout Configuration) -> Void = { _ in }
    ) throws -> (tensors: [String: NamedTensor], initial: InitialWeights?, state: ModelState) {
        var configuration = TinyRun.phi.configuration
        change(&configuration)
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        let initial = try state.initialize(seed: seed, from: file)
        return (try state.tensors(of: "parameters"), initial, state)
    }

    private let block = [
        "norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
        "norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
    ]

    @Test("the draft starts as the encoder's first blocks and norm, at any MLP ratio, or at random")
    func draft() throws {
        try TestDevice.with(.cpu16) { device in
            // Two encoder blocks, a draft of three.
            let copied = try state(device, seed: 3) { $0.stage.label?.draftDepth = 3; $0.network.mlpRatio = 3 }.tensors
            let random = try state(device, seed: 3) { $0.stage.label?.draftDepth = 3; $0.network.mlpRatio = 3; $0.stage.label?.draftInit = .random }.tensors
            for name in block {
                for index in 0..<2 {
                    #expect(copied["draft_model.blocks.\(index).\(name)"] == copied["encoder_blocks.\(index).\(name)"], "\(name)")
                }
            }
            for name in ["attn.qkv.weight", "mlp.fc1.weight"] {
                #expect(copied["draft_model.blocks.2.\(name)"] != copied["encoder_blocks.1.\(name)"])
                #expect(random["draft_model.blocks.0.\(name)"] != random["encoder_blocks.0.\(name)"])
            }
            #expect(copied["draft_model.norm.weight"] == copied["encoder_norm.weight"])
            #expect(copied.keys == random.keys)
        }
    }

    /// A safetensors file with some of a model's tensors, changed.
    private func write(
        _ tensors: [String: NamedTensor], to path: String, _ change: (String, [Float]) -> [Float]? = { $1 }
    ) throws -> SafeTensorsFile {
        var kept: [String: NamedTensor] = [:]
        for (name, tensor) in tensors {
            if let values = change(name, tensor.floats ?? []) { kept[name] = try NamedTensor(shape: tensor.shape, floats: values) }
        }
        try SafeTensors.write(kept, to: path)
        return try SafeTensorsFile(path)
    }

    @Test("what fits is taken, the rest is drawn and named; phi is the penultimate block that was loaded")
    func takes() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let source = try state(device, seed: 1).tensors
            // Trained: nothing is a copy of anything any more. No draft, and a phi that must not be taken.
            let file = try write(source, to: folder.file("weights.safetensors")) { name, values in
                name.hasPrefix("draft_model.") ? nil : values.enumerated().map { $1 + Float(name.utf8.count + $0 % 7) }
            }
            let (tensors, initial, state) = try state(device, seed: 2, from: file) { $0.data.classes = 12 }
            let taken = try #require(initial)
            for name in file.names where !name.hasPrefix("feature_encoder.") && name != "class_emb.weight" {
                #expect(tensors[name] == (try file.tensor(name)), "\(name)")
            }
            for name in block {
                // Two encoder blocks: the first is the penultimate.
                #expect(tensors["feature_encoder.block.\(name)"] == (try file.tensor("encoder_blocks.0.\(name)")), "\(name)")
                #expect(tensors["draft_model.blocks.0.\(name)"] == (try file.tensor("encoder_blocks.0.\(name)")), "\(name)")
            }
            #expect(tensors["feature_encoder.proj.weight"] == (try file.tensor("token_to_enc_proj.weight")))
            #expect(taken.otherShape == ["class_emb.weight"])
            #expect(Set(taken.missing) == Set(tensors.keys.filter { $0.hasPrefix("draft_model.") }))
            #expect(taken.unused.isEmpty)
            #expect(taken.description.contains("draft_model.") && taken.description.contains("class_emb.weight"))
            #expect(try state.tensors(of: "ema") == tensors)
        }
    }

    @Test("weights that do not belong here are refused")
    func refused() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let source = try state(device, seed: 1).tensors
            let foreign = try write(["other": NamedTensor(shape: [2], floats: [1, 2])], to: folder.file("foreign.safetensors"))
            #expect(errorText { _ = try state(device, seed: 1, from: foreign) }?.contains("foreign.safetensors") == true)
            let broken = try write(source, to: folder.file("broken.safetensors")) { name, values in
                name == "mask_token" ? values.map { _ in .nan } : values
            }
            #expect(errorText { _ = try state(device, seed: 1, from: broken) }?.contains("mask_token") == true)
        }
    }

    @Test("a new run starts from another's EMA")
    func fromRun() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            #expect(try TinyRun.phi.run(folder.file("first"), device) == .finished)
            let file = try SavedModel.file(folder.file("first"))
            let run = try TrainingRun(
                TinyRun.phi.configuration, data: ImageSet(TinyRun.data()), path: folder.file("second"), existing: .refuse,
                device: device, weights: file)
            let parameters = try run.trainer.state.tensors(of: "parameters")
            let declarations = run.trainer.state.model.declarations.filter { $0.training != .never }
            for name in declarations.map(\.name) { #expect(parameters[name] == (try file.tensor(name)), "\(name)") }
            #expect(try run.trainer.state.tensors(of: "ema") == parameters)
            #expect(run.trainer.step == 0 && run.initialWeights?.missing.isEmpty == true)
        }
    }
}
