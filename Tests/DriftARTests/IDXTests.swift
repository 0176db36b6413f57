import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite struct IDXTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// 12 images of 3 x 2 pixels in 3 classes.
    private let pixels = (0..<72).map { UInt8($0 * 3) }
    private let labels = (0..<12).map { UInt8($0 % 3) }

    private func write(_ prefix: String, count: Int = 12, packed: Bool = false) throws {
        let images = ImageFixtures.idx([count, 3, 2], Array(pixels[..<(count * 6)]))
        let labels = ImageFixtures.idx([count], Array(labels[..<count]))
        let ending = packed ? ".gz" : ""
        try folder.write(packed ? ImageFixtures.gzip(images) : images, to: "\(prefix)-images-idx3-ubyte\(ending)")
        try folder.write(packed ? ImageFixtures.gzip(labels) : labels, to: "\(prefix)-labels-idx1-ubyte\(ending)")
    }

    @Test(arguments: [false, true]) func readsBothParts(packed: Bool) throws {
        try write("train", packed: packed)
        try write("t10k", count: 4, packed: packed)
        let source = try DataSource.open(folder.path)
        #expect(source.form == .idx && source.training.count == 12 && source.heldOut.count == 4)
        #expect((source.training.channels, source.training.height, source.training.width) == (1, 3, 2))
        #expect(source.training.classNames == ["0", "1", "2"])
        #expect(source.training.index.labels == (0..<12).map { Int32($0 % 3) })
        #expect(try source.training.dataset().images == pixels.map { Float($0) / 127.5 - 1 })
        #expect(try source.heldOut.dataset().images == pixels[..<24].map { Float($0) / 127.5 - 1 })
    }

    @Test func readsOneFileAndHoldsOut() throws {
        try write("train")
        let source = try DataSource.open(folder.file("train-images-idx3-ubyte"))
        // Of each class's four images none is the fifth.
        #expect(source.training.count == 12 && source.heldOut.count == 0)
        var options = DataSource.Options()
        options.holdOut = 2
        let halves = try DataSource.open(folder.path, options)
        #expect(halves.training.count == 6 && halves.heldOut.count == 6)
        #expect(halves.heldOut.index.labels == [0, 1, 2, 0, 1, 2])
        #expect(try ImageFixtures.values(halves.heldOut, 0) == pixels[18..<24].map { Float($0) / 127.5 - 1 })
        options.holdOut = 0
        #expect(try DataSource.open(folder.path, options).heldOut.count == 0)
    }

    @Test func resizesAndColours() throws {
        try write("train")
        var options = DataSource.Options()
        (options.channels, options.height, options.width) = (3, 4, 4)
        let set = try DataSource.open(folder.path, options).training
        #expect((set.channels, set.height, set.width, set.valueCount) == (3, 4, 4, 48))
        let values = try ImageFixtures.values(set, 2)
        #expect(values[..<16] == values[16..<32] && values.allSatisfy { $0 >= -1 && $0 <= 1 })
        options.channels = 2
        #expect(errorText { _ = try DataSource.open(folder.path, options) }?.contains("1 or 3 channels, not 2") == true)
    }

    @Test("labels 1 to 26, as EMNIST's letters have them: the class without images is dropped, with a line") func letters() throws {
        let labels = (0..<104).map { UInt8(1 + $0 % 26) }
        let pixels = (0..<104 * 4).map { UInt8($0 % 251) }
        for (part, labels) in [("train", labels), ("test", labels.map { $0 == 26 ? 0 : $0 })] {
            try folder.write(ImageFixtures.gzip(ImageFixtures.idx([104, 2, 2], pixels)), to: "emnist-letters-\(part)-images-idx3-ubyte.gz")
            try folder.write(ImageFixtures.gzip(ImageFixtures.idx([104], labels)), to: "emnist-letters-\(part)-labels-idx1-ubyte.gz")
        }
        let source = try DataSource.open(folder.path)
        #expect(source.training.classNames == (1...26).map(String.init) && source.training.count == 104)
        #expect(source.training.index.labels == labels.map { Int32($0) - 1 })
        // Four images of the held-out part have the class that training does not know; the others keep their pixels.
        #expect(source.heldOut.count == 100 && source.heldOut.classNames == source.training.classNames)
        #expect(source.heldOut.index.labels[25] == 0)
        #expect(try ImageFixtures.values(source.heldOut, 25) == pixels[104..<108].map { Float($0) / 127.5 - 1 })
        #expect(source.notes.count == 1)
        #expect(source.notes[0].hasPrefix("1 of 27 classes left out, as there are no images of them: 0; 4 images that are held out"))
        var configuration = Configuration()
        configuration.data.adopt(source)
        #expect(configuration.data.classes == 26 && configuration.data.classNames == source.training.classNames)
        #expect(try DataSource.open(configuration, path: folder.path).training.classCount == 26)
    }

    @Test("a class that only the held-out part has is left out, with a line, be its number the largest") func heldOutClass() throws {
        for (part, labels) in [("train", [UInt8](repeating: 0, count: 8) + [UInt8](repeating: 1, count: 8)), ("t10k", [0, 1, 2, 2])] {
            try folder.write(ImageFixtures.idx([labels.count, 2, 2], (0..<(4 * labels.count)).map { UInt8($0) }), to: "\(part)-images-idx3-ubyte")
            try folder.write(ImageFixtures.idx([labels.count], labels), to: "\(part)-labels-idx1-ubyte")
        }
        let source = try DataSource.open(folder.path)
        #expect(source.training.classNames == ["0", "1"] && source.heldOut.index.labels == [0, 1])
        #expect(source.notes.contains { $0.hasPrefix("1 of 3 classes left out") && $0.contains("2 images that are held out") }, "\(source.notes)")
    }

    @Test func tellsOfBytesBehindTheData() throws {
        try write("train", packed: true)
        let images = try Files.read(folder.file("train-images-idx3-ubyte.gz"))
        try folder.write(images + Array("garbage".utf8), to: "train-images-idx3-ubyte.gz")
        #expect(try DataSource.open(folder.path).notes.map { $0.contains("7 bytes behind the gzip data") } == [true])
    }

    @Test func inflatesWhatGzipPacked() throws {
        // 2000 labels 0, 1, ..., 9, 0, ... as gzip -9 packs them.
        let text = "H4sIAAAAAAACA2Ng4GBkYGC/wMDIxMzCysbOwTnKGmWNskZZo6xR1ihrqLIAvRyO2NgHAAA="
        let packed = [UInt8](try #require(Data(base64Encoded: text)))
        let path = try folder.write(packed, to: "labels.gz")
        #expect(try IDX.labels(path) == (0..<2000).map { Int32($0 % 10) })
        for length in 0..<packed.count {
            try folder.write(Array(packed[..<length]), to: "cut.gz")
            #expect(throws: DataError.self, "cut at \(length)") { _ = try IDX.labels(folder.file("cut.gz")) }
        }
        // Two members, as gzip makes of two files.
        let whole = ImageFixtures.idx([2000], (0..<2000).map { UInt8($0 % 10) })
        try folder.write(ImageFixtures.gzip(Array(whole[..<1234])) + ImageFixtures.gzip(Array(whole[1234...])), to: "two.gz")
        #expect(try IDX.labels(folder.file("two.gz")) == (0..<2000).map { Int32($0 % 10) })
        var damaged = packed
        damaged[packed.count - 6] ^= 1
        try folder.write(damaged, to: "sum.gz")
        #expect(errorText { _ = try IDX.labels(folder.file("sum.gz")) }?.contains("damaged gzip data") == true)
    }

    @Test func refusesEveryTruncationAndSurvivesFlips() throws {
        let images = ImageFixtures.idx([12, 3, 2], pixels)
        for bytes in [images, ImageFixtures.gzip(images)] {
            for length in 0..<bytes.count {
                try folder.write(Array(bytes[..<length]), to: "x")
                #expect(throws: DataError.self, "cut at \(length)") { _ = try IDX.images(folder.file("x")) }
            }
            if bytes == images {
                try folder.write(bytes + [0], to: "x")
                #expect(throws: DataError.self) { _ = try IDX.images(folder.file("x")) }
            }
            for i in 0..<bytes.count {
                for bit in 0..<8 {
                    var damaged = bytes
                    damaged[i] ^= 1 << UInt8(bit)
                    try folder.write(damaged, to: "x")
                    do {
                        let read = try IDX.images(folder.file("x"))
                        #expect(read.count * read.height * read.width == 72)
                    } catch {
                        #expect(error is DataError)
                    }
                }
            }
        }
    }

    @Test(arguments: [
        [0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], [0xFFFF_FFFF, 28, 28], [1, 0, 28], [1, 0x7FFF_FFFF, 1], [1 << 31, 1, 1],
    ])
    func absurdSizesTakeNoMemory(_ sizes: [Int]) throws {
        for packed in [false, true] {
            let bytes = ImageFixtures.idx(sizes, [1, 2, 3])
            let path = try folder.write(packed ? ImageFixtures.gzip(bytes) : bytes, to: "x")
            #expect(errorText { _ = try IDX.images(path) }?.contains("images of") == true)
        }
    }

    @Test func namesWhatDoesNotFit() throws {
        func error() -> String { errorText { _ = try DataSource.open(folder.path) } ?? "" }
        try write("train")
        try folder.write(ImageFixtures.idx([11], Array(labels[..<11])), to: "train-labels-idx1-ubyte")
        #expect(error().contains("11 labels for the 12 images"))
        try folder.write(ImageFixtures.idx([12, 3, 2], pixels), to: "train-labels-idx1-ubyte")
        #expect(error().contains("no IDX file of labels"))
        try Files.removeTree(folder.file("train-labels-idx1-ubyte"))
        #expect(error().contains("no labels beside it"))
        try write("train")
        try folder.write(ImageFixtures.idx([8, 3, 3], pixels), to: "t10k-images-idx3-ubyte")
        try folder.write(ImageFixtures.idx([8], Array(labels[..<8])), to: "t10k-labels-idx1-ubyte")
        #expect(error().contains("images of 3x3, those for training are 3x2"))
        try folder.write("", to: "other-images-idx3-ubyte")
        #expect(error().contains("both hold images for training"))
    }
}
