import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct LatentCacheTests {
    private func settings(_ images: ImageSet, scale: Float = 0.5, flip: Bool = true, shard: Int = 3) -> LatentCache.Settings {
        LatentCache.Settings(images: images, scale: scale, flip: flip, shard: shard)
    }

    /// Writes shards until all are written, or so many.
    private func write(
        _ device: Device, _ folder: String, _ settings: LatentCache.Settings, seed: UInt64 = 1, shards: Int = .max
    ) throws {
        var cache = try LatentCache(settings, autoencoder: Autoencoder(TinyVAE.weights(seed: seed), device: device), folder: folder)
        var count = 0
        while count < shards, try cache.writeShards() { count += 1 }
    }

    @Test("what is written is what the encoder gives, and the reader reads it")
    func roundTrip() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            let images = try TinyVAE.images(40)
            try write(device, folder.file("latents"), settings(images, shard: 7))
            var options = DataSource.Options()
            options.holdOut = 0
            let latents = try DataSource.open(folder.file("latents"), options).training
            #expect(latents.form == .moments(scale: 0.5))
            #expect(latents.index.labels == images.index.labels && latents.classNames == images.classNames)
            #expect([latents.channels, latents.height, latents.width] == [2, 4, 4])
            let autoencoder = Autoencoder(try TinyVAE.weights(), device: device)
            for index in [0, 6, 7, 39] {
                for isFlipped in [false, true] {
                    let image = DrawnImage(index: index, variant: ImageVariant(isFlipped: isFlipped))
                    var (pixels, read) = ([Float](repeating: 0, count: 64), [Float](repeating: 0, count: 64))
                    try pixels.withUnsafeMutableBufferPointer { try images.read([image], to: $0) }
                    try read.withUnsafeMutableBufferPointer { try latents.read([image], to: $0) }
                    let want = try autoencoder.moments(pixels, height: 8, width: 8)
                    let error = zip(read, want).map { abs($0 - $1) }.max() ?? 1
                    #expect(error <= 1e-5 * (want.map(abs).max() ?? 0), "\(index) \(isFlipped)")
                }
            }
        }
    }

    @Test("a stopped run goes on, and leaves the same bytes")
    func resumes() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            let images = try TinyVAE.images(40)
            try write(device, folder.file("whole"), settings(images, shard: 9))
            try write(device, folder.file("parts"), settings(images, shard: 9), shards: 2)
            #expect(!Files.exists(folder.file("parts/latents.json")))
            // A shard that no manifest names, as a run that is killed leaves it.
            try folder.write("half a shard", to: "parts/latents-00002.safetensors")
            try write(device, folder.file("parts"), settings(images, shard: 9))
            let names = try Files.names(in: folder.file("whole"))
            #expect(names.count == 6 && !names.contains("latents.partial.json"))
            #expect(try Files.names(in: folder.file("parts")) == names)
            for name in names {
                #expect(try Files.read(folder.file("whole/" + name)) == Files.read(folder.file("parts/" + name)), "\(name)")
            }
            // A finished one stays as it is.
            try write(device, folder.file("parts"), settings(images, shard: 9))
        }
    }

    @Test("other settings are refused")
    func refusesOthers() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            let images = try TinyVAE.images(40)
            for (name, shards) in [("partial", 1), ("complete", Int.max)] {
                let path = folder.file(name)
                try write(device, path, settings(images), shards: shards)
                let others: [(String, LatentCache.Settings, UInt64)] = [
                    ("scale", settings(images, scale: 1), 1), ("flipped", settings(images, flip: false), 1),
                    ("shard", settings(images, shard: 4), 1), ("total", settings(try TinyVAE.images(39)), 1),
                    ("encoder_checksum", settings(images), 2),
                ]
                for (member, other, seed) in others {
                    let text = errorText { try write(device, path, other, seed: seed) }
                    #expect(text?.contains(member + " differs") == true, "\(name): \(String(describing: text))")
                }
            }
        }
    }

    @Test("settings out of range, and a manifest that is not as it was written")
    func errors() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            let images = try TinyVAE.images(40)
            for bad in [settings(images, scale: 0), settings(images, scale: .nan), settings(images, shard: 0)] {
                #expect(errorText { try write(device, folder.file("new"), bad) } != nil)
            }
            let path = folder.file("damaged")
            try write(device, path, settings(images), shards: 2)
            let whole = try folder.text("damaged/latents.partial.json")
            for (change, to) in [
                (whole, "{"), ("latents-00001", "latents-00003"), (#""count":3}"#, #""count":9000000000000000000}"#),
                ("format\":1", "format\":2"),
            ] {
                try folder.write(whole.replacing(change, with: to), to: "damaged/latents.partial.json")
                #expect(errorText { try write(device, path, settings(images)) } != nil, "\(to)")
            }
        }
    }

    @Test("training on latents: the same bits twice, resident or streamed, and again from a checkpoint")
    func trains() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            try write(device, folder.file("latents"), settings(try TinyVAE.images(100), shard: 64))
            var settings = TinyRun.pixels.configuration
            settings.data.path = folder.file("latents")
            (settings.data.holdOut, settings.data.flip) = (0, true)
            var options = DataSource.Options(settings)
            options.holdOut = 0
            let source = try DataSource.open(settings.data.path, options)
            settings.data.adopt(source)
            #expect(settings.data.channels == 2 && settings.data.height == 4 && settings.data.latentScale == 0.5)
            let snapshots = try [Residency.always, .always, .never].map { residency in
                var own = settings
                own.data.resident = residency
                let state = ModelState(try own.makeGenerator(), memory: DeviceMemory(device))
                try state.initialize(seed: own.run.seed)
                let trainer = try Trainer(own, state: state, data: source.training)
                for _ in 0..<4 { try trainer.advance() }
                return try trainer.snapshot()
            }
            #expect(isSame(snapshots[0], snapshots[1]))
            #expect(isSame(snapshots[0], snapshots[2]))
            #expect(snapshots[0].values.allSatisfy { $0.allSatisfy(\.isFinite) })

            func run(_ name: String, _ existing: TrainingRun.Existing, stopAt: Int? = nil) throws -> [UInt8] {
                let autoencoder = Autoencoder(try TinyVAE.weights(), device: device)
                let run = try TrainingRun(
                    settings, data: source.training, path: folder.file(name), existing: existing, device: device,
                    autoencoder: autoencoder)
                let progress = ProgressLine(total: settings.run.steps, output: .custom(columns: nil, { _ in }))
                _ = try run.train(progress: progress, shouldStop: { run.trainer.step == stopAt })
                let step = try run.folder.checkpoints.open(step: run.trainer.step)
                return try Files.read(step.folder + "/" + RunFolder.File.ema)
            }
            let whole = try run("whole", .refuse)
            _ = try run("parts", .refuse, stopAt: 3)
            #expect(try run("parts", .resume) == whole)
            let grid = try PNG.read(folder.file("whole/samples/step-00000006.png")).picture
            // Ten rows of ten pictures of 8x8 at six times their size.
            #expect(grid.width == 10 * 49 + 1 && grid.channels == 1)
        }
    }
}
