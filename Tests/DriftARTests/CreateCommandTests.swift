import DriftData
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct CreateCommandTests {
    /// A folder of gray pictures in two classes.
    private static func pictures(_ perClass: Int, in folder: TestFolder, _ name: String = "data") throws {
        for (number, label) in ["cats", "dogs"].enumerated() {
            try Files.makeFolder(folder.file("\(name)/\(label)"))
            for image in 0..<perClass {
                let pixels = (0..<400).map { UInt8(truncatingIfNeeded: $0 % 20 * (image + 3) * (2 - number) + $0 / 20 * number * image) }
                try PNG.write(Picture(width: 20, height: 20, channels: 1, pixels: pixels), to: folder.file("\(name)/\(label)/\(image).png"))
            }
        }
    }

    @Test("a folder of pictures becomes samples, a stopped or repeated command goes on, and another plan is refused")
    func wholeRun() throws {
        let folder = try TestFolder()
        try Self.pictures(12, in: folder)
        let create = "create --data data --size 16 --autoencoder --autoencoder-steps 3 --steps 2 --per-label 2 --output made"
        let plan = try folder.run(create + " --plan")
        #expect(plan.code == 0 && plan.output.contains("3 steps, about") && plan.output.contains("in all about") && !Files.exists(folder.file("made")), "\(plan)")

        let first = try folder.run(create)
        #expect(first.code == 0 && first.output.contains("done: made/samples/grid.png"), "\(first)")
        for part in ["vae train", "cache", "train --preset photos-transdiff", "sample", "eval --fit-classifier", "eval --images"] { #expect(first.output.contains("$ driftgpu " + part)) }
        #expect(try PNG.read(folder.file("made/samples/0001-00001.png")).picture.width == 16)
        let figures = try JSON.parse(Files.read(folder.file("made/figures.json")))
        for set in ["generated", "held_out"] {
            for figure in ["accuracy", "frechet_distance", "kernel_distance", "diversity"] { #expect(figures[set]?[figure]?.double != nil, "\(set) \(figure)") }
        }
        // Four samples, each beside its nearest picture, all three pixels for one and with margins between.
        #expect(try PNG.read(folder.file("made/nearest.png")).picture.width == 8 * (3 * 16 + 1) + 1)
        let model = try SavedModel(folder.file("made/model")).configuration
        #expect(model.run.steps == 2 && model.data.classNames == ["cats", "dogs"] && model.data.height == 4 && model.labelsInStep == 2)
        // Latents have a deviation of about 1 on the scale that the autoencoder's file says.
        #expect(try VAEWeights(folder.file("made/vae")).latentScale == model.data.latentScale)

        let second = try folder.run("create --data data --per-label 2 --output made")
        #expect(second.code == 0 && second.output.contains("finished at step 3 already") && second.output.contains("complete already"), "\(second)")
        #expect(second.output.contains("classifier.safetensors: there already"))
        for (line, part) in [
            ("--size 24", "was begun with"), ("--preset photos-drift", "--preset photos-transdiff"), ("--size 16 --no-flip", "was begun with"), ("--no-autoencoder", "--flip, --autoencoder, --preset"), ("--size 16 --steps 7", "--autoencoder-steps 3, --steps 2"),
            ("--size 16 --hours 1", "--autoencoder-steps 3, --steps 2"),
        ] {
            let refused = try folder.run("create --data data --per-label 2 --output made \(line)")
            #expect(refused.code == 1 && refused.errors.contains(part) && refused.errors.filter { $0 == "\n" }.count == 1, "\(line): \(refused)")
        }
    }

    @Test("a model that is trained by a feature encoder has one, of the latents")
    func encoder() throws {
        let folder = try TestFolder()
        try Self.pictures(12, in: folder)
        let create = "create --data data --size 16 --autoencoder --autoencoder-steps 3 --steps 2 --per-label 2 --output made"
        let plan = try folder.run("create --data data --size 16 --autoencoder --preset photos-drift --plan --output made")
        #expect(plan.code == 0 && plan.output.contains("3. a feature encoder of the latents: 3000 steps, about"), "\(plan)")
        let first = try folder.run(create + " --preset photos-drift --encoder-steps 2")
        #expect(first.code == 0 && first.output.contains("done: made/samples/grid.png"), "\(first)")
        let parts = ["vae train", "cache", "features train --latents made/latents", "train --preset photos-drift", "sample", "eval --fit-classifier", "eval --images"]
        var rest = first.output[...]
        for part in parts {
            let found = try #require(rest.range(of: "$ driftgpu " + part), "\(part)")
            rest = rest[found.upperBound...]
        }
        let model = try SavedModel(folder.file("made/model")).configuration
        #expect(model.loss.features == .encoder && model.encoder.patch == 2 && model.labelsInStep == 2)
        let second = try folder.run("create --data data --size 16 --per-label 2 --output made")
        #expect(second.code == 0 && second.output.contains("finished at step 2 already"), "\(second)")
        let alone = try folder.run("train --preset photos-drift --latents made/latents --output other")
        #expect(alone.code == 1 && alone.errors.contains("name its run (driftgpu features train) with --features RUN"), "\(alone)")
        #expect(!Files.exists(folder.file("other")))
    }

    @Test("what cannot become a model is refused in a line before anything is written")
    func refused() throws {
        let folder = try TestFolder()
        try Self.pictures(3, in: folder, "few")
        try Self.pictures(12, in: folder)
        for (line, code, part) in [
            ("--data few", 1, "pictures to train on"), ("--data none", 1, "no such file or folder"), ("--data data --size 36", 1, "multiple of 8"), ("--data data --size 31", 1, "16 to 64 square patches"), ("--data data --size 0", 64, "take 1 to 4096"),
            ("--data data --size 16 --autoencoder-steps 5", 1, "--autoencoder has it draw latents"),
            ("--data data --size 16 --hours 0.00001", 1, "too few"), ("--data data --hours 1 --steps 3", 64, "exclude each other"),
            ("--data data --per-label 1", 64, "take 2 to"), ("--data data --per-label 9000000000000000000", 64, "take 2 to"), ("--data data --cfg nan", 64, "finite"), ("--data data --preset mnist", 1, "create takes photos-transdiff"),
            ("--data data --encoder-steps 5", 1, "has no feature encoder"), ("--data data --preset mnist-drift", 1, "take photos-drift, or --no-autoencoder"), ("--data data --size 8 --autoencoder --preset photos-drift", 1, "take 16 or more"),
        ] {
            let result = try folder.run("create --output made " + line)
            #expect(result.code == Int32(code) && result.errors.contains(part), "\(line): \(result)")
            #expect(!Files.exists(folder.file("made")), "\(line)")
        }
    }

    @Test("steps follow from hours, and the work from the size and the number of classes")
    func planned() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            try Self.pictures(12, in: folder)
            func plan(_ count: Int, size: Int = 64, preset: String? = nil, autoencoder: Bool = true) throws -> (plan: CreationPlan, index: LabelIndex, seconds: [CreationPlan.Run: Double]) {
                var options = DataSource.Options()
                (options.height, options.width) = (size, size)
                let source = try DataSource.open(folder.file("data"), options)
                let index = try LabelIndex(labels: (0..<(4 * count)).map { Int32($0 % count) }, classNames: (0..<count).map(String.init))
                let plan = try CreationPlan(source, path: "/data", preset: preset, autoencoder: autoencoder)
                return (plan, index, try plan.seconds(index, peak: 1e11, traits: device.traits, gemm: device.gemm))
            }
            let ten = try plan(10)
            #expect(ten.seconds.count == 2 && ten.seconds.values.allSatisfy { $0 > 60 })
            let fitting = try #require(try ten.plan.judgingSeconds(peak: 1e11, traits: device.traits, gemm: device.gemm))
            let (autoencoder, model) = try (#require(ten.seconds[.autoencoder]), #require(ten.seconds[.model]))
            #expect(fitting > 10 && fitting < autoencoder)
            let all = ten.seconds.values.reduce(0, +)
            let longer = try ten.plan.lasting(hours: all / 1800, seconds: all)
            #expect(longer.modelSteps == 2 * ten.plan.modelSteps && longer.autoencoderSteps == ten.plan.autoencoderSteps.map { 2 * $0 })
            // A hundred classes make no larger step, but a label each for the model's encoder, which is a third of its blocks.
            let hundred = try plan(100).seconds
            #expect((hundred[.autoencoder] ?? .infinity) / autoencoder < 1.7 && (hundred[.model] ?? .infinity) / model < 2, "\(hundred)")
            // A quarter of the pixels: nearly a quarter of the work of convolutions.
            let small = try (plan(10, size: 32).seconds[.autoencoder] ?? 0) / autoencoder
            #expect(small > 0.2 && small < 0.3, "\(small)")
            // Pixels of 32x32 make as many tokens as the latents of 64x64.
            let pixels = try plan(10, size: 32, preset: ten.plan.preset, autoencoder: false)
            #expect(try ten.plan.preset == "photos-transdiff" && plan(10, size: 32, autoencoder: false).plan.preset == "mnist-drift")
            #expect(pixels.plan.pixelPatch == 4 && pixels.seconds.count == 1)
            #expect(try pixels.plan.guidance == 2 && plan(10, size: 32, autoencoder: false).plan.guidance == 1)
            let ratio = try #require(pixels.seconds[.model]) / model
            #expect(ratio > 0.9 && ratio < 1.3, "\(ratio)")
        }
    }

    @Test("small pictures are drawn as pixels, in the size and with the colours of their files", arguments: ["mnist-drift", "photos-transdiff", "photos-drift"])
    func pixels(preset: String) throws {
        let folder = try TestFolder()
        try Self.idx(24, in: folder)
        let named = preset == "mnist-drift" ? "" : " --preset \(preset)"
        let create = "create --data idx\(named) --steps 2 --per-label 2 --output made" + (preset == "photos-drift" ? " --encoder-steps 2" : "")
        let first = try folder.run(create)
        #expect(first.code == 0 && first.output.contains("at 12x12 pixels") && first.output.contains("done: made/samples/grid.png"), "\(first)")
        #expect(!first.output.contains("vae") && !Files.exists(folder.file("made/latents")))
        let model = try SavedModel(folder.file("made/model")).configuration
        #expect(model.data.height == 12 && model.data.channels == 1 && model.data.patch == 2 && !model.data.flip && model.preset == preset)
        #expect(model.loss.features != .encoder || model.encoder.patch == 2)
        let picture = try PNG.read(folder.file("made/samples/0001-00001.png")).picture
        #expect(picture.width == 12 && picture.channels == 1)
        let figures = try JSON.parse(Files.read(folder.file("made/figures.json")))
        #expect(figures["generated"]?["accuracy"]?.double != nil)
        let second = try folder.run("create --data idx --output made --per-label 2")
        #expect(second.code == 0 && second.output.contains("finished at step 2 already"), "\(second)")
        let other = try folder.run("create --data idx --output made --autoencoder --size 16" + (preset == "mnist-drift" ? " --preset photos-mar" : ""))
        #expect(other.code == 1 && other.errors.contains("--no-flip, --no-autoencoder, --preset \(preset)"), "\(other)")
    }

    /// An IDX file of `count` gray pictures of 12x12 in two classes, and its labels.
    private static func idx(_ count: Int, in folder: TestFolder) throws {
        func words(_ values: [Int]) -> [UInt8] { values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } } }
        try Files.makeFolder(folder.file("idx"))
        let pixels = (0..<(count * 144)).map { UInt8(truncatingIfNeeded: $0 % 12 * ($0 / 144 % 2 * 9 + 5) + $0 / 288) }
        try AtomicFile.write([0, 0, 8, 3] + words([count, 12, 12]) + pixels, to: folder.file("idx/train-images-idx3-ubyte"))
        try AtomicFile.write([0, 0, 8, 1] + words([count]) + (0..<count).map { UInt8($0 % 2) }, to: folder.file("idx/train-labels-idx1-ubyte"))
    }
}
