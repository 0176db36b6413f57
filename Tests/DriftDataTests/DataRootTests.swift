import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats

/// What people name with --data, and what they are told.
@Suite struct DataRootTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func error(_ name: String = "") -> String { errorText { _ = try DataSource.open(folder.file(name)) } ?? "" }

    private func writeDigits(_ inner: String) throws {
        try Files.makeFolder(folder.file(inner))
        try folder.write(ImageFixtures.idx([4, 2, 2], [UInt8](repeating: 7, count: 16)), to: inner + "/train-images-idx3-ubyte")
        try folder.write(ImageFixtures.idx([4], [0, 1, 0, 1]), to: inner + "/train-labels-idx1-ubyte")
    }

    @Test func findsWhatTorchvisionMade() throws {
        try writeDigits("MNIST/raw")
        let source = try DataSource.open(folder.path)
        #expect(source.form == .idx && source.training.count == 4)
        #expect(source.notes == ["the data are those of \(folder.path)/MNIST/raw"])
        #expect(try DataSource.open(folder.file("MNIST")).training.count == 4)
        #expect(try DataSource.open(folder.file("MNIST/raw")).notes.isEmpty)
        try writeDigits("KMNIST/raw")
        #expect(error().contains("name one of them, like \(folder.path)/MNIST/raw"))
    }

    @Test func namesPickledBatches() throws {
        try Files.makeFolder(folder.file("cifar-10-batches-py"))
        for name in ["data_batch_1", "test_batch"] { try folder.write([0x80, 2, 0x7D, 0x2E], to: "cifar-10-batches-py/" + name) }
        #expect(error().contains("CIFAR's batches for Python") && error().contains("cifar-10-binary.tar.gz"))
    }

    @Test func namesArchivesAndOtherFiles() throws {
        var tar = [UInt8](repeating: 0, count: 1024)
        tar.replaceSubrange(257..<262, with: Array("ustar".utf8))
        let array = Array("PK\u{3}\u{4}".utf8)
        let cases: [(String, [UInt8], String)] = [
            ("a.tar", tar, "a tar archive; unpack it"), ("a.tar.gz", ImageFixtures.gzip(tar), "a tar archive; unpack it"),
            ("a.zip", array + [UInt8](repeating: 0, count: 60), "a zip archive; unpack it"),
            ("a.parquet", Array("PAR1 and more".utf8), "a parquet file; write its pictures"),
            ("a.h5", [0x89] + Array("HDF\r\n".utf8), "an HDF5 file"), ("a.npy", NPY.magic + [1, 0], "an array of numpy"),
            ("a.xz", [0xFD] + Array("7zXZ\0".utf8), "an xz file; unpack it"),
            ("a.7z", Array("7z".utf8) + [0xBC, 0xAF, 0x27, 0x1C], "a 7z archive; unpack it"),
            ("a.png", PNG.signature, "one picture; name a folder"), ("a.txt", Array("Entry not found".utf8), "a text file (\"Entry not found\")"),
            ("train", Self.pointer, "a pointer of git-lfs"), ("a.idx", [UInt8](1...20), "no IDX file of images"),
        ]
        for (name, bytes, text) in cases {
            try folder.write(bytes, to: name)
            #expect(error(name).contains("\(name): ") && error(name).contains(text), "\(name): \(error(name))")
        }
    }

    @Test func namesPointersInPlaceOfData() throws {
        for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] { try folder.write(Self.pointer, to: name) }
        #expect(error().contains("train-images-idx3-ubyte: a pointer of git-lfs") && error().contains("git lfs pull"))
    }

    private static let pointer = Array("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 9912422\n".utf8)

    @Test func namesTheArraysOfAnArchive() throws {
        // numpy.savez writes stored entries called x.npy and y.npy; the directory alone is looked at.
        func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
        let header: [UInt8] = Array("PK\u{3}\u{4}".utf8) + zeros(26)
        var directory: [UInt8] = []
        for name in ["x.npy", "y.npy"] {
            directory += Array("PK\u{1}\u{2}".utf8) + zeros(24)
            directory += [UInt8(name.utf8.count), 0] + zeros(16) + Array(name.utf8)
        }
        var end: [UInt8] = Array("PK\u{5}\u{6}".utf8) + zeros(4)
        end += [2, 0, 2, 0, UInt8(directory.count), 0, 0, 0, UInt8(header.count), 0, 0, 0, 0, 0]
        try folder.write(header + directory + end, to: "d.npz")
        #expect(error("d.npz").contains("an .npz archive of the arrays x, y; write its pictures"), "\(error("d.npz"))")
    }

    @Test func namesWhatAFolderHolds() throws {
        try Files.makeFolder(folder.file("packed"))
        try folder.write("x", to: "packed/cifar-10-binary.tar.gz")
        #expect(error("packed").contains("it holds cifar-10-binary.tar.gz, which is packed; unpack it"))
        try Files.makeFolder(folder.file("flat"))
        for n in 0..<3 { try folder.write("x", to: "flat/\(n).PNG") }
        #expect(error("flat").contains("its 3 pictures lie in no folder of a class"))
    }
}
