@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

/// A reader of files as the program has it, by the entry that the program calls.
struct Reader: Sendable {
    let name: String
    /// Name of the file it is given; nil: it takes bytes.
    private let fileName: String?
    let read: @Sendable (Input) throws -> Void
    let seeds: @Sendable (Seeds) throws -> [[UInt8]]
    /// Puts checksums of a mutated input right.
    let repair: @Sendable (UnsafeMutableBufferPointer<UInt8>) -> Void

    var needsFile: Bool { fileName != nil }
    var file: String { fileName ?? "unused" }

    init(
        _ name: String, file: String? = nil, seeds: @escaping @Sendable (Seeds) throws -> [[UInt8]],
        repair: @escaping @Sendable (UnsafeMutableBufferPointer<UInt8>) -> Void = { _ in },
        read: @escaping @Sendable (Input) throws -> Void
    ) {
        (self.name, fileName, self.read, self.seeds, self.repair) = (name, file, read, seeds, repair)
    }

    static let all = text + weights + arrays + images
}

// MARK: Text

extension Reader {
    private static let text = [
        Reader("json", seeds: { try $0.text() }) { input in
            let json = try JSON.parse(input.bytes)
            let again = try JSON.parse(Array(json.text.utf8))
            if again != json { fatalError("\(json.text) reads as \(again.text)") }
        },
        Reader("config", seeds: { try $0.configurations() }) { input in
            let configuration = try Configuration().merging(json: .init(input.bytes), from: "config.json")
            try configuration.validate()
            let again = try Configuration().merging(json: try configuration.json(), from: "config.json")
            if again != configuration { fatalError("a configuration that differs when it is written and read") }
        },
        Reader("manifest", file: CheckpointManifest.name, seeds: { try $0.manifests() }) { input in
            let manifest = try CheckpointManifest(readFrom: input.folder, remedy: "none")
            try manifest.verify(in: input.folder, remedy: "none")
        },
        Reader("latents", file: LatentFolder.manifestName, seeds: { try $0.latents() }) { input in
            try input.putBeside("latents-00000.safetensors", Seeds.latentShard)
            _ = try LatentFolder(input.folder)
        },
        Reader("metrics", file: "metrics.jsonl", seeds: { $0.metrics() }) { input in
            let curves = try TrainingCurves(input.path)
            _ = curves.csv
            for name in curves.names { _ = curves.points(name) }
            _ = try MetricsLog(input.path, resumedAt: 10)
        },
        Reader("samples", file: SampleManifest.name, seeds: { try $0.sampleManifests() }) { input in
            _ = try SampleManifest.read(in: input.folder)?.others(in: input.folder)
        },
    ]
}

// MARK: Weights

extension Reader {
    private static let weights = [
        Reader("safetensors", file: "model.safetensors", seeds: { try $0.safeTensors() }, read: readWeights),
        Reader("pytorch", file: "model.pth", seeds: { try $0.pyTorch() }, repair: Repair.zip, read: readWeights),
        Reader("shards", file: "model.safetensors.index.json", seeds: { $0.shards() }) { input in
            try input.putBeside("a.safetensors", Seeds.latentShard)
            let source = try WeightFile.open(input.path)
            _ = WeightOutline(source).text
            for name in source.names { _ = try source.tensor(name) }
        },
        Reader("pickle", seeds: { try $0.pickles() }) { input in
            var machine = PickleMachine(input.array)
            _ = try PickleOutline(machine.run())
        },
    ]

    /// What `inspect` and `import` do with a file, up to writing.
    @Sendable private static func readWeights(_ input: Input) throws {
        let source = try WeightFile.open(input.path)
        _ = WeightOutline(source).text
        for name in source.names {
            // A storage may be deflated, which packs no better than 1032 : 1.
            guard try source.header(name).byteCount <= 1032 * input.bytes.count else {
                fatalError("'\(name)' has more bytes than the file can hold")
            }
            do {
                _ = try source.tensor(name)
            } catch is DataError {}
        }
        do {
            try source.verify(source.names)
        } catch is DataError {}
        _ = try WeightImport(source)
    }
}

// MARK: Arrays

extension Reader {
    private static let arrays = [
        Reader("zip", file: "archive.zip", seeds: { try $0.zips() }, repair: Repair.zip) { input in
            let archive = try ZipArchive(input.path)
            for name in archive.entries.keys {
                do {
                    _ = try archive.contents(name, limit: 1 << 20)
                } catch is DataError {}
            }
        },
        Reader("npy", file: "samples.npy", seeds: { try $0.npy() }) { input in
            _ = try? NPY.doubles(input.array, "samples.npy")
            _ = try PixelArray(NPY.read(input.path), range: nil, at: input.path)
        },
        Reader("npz", file: "statistics.npz", seeds: { try $0.npz() }, repair: Repair.zip) { input in
            do {
                _ = try SavedImages(input.path)
            } catch is DataError {}
            _ = try FeatureStatistics(npz: input.path)
        },
    ]
}

// MARK: Images

extension Reader {
    private static let images = [
        Reader("png", seeds: { try $0.pictures("png") }, repair: Repair.png) { input in
            _ = PNG.text(in: input.array)
            _ = try Picture.decode(input.array)
        },
        Reader("jpeg", seeds: { try $0.pictures("jpg") }) { input in
            for halvings in [0, 2] { _ = try JPEG.decode(input.array) { _, _ in halvings } }
        },
        Reader("webp", seeds: { try $0.pictures("webp") }) { input in
            _ = try Picture.decode(input.array)
        },
        Reader("bmp", seeds: { try $0.pictures("bmp") }) { input in
            _ = try Picture.decode(input.array)
        },
        Reader("idx", file: "train-images-idx3-ubyte", seeds: { try $0.idx() }) { input in
            _ = try? IDX.labels(input.path)
            _ = try IDX.images(input.path)
        },
        Reader("cifar", file: "data_batch_1.bin", seeds: { $0.cifar() }) { input in
            guard let kind = try CIFAR.kind(of: input.folder) else { return }
            _ = try CIFAR.read(kind.training, of: kind, in: input.folder)
        },
    ]
}
