import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite struct ImageFolderTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func options(_ size: Int = 8) -> DataSource.Options {
        var options = DataSource.Options()
        (options.height, options.width) = (size, size)
        return options
    }

    private func error() -> String { errorText { _ = try DataSource.open(folder.path, options()) } ?? "" }

    @Test func readsClassesInTheOrderOfTheirBytes() throws {
        // Byte order puts capitals first and é (C3 A9) behind z.
        try ImageFixtures.writeFolder(folder.file("train"), classes: ["b", "Z", "é", "a"], perClass: 12)
        try ImageFixtures.writeFolder(folder.file("val"), classes: ["é", "b"], perClass: 2)
        try folder.write("no class", to: "train/readme.txt")
        try folder.write("no picture", to: "train/a/notes.txt")
        try folder.write("hidden", to: "train/a/.x.png")
        let source = try DataSource.open(folder.path, options())
        #expect(source.form == .folder && source.training.classNames == ["Z", "a", "b", "é"])
        #expect(source.training.index.members.map(\.count) == [12, 12, 12, 12])
        #expect(source.heldOut.index.members.map(\.count) == [0, 0, 2, 2] && source.heldOut.classNames == source.training.classNames)
        // Names in the order of their bytes: 0, 1, 10, 11, 2, ...
        let picture = try Picture.read(folder.file("train/a/10.png"))
        let expected = try ImageTransform(channels: 3, height: 8, width: 8).cropped(picture).image
        #expect(try ImageFixtures.values(source.training, 12 + 2) == expected)
    }

    @Test func readsFoldersWithoutParts() throws {
        try ImageFixtures.writeFolder(folder.path, classes: ["x", "y"], perClass: 10, channels: 1)
        let source = try DataSource.open(folder.path, options())
        #expect(source.training.count == 16 && source.heldOut.count == 4)
        #expect(source.training.channels == 1)
        var coloured = options()
        coloured.channels = 3
        #expect(try DataSource.open(folder.path, coloured).training.valueCount == 3 * 64)
    }

    @Test func mixesKindsOfFiles() throws {
        try Files.makeFolder(folder.file("c"))
        for name in ["rgb.jpg", "gray.jpg", "cmyk.jpg", "palette.png", "alpha.png"] {
            // The ending does not decide, ImageNet has PNGs named .JPEG.
            let target = name.hasPrefix("alpha") ? "alpha.JPEG" : name
            try folder.write(Files.read(ImageFixtures.path(name)), to: "c/" + target)
        }
        let set = try DataSource.open(folder.path, options()).training
        #expect(set.count + 1 == 5 && set.channels == 3)
        for i in 0..<set.count { #expect(try ImageFixtures.values(set, i).allSatisfy { abs($0) <= 1 }) }
        #expect(set.broken.count == 0)
    }

    @Test func passesOverBrokenPictures() throws {
        try ImageFixtures.writeFolder(folder.file("train"), classes: ["a", "b"], perClass: 4)
        try ImageFixtures.writeFolder(folder.file("test"), classes: ["a", "b"], perClass: 1)
        try folder.write("broken", to: "train/a/3.png")
        try folder.write(Array(Files.read(folder.file("train/b/0.png")).dropLast(40)), to: "train/b/0.png")
        let set = try DataSource.open(folder.path, options()).training
        // The next of the class stands in, the first after the last.
        for _ in 0..<2 { #expect(try ImageFixtures.values(set, 3) == ImageFixtures.values(set, 0)) }
        #expect(try ImageFixtures.values(set, 4) == ImageFixtures.values(set, 5))
        #expect(set.broken.count == 2)
        let reasons = set.broken.takeReasons()
        #expect(reasons.count == 2 && reasons[0].contains("train/a/3.png") && reasons[1].contains("train/b/0.png"))
        #expect(set.broken.takeReasons().isEmpty)
        var told: [String] = []
        let data = try DataSource.open(folder.path, options()).training.dataset { told.append($0) }
        #expect(data.labels == [0, 0, 0, 1, 1, 1] && told.count == 2)
        #expect(try Array(data.gather([3])) == ImageFixtures.values(set, 5))
        for n in 0..<4 { try folder.write("broken", to: "train/a/\(n).png") }
        let none = try DataSource.open(folder.path, options()).training
        #expect(errorText { _ = try ImageFixtures.values(none, 1) }?.contains("class a: none of its 4 images can be read") == true)
        #expect(try ImageFixtures.values(none, 6).count == 192)
    }

    @Test func takesAPartOfEachClass() throws {
        try ImageFixtures.writeFolder(folder.file("train"), classes: ["a", "b"], perClass: 9)
        try ImageFixtures.writeFolder(folder.file("test"), classes: ["a"], perClass: 1)
        let set = try DataSource.open(folder.path, options()).training
        let part = try set.dataset(perClass: 3)
        #expect(part.labels == [0, 0, 0, 1, 1, 1])
        #expect(try part.gather([1]) == ImageFixtures.values(set, 3))
    }

    @Test func namesWhatDoesNotFit() throws {
        #expect(error().contains("neither folders of images"))
        try ImageFixtures.writeFolder(folder.path, classes: ["a", "b"], perClass: 5)
        #expect(errorText { _ = try DataSource.open(folder.path) }?.contains("--size") == true)
        #expect(errorText { _ = try DataSource.open(folder.path, options(100_000)) }?.contains("100000x100000") == true)
        try Files.makeFolder(folder.file("empty"))
        #expect(error().contains("empty: no .png, .jpg, .jpeg, .webp or .bmp file"))
        try Files.removeTree(folder.file("empty"))
        try Files.makeFolder(folder.file("train"))
        #expect(error().contains("train: no pictures"))
        try ImageFixtures.writeFolder(folder.file("train"), classes: ["a"], perClass: 2)
        try ImageFixtures.writeFolder(folder.file("test"), classes: ["other"], perClass: 2)
        #expect(error().contains("class other is not among the 1 of the training data"))
        #expect(errorText { _ = try DataSource.open(folder.file("nothing")) }?.contains("no such file or folder") == true)
        #expect(errorText { _ = try DataSource.open("/dev/null") }?.contains("not a regular file") == true)
    }

    @Test("a class called train is one of several; a part of that name says what lies beside it") func classCalledTrain() throws {
        try ImageFixtures.writeFolder(folder.path, classes: ["bus", "car", "train"], perClass: 5)
        let source = try DataSource.open(folder.path, options())
        #expect(source.training.classNames == ["bus", "car", "train"] && source.training.count + source.heldOut.count == 15)
        try ImageFixtures.writeFolder(folder.file("train"), classes: ["diesel", "steam"], perClass: 5)
        let part = try DataSource.open(folder.path, options())
        #expect(part.training.classNames == ["diesel", "steam"])
        #expect(part.notes.contains("2 folders beside train not read: bus, car"), "\(part.notes)")
    }

    @Test("one picture in colour makes the set coloured, wherever it lies") func decidesChannels() throws {
        try ImageFixtures.writeFolder(folder.path, classes: ["a", "b"], perClass: 4, channels: 1)
        var source = try DataSource.open(folder.path, options())
        #expect(source.training.channels == 1)
        #expect(source.notes == ["1 channel, as all 8 pictures are gray; --channels 3 makes them RGB"])
        try PNG.write(ImageFixtures.noise(9, 9, 3, seed: 5), to: folder.file("b/3.png"))
        source = try DataSource.open(folder.path, options())
        #expect(source.training.channels == 3)
        #expect(source.notes == ["3 channels, as \(folder.path)/b/3.png is in colour; --channels 1 makes all pictures gray"])
        var gray = options()
        gray.channels = 1
        source = try DataSource.open(folder.path, gray)
        #expect(source.training.channels == 1 && source.notes.isEmpty)
    }

    @Test("folders within a class's folder are read, in torchvision's order") func readsFoldersInFolders() throws {
        // os.walk's paths sorted: "", "x", "x-y", "x/z".
        let paths = ["p.png", "q.png", "x/c.png", "x/d.png", "x-y/a.png", "x/z/b.png"]
        for (n, path) in paths.enumerated() {
            try Files.makeFolder(Files.parent(of: folder.file("a/" + path)))
            try PNG.write(ImageFixtures.noise(8, 8, 3, seed: UInt64(n + 1)), to: folder.file("a/" + path))
        }
        try PNG.write(ImageFixtures.noise(8, 8, 3, seed: 99), to: folder.file("a/x/._c.png"))
        try FileManager.default.createSymbolicLink(atPath: folder.file("a/x/loop"), withDestinationPath: folder.file("a"))
        try FileManager.default.createSymbolicLink(atPath: folder.file("b"), withDestinationPath: folder.file("a/x-y"))
        var all = options()
        all.holdOut = 0
        let set = try DataSource.open(folder.path, all).training
        #expect(set.index.labels == [0, 0, 0, 0, 0, 0, 1])
        let order = ["p.png", "q.png", "x/c.png", "x/d.png", "x-y/a.png", "x/z/b.png", "x-y/a.png"]
        for (row, path) in order.enumerated() {
            #expect(try ImageFixtures.values(set, row) == Picture.read(folder.file("a/" + path)).image, "\(path)")
        }
    }

    @Test("WebP and bitmaps are read, what is left out is counted") func countsWhatIsLeftOut() throws {
        for (name, file) in [("a/1.webp", "lossless.webp"), ("a/2.WEBP", "lossy.webp"), ("b/1.bmp", "rgb24.bmp"), ("b/2.jpg", "rgb.jpg")] {
            try Files.makeFolder(Files.parent(of: folder.file(name)))
            try folder.write(Files.read(ImageFixtures.path(file)), to: name)
        }
        var all = options()
        all.holdOut = 0
        var source = try DataSource.open(folder.path, all)
        #expect(source.training.count == 4 && source.notes.count == 1)
        #expect(try source.training.dataset().count == 4)
        for name in ["a/x.tiff", "a/y.TIFF", "b/z.tiff", "b/1.gif", "a/README", "b/.hidden"] { try folder.write("x", to: name) }
        source = try DataSource.open(folder.path, all)
        #expect(source.training.count == 4)
        #expect(source.notes.last == "5 files left out: 3 .tiff, 1 without ending, 1 .gif; pictures are .png, .jpg, .jpeg, .webp or .bmp")
        try Files.makeFolder(folder.file("c"))
        for n in 0..<3 { try folder.write("x", to: "c/\(n).heic") }
        #expect(error().contains("c: no .png, .jpg, .jpeg, .webp or .bmp file (3 .heic)"))
    }

    @Test("a run goes on with the classes that its labels stand for") func comparesNames() throws {
        try ImageFixtures.writeFolder(folder.file("run"), classes: ["1", "2", "10"], perClass: 5)
        var configuration = Configuration()
        configuration.data.adopt(try DataSource.open(folder.file("run"), options()))
        #expect(configuration.data.classNames == ["1", "10", "2"])
        (configuration.data.channels, configuration.data.height, configuration.data.width) = (3, 8, 8)
        #expect(try DataSource.open(configuration, path: folder.file("run")).training.classCount == 3)
        try ImageFixtures.writeFolder(folder.file("less"), classes: ["1", "2"], perClass: 5)
        #expect(errorText { _ = try DataSource.open(configuration, path: folder.file("less")) }?
            .contains("label 1 is the class 2, in the run it is 10") == true)
        // Runs that kept no names take what they took.
        configuration.data.classNames = []
        #expect(try DataSource.open(configuration, path: folder.file("less")).training.classCount == 2)
    }
}
