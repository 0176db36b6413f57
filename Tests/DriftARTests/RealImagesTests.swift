import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftGPU

/// Images kept on the device against images sent step by step.
@Suite(.serialized) struct RealImagesTests {
    private func trainer(_ configuration: Configuration, _ set: ImageSet, _ device: Device) throws -> Trainer {
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: configuration.run.seed)
        return try Trainer(configuration, state: state, data: set)
    }

    private func digits(flip: Bool) throws -> ImageSet {
        ImageSet(try TinyRun.data(), augmentation: ImageSet.Augmentation(flip: flip))
    }

    @Test("streamed and resident images train the same bits", arguments: TinyRun.allCases, [false, true])
    func same(_ kind: TinyRun, flip: Bool) throws {
        try TestDevice.with(.cpu16) { device in
            let snapshots = try [Residency.always, .never, .auto].map { resident in
                var configuration = kind.configuration
                configuration.data.resident = resident
                let trainer = try trainer(configuration, digits(flip: flip), device)
                for _ in 0..<5 { try trainer.advance() }
                #expect(try trainer.metrics().contains { $0.0 == "data_wait" && $0.1 >= 0 } == (resident == .never))
                return try trainer.snapshot()
            }
            #expect(isSame(snapshots[0], snapshots[1]))
            #expect(isSame(snapshots[0], snapshots[2]))
        }
    }

    @Test("images of bytes train the bits that their values do as floats, in a quarter of the memory", arguments: [false, true])
    func bytes(flip: Bool) throws {
        let floats = try TinyRun.data()
        var random = TestRandom(5)
        let augmentation = ImageSet.Augmentation(flip: flip)
        let values = (0..<floats.images.count).map { _ in UInt8(random.next() % 256) }
        let shape = ImageTransform(channels: 1, height: 8, width: 8)
        let packed = PackedImages(bytes: values, channels: 1, height: 8, width: 8, transform: shape)
        let bytes = ImageSet(packed, shape: shape, index: floats.index, augmentation: augmentation)
        let same = ImageSet(try bytes.dataset(), augmentation: augmentation)
        #expect(bytes.form == ImageForm.bytes && same.form == ImageForm.pixels)
        try TestDevice.with(.cpu16) { device in
            let cases: [(ImageSet, Residency)] = [(bytes, .always), (bytes, .never), (same, .always)]
            let snapshots = try cases.map { set, resident in
                var configuration = TinyRun.pixels.configuration
                configuration.data.resident = resident
                let trainer = try trainer(configuration, set, device)
                for _ in 0..<3 { try trainer.advance() }
                return try trainer.snapshot()
            }
            #expect(isSame(snapshots[0], snapshots[1]))
            #expect(isSame(snapshots[0], snapshots[2]))
        }
        let traits = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)
        let taken = try [bytes, same].map { set in
            let memory = try TrainingMemory(
                TinyRun.pixels.configuration, data: set, maxAllocation: 0, traits: traits, gemm: NativeGEMM())
            return memory.bytes[.images] ?? 0
        }
        #expect(taken == [bytes.residentRows * 64, bytes.residentRows * 256])
    }

    @Test("flipping is a change, half of the images are flipped")
    func flips() throws {
        var configuration = TinyRun.pixels.configuration
        configuration.loss.positives = 200
        let needs = try configuration.makeGenerator().needs
        let set = try digits(flip: true)
        let draws = try (0..<20).map { try StepPlan(configuration, needs, set.index, set.augmentation, step: $0) }
        let flipped = draws.flatMap { $0.images }.filter(\.variant.isFlipped).count
        #expect(abs(flipped - 6000) < 300, "\(flipped) of 12000")
        let plain = try StepPlan(configuration, needs, set.index, ImageSet.Augmentation(), step: 3)
        #expect(plain.images.map(\.index) == draws[3].images.map(\.index), "what is drawn does not depend on how it is taken")
        #expect(plain.labels == draws[3].labels && plain.drops == draws[3].drops)
        let cropped = try StepPlan(configuration, needs, set.index, ImageSet.Augmentation(flip: true, crop: .random), step: 3)
        #expect(cropped.images.map(\.variant.isFlipped) == draws[3].images.map(\.variant.isFlipped))
        #expect(Set(cropped.images.compactMap { $0.variant.crop?.x }).count > 590)
    }

    @Test("a resumed run of streamed, cropped, flipped pictures with a broken one continues bit for bit")
    func resumes() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let data = folder.file("data")
            try ImageFixtures.writeFolder(data, classes: ["a", "b", "c", "d"], perClass: 7, size: 20)
            try folder.write("broken", to: "data/b/2.png")
            func run(_ path: String, _ existing: TrainingRun.Existing, stopAt: Int?) throws {
                var configuration = TinyRun.pixels.configuration
                (configuration.data.path, configuration.data.crop, configuration.data.flip) = (data, .random, true)
                let source = try DataSource.open(data, {
                    var options = DataSource.Options(configuration)
                    (options.height, options.width) = (8, 8)
                    return options
                }())
                configuration.data.adopt(source)
                let run = try TrainingRun(configuration, data: source.training, path: folder.file(path), existing: existing, device: device)
                let progress = ProgressLine(total: configuration.run.steps, output: .custom(columns: nil, { _ in }))
                _ = try run.train(progress: progress, shouldStop: { run.trainer.step == stopAt })
            }
            try run("whole", .refuse, stopAt: nil)
            try run("parts", .refuse, stopAt: 3)
            try run("parts", .resume, stopAt: nil)
            let checkpoints = try ["whole", "parts"].map { try RunFolder(folder.file($0)).checkpoints.open(step: 6) }
            for file in checkpoints[0].files {
                #expect(try checkpoints[0].bytes(file) == checkpoints[1].bytes(file), "\(file)")
            }
            let log = try folder.text("parts/metrics.jsonl")
            #expect(log.contains("\"data_wait\":") && log.contains("\"broken_images\":1"))
        }
    }

    @Test func choosesByBytes() throws {
        let set = try digits(flip: true)
        let bytes = set.residentRows * 64 * 4
        #expect(set.residentRows == 2 * set.count)
        #expect(try Residency.auto.keeps(set, maxAllocation: 0))
        #expect(try Residency.auto.keeps(set, maxAllocation: bytes))
        #expect(try !Residency.auto.keeps(set, maxAllocation: bytes - 1))
        #expect(try !Residency.never.keeps(set, maxAllocation: 0))
        #expect(errorText { _ = try Residency.always.keeps(set, maxAllocation: bytes - 1) }?.contains("resident always") == true)
        let cropped = ImageSet(try TinyRun.data(), augmentation: ImageSet.Augmentation(crop: .random))
        #expect(try !Residency.auto.keeps(cropped, maxAllocation: 0))
        #expect(errorText { _ = try Residency.always.keeps(cropped, maxAllocation: 0) }?.contains("random crop") == true)
        let large = try Dataset(images: [Float](repeating: 0, count: 1 << 20), shape: [1, 1, 1024, 1024], labels: [0], classNames: ["a"])
        let many = try ImageSet(large).subset([Int](repeating: 0, count: 256))
        #expect(try Residency.auto.keeps(many, maxAllocation: 0))
        #expect(try !Residency.auto.keeps(ImageSet(large).subset([Int](repeating: 0, count: 257)), maxAllocation: 0))
    }
}
