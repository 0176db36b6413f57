import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

/// A .npy file and an .npz archive as NumPy writes them, put together by hand.
enum NumPyFixtures {
    static func npy(_ kind: String, _ shape: [Int], _ data: [UInt8], fortran: Bool = false) -> [UInt8] {
        let dimensions = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        let header = "{'descr': '\(kind)', 'fortran_order': \(fortran ? "True" : "False"), 'shape': (\(dimensions)), }\n"
        let start: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0] + little(UInt16(header.utf8.count))
        return start + Array(header.utf8) + data
    }

    /// The bytes of the elements in their order.
    static func bytes<Element: BitwiseCopyable>(_ elements: [Element]) -> [UInt8] { elements.withUnsafeBytes(Array.init) }

    static func npz(_ arrays: [(name: String, bytes: [UInt8])]) -> [UInt8] {
        var (body, directory): ([UInt8], [UInt8]) = ([], [])
        for (name, bytes) in arrays {
            let file = Array((name + ".npy").utf8)
            let words: [UInt32] = [0, 0, CRC32.of(bytes), UInt32(bytes.count), UInt32(bytes.count)]
            let common = words.flatMap { little($0) } + little(UInt16(file.count))
            directory += [0x0201_4B50, 20].flatMap { little($0 as UInt32) } + common + [UInt8](repeating: 0, count: 12)
            directory += little(UInt32(body.count)) + file
            body += little(UInt32(0x0403_4B50)) + little(UInt16(20)) + common + little(UInt16(0)) + file + bytes
        }
        let count = little(UInt16(arrays.count))
        let end: [UInt32] = [UInt32(directory.count), UInt32(body.count)]
        return body + directory + [0x0605_4B50, 0].flatMap { little($0 as UInt32) } + count + count + end.flatMap { little($0) }
            + little(UInt16(0))
    }
}

/// What `driftgpu eval --images` reads.
@Suite struct SavedImagesTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// Samples of noise, gray, 4x4. Each value is one of 256 steps, so that a picture holds it exactly.
    private func samples(
        _ labels: [Int], perLabel: Int, seed: UInt64, rendering: Rendering.Kind = .pixels, change: (inout [Float]) -> Void = { _ in }
    ) -> SampleSet {
        var random = TestNumbers(seed)
        let count = labels.count * perLabel
        var pixels = (0..<(count * 16)).map { _ in Float(random.below(256)) / 127.5 - 1 }
        change(&pixels)
        return SampleSet(
            pixels: pixels, shape: [count, 1, 4, 4], labels: labels, perLabel: perLabel, configuration: Configuration(),
            rendering: rendering, settings: [("driftgpu.seed", "\(seed)")])
    }

    private func message(_ path: String, range: ValueRange? = nil) -> String {
        errorText { _ = try SavedImages(folder.file(path), range: range) } ?? ""
    }

    /// An array of 6 images of 4x4 with labels beside it.
    private func array(_ bytes: [UInt8], labels: [UInt8]? = nil) throws {
        try Files.removeTree(folder.file("a"))
        try Files.makeFolder(folder.file("a"))
        try folder.write(bytes, to: "a/samples.npy")
        try folder.write(labels ?? NumPyFixtures.npy("<i8", [6], NumPyFixtures.bytes([Int64](0..<6))), to: "a/labels.npy")
    }

    // MARK: Folders of samples

    @Test("of two samplings into one folder the newer is judged, whatever either left there")
    func twoSamplings() throws {
        let place = folder.file("s")
        let first = samples([0, 1, 2], perLabel: 3, seed: 1)
        #expect(try first.write(to: place, arrays: true) == SampleSet.Leftovers(removed: 0, others: 0))
        for hasArrays in [true, false] {
            let second = samples([1, 12], perLabel: 2, seed: 2)
            let leftovers = try second.write(to: place, arrays: hasArrays)
            // Seven of the nine pictures; then the two arrays.
            #expect(leftovers == SampleSet.Leftovers(removed: hasArrays ? 7 : 2, others: 0))
            let arrays = hasArrays ? ["labels.npy", "samples.json", "samples.npy"] : ["samples.json"]
            #expect(
                try Files.names(in: place) == [
                    "0001-00000.png", "0001-00001.png", "0012-00000.png", "0012-00001.png", "grid.png",
                ] + arrays)
            for path in hasArrays ? ["s", "s/samples.npy"] : ["s"] {
                let read = try SavedImages(folder.file(path))
                #expect(read.images.labels == [1, 1, 12, 12] && read.notes.isEmpty)
                #expect(zip(read.images.images, second.pixels).allSatisfy { abs($0 - $1) < 1e-6 } && read.images.shape == [4, 1, 4, 4])
                #expect(read.origin == (hasArrays ? "4 images of \(place)/samples.npy" : "4 pictures in " + place) + ", drawn with seed 2")
            }
        }
        // Files of a sampling without a list, and arrays of another: they stay, and are said not to be judged.
        try PNG.write(ImageFixtures.noise(4, 4, 1, seed: 3), to: place + "/0007-00000.png")
        try folder.write("old", to: "s/samples.npy")
        let read = try SavedImages(place)
        #expect(read.images.labels == [1, 1, 12, 12])
        // Named itself, the other array is what is judged.
        #expect(message("s/samples.npy").contains("s/samples.npy: no .npy file"))
        #expect(read.notes == ["2 files in \(place) that samples.json does not name: not judged"])
        let leftovers = try samples([1], perLabel: 1, seed: 4).write(to: place, arrays: false)
        #expect(leftovers == SampleSet.Leftovers(removed: 3, others: 2))
        #expect(leftovers.lines(in: "s").count == 2 && leftovers.lines(in: "s")[1].hasPrefix("2 other files in s"))
    }

    @Test("of a list that claims sixteen million pictures only the folder's files are compared")
    func claimedSampling() throws {
        let place = folder.file("s")
        let samples = samples([1], perLabel: 1, seed: 1)
        try samples.write(to: place, arrays: false)
        let claim = SampleManifest(
            labels: [1], perLabel: 1 << 24, shape: [1, 4, 4], rendering: .pixels, notFinite: 0, checksum: nil, settings: [])
        try claim.write(to: place)
        try PNG.write(ImageFixtures.noise(4, 4, 1, seed: 3), to: place + "/0001-77777.png")
        try PNG.write(ImageFixtures.noise(4, 4, 1, seed: 3), to: place + "/1-7.png")
        #expect(try SampleManifest.read(in: place)?.others(in: place) == 1)
        #expect(try samples.write(to: place, arrays: false) == SampleSet.Leftovers(removed: 1, others: 1))
    }

    @Test("a sampling that was stopped is told from a whole one, and cleared away by the next")
    func stoppedSampling() throws {
        let place = folder.file("s")
        try samples([0, 1], perLabel: 2, seed: 1).write(to: place, arrays: true)
        var manifest = try #require(try SampleManifest.read(in: place))
        manifest.isComplete = false
        try manifest.write(to: place)
        try Files.removeTree(place + "/0001-00001.png")
        #expect(message("s").contains("its sampling was not finished"))
        #expect(try samples([0], perLabel: 1, seed: 2).write(to: place, arrays: false).removed == 4)
        #expect(try SavedImages(place).images.count == 1)
    }

    @Test("false colours of latents, and arrays that were changed, are no samples to judge")
    func notTheSamples() throws {
        try samples([0, 1], perLabel: 2, seed: 1, rendering: .falseColours).write(to: folder.file("f"), arrays: true)
        #expect(message("f").contains("false colours") && message("f").contains("--vae"))
        let set = samples([0, 1], perLabel: 2, seed: 1)
        for pixels in [set.pixels.map { ($0 + 1) / 2 }, Array(set.pixels.prefix(32))] {
            try set.write(to: folder.file("s"), arrays: true)
            try NPY.write(NamedTensor(shape: [pixels.count / 16, 1, 4, 4], floats: pixels), to: folder.file("s/samples.npy"))
            #expect(message("s").contains("not the samples that samples.json beside it names"))
        }
        try set.write(to: folder.file("s"), arrays: false)
        try Files.removeTree(folder.file("s/0001-00000.png"))
        #expect(message("s").contains("0001-00000.png: cannot open it"))
    }

    @Test("bright samples are judged as what they are, and how many are not finite is counted")
    func values() throws {
        let bright = samples([0], perLabel: 3, seed: 1) { $0 = $0.map(abs) }
        try bright.write(to: folder.file("s"), arrays: true)
        #expect(try SavedImages(folder.file("s")).images.images == bright.pixels)
        let broken = samples([0], perLabel: 4, seed: 1) { ($0[1], $0[17], $0[18]) = (.nan, .infinity, -.infinity) }
        #expect(broken.notFinite == 2)
        try broken.write(to: folder.file("s"), arrays: true)
        #expect(try SampleManifest.read(in: folder.file("s"))?.notFinite == 2)
        #expect(try SavedImages(folder.file("s")).images.images.map(\.bitPattern) == broken.pixels.map(\.bitPattern))
        // A model's infinities are not clamped to black or white.
        var tokens = [Float](repeating: 0.5, count: 128)
        (tokens[3], tokens[70]) = (.infinity, .nan)
        #expect(SampleSet(tokens: tokens, labels: [0, 1], perLabel: 1, configuration: Configuration()).notFinite == 2)
        // Of more images than a picture can hold, the grid shows the first.
        let many = SampleSet(pixels: [Float](repeating: 0, count: 25_000 * 64), shape: [25_000, 1, 8, 8], labels: [3], perLabel: 25_000, configuration: Configuration())
        let grid = try many.gridPicture()
        #expect(grid.width <= 1 << 16 && grid.width > 60_000 && grid.height == 50)
        var latents = Configuration()
        (latents.data.channels, latents.data.height, latents.data.width, latents.data.patch, latents.data.form) = (4, 2, 2, 1, .latents)
        let (pixels, shape) = try Rendering(latents)([.infinity] + [Float](repeating: 1, count: 31))
        #expect(SampleSet(pixels: pixels, shape: shape, labels: [0, 1], perLabel: 1, configuration: latents).notFinite == 1)
    }

    @Test("a damaged list of samples is named")
    func damagedList() throws {
        let place = folder.file("s")
        try samples([0, 1], perLabel: 2, seed: 1).write(to: place, arrays: true)
        let text = try folder.text("s/samples.json")
        for (from, to) in [
            ("{", "["), ("\"format\":1", "\"format\":2"), ("\"per_label\":2", "\"per_label\":9223372036854775807"),
            ("[0,1]", "[0,-1]"), ("[0,1]", "[0,\"../a\"]"), ("[1,4,4]", "[1,4]"), ("\"pixels\"", "\"oil\""),
            ("\"complete\":true", "\"complete\":1"), ("\"not_finite\":0", "\"not_finite\":-1"),
        ] {
            #expect(text.contains(from))
            try folder.write(text.replacing(from, with: to, maxReplacements: 1), to: "s/samples.json")
            #expect(message("s").contains("samples.json: "), "\(to)")
        }
        for length in 0..<text.utf8.count - 1 {
            try folder.write(Array(text.utf8.prefix(length)), to: "s/samples.json")
            #expect(message("s").contains("samples.json: "), "\(length)")
        }
    }

    // MARK: Arrays

    /// 6 images of 3x4x4 in steps of 8 bits.
    private var bytes: [UInt8] { (0..<288).map { UInt8(truncatingIfNeeded: $0 * 37) } }

    @Test("numbers of all types, in either order of dimensions, are the same images")
    func types() throws {
        let expected = bytes.map { Float($0) / 127.5 - 1 }
        var last: [UInt8] = []
        for n in 0..<6 { for i in 0..<16 { for channel in 0..<3 { last.append(bytes[(n * 3 + channel) * 16 + i]) } } }
        let shape = [6, 3, 4, 4]
        typealias F = NumPyFixtures
        let arrays: [[UInt8]] = [
            F.npy("|u1", shape, bytes), F.npy("|u1", [6, 4, 4, 3], last), F.npy("<i8", shape, F.bytes(bytes.map(Int64.init))),
            F.npy("<i4", shape, F.bytes(bytes.map(Int32.init))), F.npy("<u2", shape, F.bytes(bytes.map(UInt16.init))),
            F.npy("<f4", shape, F.bytes(expected)), F.npy("<f8", shape, F.bytes(expected.map(Double.init))),
            F.npy(">f4", shape, F.bytes(expected.map(\.bitPattern.bigEndian))),
            F.npy("<f4", [6, 4, 4, 3], F.bytes(last.map { Float($0) / 127.5 - 1 })),
            F.npy("<f2", shape, F.bytes(expected.map { Float16($0).bitPattern })),
        ]
        for (index, bytes) in arrays.enumerated() {
            try array(bytes)
            let read = try SavedImages(folder.file("a"))
            let error: Float = index == arrays.count - 1 ? 1e-3 : 1e-6
            #expect(read.images.shape == shape && zip(read.images.images, expected).allSatisfy { abs($0 - $1) < error }, "\(index)")
            #expect(read.images.labels == [0, 1, 2, 3, 4, 5])
        }
        // Without channels: gray.
        try array(F.npy("|u1", [6, 8, 6], bytes))
        #expect(try SavedImages(folder.file("a")).images.shape == [6, 1, 8, 6])
        // Fortran's order: the first index changes fastest.
        var columns: [UInt8] = []
        for x in 0..<4 { for y in 0..<4 { for n in 0..<6 { columns.append(bytes[n * 16 + y * 4 + x]) } } }
        try array(F.npy("|u1", [6, 4, 4], columns, fortran: true))
        #expect(try SavedImages(folder.file("a")).images.images == Array(expected[..<96]))
    }

    @Test("ADM's archive: arr_0 and arr_1, and others' names")
    func archives() throws {
        let last = NumPyFixtures.npy("|u1", [6, 4, 4, 3], bytes)
        let labels = NumPyFixtures.npy("<i8", [6], NumPyFixtures.bytes([Int64](0..<6)))
        for names in [("arr_0", "arr_1"), ("samples", "labels")] {
            try folder.write(NumPyFixtures.npz([(names.0, last), (names.1, labels)]), to: "adm.npz")
            let read = try SavedImages(folder.file("adm.npz"))
            #expect(read.images.shape == [6, 3, 4, 4] && read.images.labels == [0, 1, 2, 3, 4, 5])
            #expect(read.images.images[1] == Float(bytes[3]) / 127.5 - 1 && read.images.images[16] == Float(bytes[1]) / 127.5 - 1)
        }
        try folder.write(NumPyFixtures.npz([("arr_0", last)]), to: "adm.npz")
        #expect(message("adm.npz").contains("no labels among its arrays (arr_0)"))
        try folder.write(NumPyFixtures.npz([("mu", labels)]), to: "adm.npz")
        #expect(message("adm.npz").contains("no images among its arrays (mu)"))
    }

    @Test("values that can hardly be in [-1, 1] are refused, or read as --range says")
    func ranges() throws {
        let signed = bytes.map { Float($0) / 127.5 - 1 }
        func write(_ values: [Float]) throws {
            try array(NumPyFixtures.npy("<f4", [6, 3, 4, 4], NumPyFixtures.bytes(values)))
        }
        try write(signed.map { ($0 + 1) / 2 })
        #expect(message("a").contains("values from 0 to 1, none below 0, where [-1, 1] is expected") && message("a").contains("--range"))
        let unit = try SavedImages(folder.file("a"), range: .unit).images.images
        #expect(zip(unit, signed).allSatisfy { abs($0 - $1) < 1e-6 })
        try write(bytes.map(Float.init))
        #expect(message("a").contains("values from 0 to 255, none below 0"))
        #expect(try SavedImages(folder.file("a"), range: .byte).images.images == signed)
        // As networks take them: less the mean, over the deviation.
        try write(signed.map { $0 * 2.4 })
        #expect(message("a").contains("values from -2.4 to 2.4, where"))
        let far = try SavedImages(folder.file("a"), range: .signed)
        #expect(far.images.images[0] == -2.4 && far.notes.count == 1 && far.notes[0].hasSuffix("% of the values lie outside [-1, 1]"))
        // A little beyond is what models do.
        try write(signed.map { $0 * 1.2 })
        #expect(try SavedImages(folder.file("a")).notes.count == 1)
        try write(signed.map { _ in .nan })
        #expect(try SavedImages(folder.file("a")).images.count == 6)
        let pairs: [([Int64], String)] = [([0, 1], "from 0 to 1"), ([0, 256], "from 0 to 256"), ([-1, 200], "from -1 to 200")]
        for (pair, part) in pairs {
            let values = (0..<288).map { pair[$0 % 2] }
            try array(NumPyFixtures.npy("<i8", [6, 3, 4, 4], NumPyFixtures.bytes(values)))
            #expect(message("a").contains("whole numbers " + part), "\(message("a"))")
        }
        try array(NumPyFixtures.npy("|u1", [6, 3, 4, 4], (0..<288).map { UInt8($0 % 2) }))
        #expect(try SavedImages(folder.file("a"), range: .unit).images.images[..<2] == [-1, 1])
    }

    @Test("what is wrong with labels or shapes is named")
    func wrongArrays() throws {
        let good = NumPyFixtures.npy("|u1", [6, 3, 4, 4], bytes)
        func labels(_ kind: String, _ shape: [Int], _ data: [UInt8]) throws -> String {
            try array(good, labels: NumPyFixtures.npy(kind, shape, data))
            return message("a")
        }
        #expect(try labels("<i8", [5], NumPyFixtures.bytes([Int64](0..<5))).contains("5 labels for 6 images"))
        #expect(try labels("<i8", [6], NumPyFixtures.bytes([0, 1, 2, -3, 4, 5] as [Int64])).contains("image 3 has the label -3"))
        #expect(try labels("<f4", [6], NumPyFixtures.bytes([0, 1, 2, 0.5, 4, 5] as [Float])).contains("image 3 has the label that is no whole"))
        #expect(try labels("<i8", [6], NumPyFixtures.bytes([0, 1, 2, 3, 4, Int64.max])).contains("image 5 has the label"))
        #expect(try labels("|u1", [2, 3], [0, 1, 2, 3, 4, 5]).contains("labels of the shape [2, 3]"))
        #expect(try labels("<f4", [6, 1], NumPyFixtures.bytes([0, 1, 2, 3, 4, 5] as [Float])).isEmpty)
        try Files.removeTree(folder.file("a/labels.npy"))
        #expect(message("a").contains("no labels.npy beside it"))
        try array(NumPyFixtures.npy("|u1", [6, 6, 2, 4], bytes))
        #expect(message("a").contains("transparency"))
        try array(NumPyFixtures.npy("|u1", [288], bytes))
        #expect(message("a").contains("an array [288] of no images"))
        try array(NumPyFixtures.npy("|u1", [0, 3, 4, 4], []), labels: NumPyFixtures.npy("<i8", [0], []))
        #expect(message("a").contains("no images"))
        #expect(message("").contains("neither samples.npy") && errorText { _ = try SavedImages("") }?.hasPrefix("'': ") == true)
    }

    // MARK: Pictures

    @Test("pictures: gray among colour is said, and sizes must agree")
    func pictures() throws {
        try Files.makeFolder(folder.file("p"))
        for (name, channels) in [("0-a.png", 1), ("3-b.png", 3), ("3-c.png", 3)] {
            try PNG.write(ImageFixtures.noise(4, 4, channels, seed: 5), to: folder.file("p/" + name))
        }
        let read = try SavedImages(folder.file("p"))
        #expect(read.images.shape == [3, 3, 4, 4] && read.images.labels == [0, 3, 3])
        #expect(read.notes == ["1 gray picture among 3, taken as colour"] && read.origin == "3 pictures in " + folder.file("p"))
        #expect(read.images.images[0] == read.images.images[16] && read.images.images[0] == read.images.images[32])
        #expect(message("p", range: .unit).contains("--range"))
        try PNG.write(ImageFixtures.noise(5, 4, 1, seed: 5), to: folder.file("p/4-d.png"))
        #expect(message("p").contains("4-d.png: 5x4 among pictures of 4x4"))
        try Files.removeTree(folder.file("p/4-d.png"))
        try PNG.write(ImageFixtures.noise(4, 4, 1, seed: 5), to: folder.file("p/cat.png"))
        #expect(message("p").contains("its name does not begin with a label"))
    }

    @Test("real images are brought to the form of those they judge, and that is said")
    func judges() throws {
        try ImageFixtures.writeFolder(folder.file("colour"), classes: ["a", "b"], perClass: 6)
        let gray = try Dataset(
            images: (0..<128).map { Float($0) / 128 }, shape: [2, 1, 8, 8], labels: [0, 1], classNames: ["0", "1"])
        let judges = try Judges(folder.file("colour"), for: gray)
        #expect(judges.source.training.channels == 3 && judges.images.shape == [2, 3, 8, 8] && judges.notes.count == 1)
        #expect(judges.images.images[64] == gray.images[0] && judges.images.images[192] == gray.images[64])
        // IDX has a size and is gray.
        try Files.makeFolder(folder.file("idx"))
        try folder.write(
            ImageFixtures.idx([10, 6, 6], (0..<360).map { UInt8(truncatingIfNeeded: $0) }), to: "idx/train-images-idx3-ubyte")
        try folder.write(ImageFixtures.idx([10], (0..<10).map { $0 % 2 }), to: "idx/train-labels-idx1-ubyte")
        let same = try Dataset(images: [Float](repeating: 0, count: 36), shape: [1, 1, 6, 6], labels: [0], classNames: ["0"])
        #expect(try Judges(folder.file("idx"), for: same).notes.isEmpty)
        let wide = try Dataset(images: [Float](repeating: 0, count: 192), shape: [1, 3, 8, 8], labels: [0], classNames: ["0"])
        let other = try Judges(folder.file("idx"), for: wide)
        #expect(other.source.training.channels == 3 && other.source.training.height == 8 && other.images.shape == wide.shape)
        #expect(Judges.order(of: ["1", "10", "2"]) == "labels count the data's classes in order: 0 is 1, 1 is 10, 2 is 2")
        #expect(Judges.order(of: ["0", "1"]) == nil && Judges.order(of: (0..<20).map { "c\($0)" })?.hasSuffix("11 is c11, ...") == true)
        #expect(other.notes == ["real images of 6x6 resized to 8x8, the size of the images to judge"])
    }

    @Test("data without a path have a name in errors")
    func digitsHaveAName() {
        var configuration = Configuration()
        configuration.data.classes = 5
        #expect(errorText { _ = try DataSource.open(configuration) }?.hasPrefix("the digits the program carries: 10 classes, the model has 5") == true)
    }
}
