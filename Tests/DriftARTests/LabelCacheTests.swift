import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct LabelCacheTests {
    private func state(_ device: Device, seed: UInt64 = 3) throws -> ModelState {
        let state = ModelState(
            try TinyRun.pixels.configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: seed)
        return state
    }

    /// Draws with a cache in `path`: the tokens, and how many labels were encoded and read.
    private func draw(
        _ state: ModelState, _ labels: [Int], cfg: Float = 1, cache path: String?
    ) throws -> (tokens: [Float], encoded: Int, read: Int) {
        let sampler = Sampler(state.model, memory: state.memory)
        if let path { try sampler.cacheLabels(in: .file(path)) }
        let tokens = try sampler.tokens(labels: labels, perLabel: 2, cfg: cfg, seed: 4)
        return (tokens, sampler.labelCounts.encoded, sampler.labelCounts.read)
    }

    @Test("a run with the cache draws the same bits and encodes only what the file lacks")
    func sameBits() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let folder = try TestFolder()
            let path = folder.file("new/labels.safetensors")
            let plain = try draw(state, [3, 5], cfg: 2, cache: nil)
            #expect(plain.encoded == 3 && plain.read == 0)
            let first = try draw(state, [3, 5], cfg: 2, cache: path)
            let second = try draw(state, [3, 5], cfg: 2, cache: path)
            #expect(first.tokens == plain.tokens && first.encoded == 3 && first.read == 0)
            #expect(second.tokens == plain.tokens && second.encoded == 0 && second.read == 3)
            let third = try draw(state, [5, 0], cache: path)
            #expect(third.encoded == 1 && third.read == 1)
            let fourth = try draw(state, [0, 3, 5], cfg: 2, cache: path)
            #expect(fourth.encoded == 0 && fourth.read == 4)
        }
    }

    @Test("a file of other weights, another device or another kind is refused and left alone")
    func refused() throws {
        let folder = try TestFolder()
        let path = folder.file("labels.safetensors")
        try TestDevice.with(.cpu16) { device in
            _ = try draw(state(device), [1], cache: path)
            let before = try Files.read(path)
            let other = try state(device, seed: 4)
            let error = errorText { _ = try draw(other, [1], cache: path) }
            #expect(error?.contains("other weights") == true && error?.contains(path) == true)
            #expect(try Files.read(path) == before)
            // A decoder that has been trained further has the same conditions.
            let trained = try state(device)
            let entry = try #require(trained.model.layout["drift_decoder.net.pos_embed"])
            try trained.memory.write([Float](repeating: 1, count: entry.count), to: trained.model.layout.storage("ema"), at: entry.offset)
            #expect(try draw(trained, [1], cache: path).read == 1)
            let encoder = try #require(trained.model.layout["encoder_blocks.0.norm1.bias"])
            try trained.memory.write([1e-3] as [Float], to: trained.model.layout.storage("ema"), at: encoder.offset)
            #expect(errorText { _ = try draw(trained, [1], cache: path) }?.contains("other weights") == true)

            try SafeTensors.write(["x": NamedTensor(shape: [1], floats: [1])], to: folder.file("other.safetensors"))
            let kind = errorText { _ = try draw(other, [1], cache: folder.file("other.safetensors")) }
            #expect(kind?.contains("no label cache") == true)
        }
        try TestDevice.with(.cpu8) { device in
            let state = try state(device)
            let error = errorText { _ = try draw(state, [1], cache: path) }
            #expect(error?.contains("16") == true && error?.contains("last bits") == true, "\(error ?? "accepted")")
        }
    }

    @Test("a damaged file is an error or gives the right picture")
    func damaged() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let folder = try TestFolder()
            let path = folder.file("labels.safetensors")
            let right = try draw(state, [1, 2], cache: path).tokens
            let bytes = try Files.read(path)
            let sampler = Sampler(state.model, memory: state.memory)
            func attempt(_ changed: [UInt8], _ what: String) throws {
                try folder.write(changed, to: "labels.safetensors")
                try sampler.reset()
                let error = errorText {
                    try sampler.cacheLabels(in: .file(path))
                    #expect(try sampler.tokens(labels: [1, 2], perLabel: 2, seed: 4) == right, "\(what)")
                }
                if let error { #expect(error.contains("labels.safetensors") && !error.contains("\n"), "\(what): \(error)") }
            }
            var lengths = [0, 1, 7, 8, 9, 100, bytes.count / 2, bytes.count - 4, bytes.count - 1]
            var random = TestNumbers(6)
            for _ in 0..<12 { lengths.append(random.below(bytes.count)) }
            for length in lengths {
                try attempt(Array(bytes.prefix(length)), "cut to \(length)")
                #expect(try Files.read(path).count == length, "a damaged file must be left for its owner to look at")
            }
            try attempt(bytes + [0], "a byte longer")
            for _ in 0..<60 {
                var changed = bytes
                // Half of the changes in the header, where they decide most.
                let place = random.below(2) == 0 ? random.below(bytes.count) : random.below(900)
                changed[place] ^= UInt8(1 << random.below(8))
                try attempt(changed, "byte \(place)")
            }
            // Values that are no part of what the model needs.
            for (name, shape) in [("label.1.z", [1, 1]), ("label.10.z", [16, 16]), ("label.01.z", [16, 16]), ("zebra", [1])] {
                var tensors = try SafeTensors.read(folder.write(bytes, to: "good.safetensors"))
                tensors.tensors[name] = try NamedTensor(shape: shape, floats: [Float](repeating: 0, count: shape.reduce(1, *)))
                try SafeTensors.write(tensors.tensors, metadata: tensors.metadata, to: path)
                try sampler.reset()
                #expect(
                    errorText {
                        try sampler.cacheLabels(in: .file(path))
                        _ = try sampler.tokens(labels: [1], perLabel: 1, seed: 0)
                    }?.contains("remove it") == true, "\(name)")
            }
        }
    }

    @Test("without a name the file lies in the cache folder, one for each model")
    func automatic() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let environment = ["DRIFTGPU_CACHE": folder.path]
            var names: Set<String> = []
            for seed in [3, 4] as [UInt64] {
                let state = try state(device, seed: seed)
                let identity = try EncoderIdentity(state.labelStage, state.sampling)
                let cache = try LabelCache(.automatic, identity, state.labelStage.shape, environment: environment)
                #expect(cache.path.hasPrefix(folder.path + "/labels/"))
                names.insert(cache.path)
                cache.add(LabelCondition(z: [Float](repeating: 1, count: 256), entropy: [Float](repeating: 0, count: 16)), of: 2)
                try cache.save()
                let again = try LabelCache(.automatic, identity, state.labelStage.shape, environment: environment)
                #expect(try again.condition(2)?.z.count == 256 && again.condition(1) == nil)
            }
            #expect(names.count == 2)
            let state = try state(device)
            let identity = try EncoderIdentity(state.labelStage, state.sampling)
            let error = errorText { _ = try LabelCache(.automatic, identity, state.labelStage.shape, environment: [:]) }
            #expect(error?.contains("DRIFTGPU_CACHE") == true)
        }
    }
}
