import TestSupport
import Testing

@testable import DriftData

@Suite struct CIFARTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private static let planes = 3 * 32 * 32

    /// Records of `count` images; image n of file f has the label n mod 10 and pixels that tell them apart.
    private func records(_ count: Int, file: Int, fine: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        for n in 0..<count {
            if fine { bytes.append(UInt8(n % 20)) }
            bytes.append(UInt8(n % (fine ? 100 : 10)))
            for i in 0..<Self.planes {
                let value: Int = i / 1024 * 50 + i % 32 + n + file * 7
                bytes.append(UInt8(truncatingIfNeeded: value))
            }
        }
        return bytes
    }

    private func writeTen() throws {
        for file in 1...11 { try folder.write(records(10, file: file), to: "data_batch_\(file).bin") }
        try folder.write(records(10, file: 99), to: "test_batch.bin")
        try folder.write("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n", to: "batches.meta.txt")
    }

    @Test func readsTen() throws {
        try writeTen()
        let source = try DataSource.open(folder.path)
        #expect(source.form == .cifar && source.training.count == 110 && source.heldOut.count == 10)
        #expect((source.training.channels, source.training.height, source.training.width) == (3, 32, 32))
        #expect(source.training.classNames[3] == "cat")
        // Batch 2 follows batch 1, not batch 10 and 11: image 15 is number 5 of file 2.
        let bytes = records(10, file: 2)[(5 * 3073 + 1)..<(6 * 3073)]
        #expect(try ImageFixtures.values(source.training, 15) == bytes.map { Float($0) / 127.5 - 1 })
        #expect(source.training.index.labels[15] == 5)
    }

    @Test func readsHundredWithFineLabels() throws {
        try folder.write(records(200, file: 1, fine: true), to: "train.bin")
        try folder.write((0..<100).map { "name\($0)" }.joined(separator: "\n"), to: "fine_label_names.txt")
        let source = try DataSource.open(folder.path)
        #expect(source.training.classCount == 100 && source.training.count + source.heldOut.count == 200)
        #expect(source.training.index.labels[150] == 50 && source.training.classNames[50] == "name50")
    }

    @Test func readsHundredWithoutNames() throws {
        try folder.write(records(200, file: 1, fine: true), to: "train.bin")
        let source = try DataSource.open(folder.path)
        #expect(source.form == .cifar && source.training.classCount == 100 && source.training.classNames[7] == "7")
        #expect(source.training.index.labels[150] == 50)
    }

    @Test func flipsOnePlaneAtATime() throws {
        try writeTen()
        let set = try DataSource.open(folder.path).training
        let plain = try ImageFixtures.values(set, 0)
        let flipped = try ImageFixtures.values(set, 0, ImageVariant(isFlipped: true))
        #expect(plain != flipped)
        for i in 0..<Self.planes { #expect(flipped[i] == plain[i / 32 * 32 + 31 - i % 32]) }
    }

    @Test func namesWhatIsDamaged() throws {
        try writeTen()
        func error() -> String { errorText { _ = try DataSource.open(folder.path) } ?? "" }
        let batch = records(10, file: 3)
        for length in [0, 1, 3072, 3074, batch.count - 1] {
            try folder.write(Array(batch[..<length]), to: "data_batch_3.bin")
            #expect(error().contains("data_batch_3.bin: \(length) bytes: no whole number of records of 3073"))
        }
        var wrong = batch
        wrong[3073 * 4] = 10
        try folder.write(wrong, to: "data_batch_3.bin")
        #expect(error().contains("record 4 has the label 10"))
        try folder.write(batch, to: "data_batch_3.bin")
        try folder.write("one\ntwo\n", to: "batches.meta.txt")
        #expect(error().contains("2 names for 10 classes"))
        try folder.write([0xFF, 0xFE, 0x0A], to: "batches.meta.txt")
        #expect(error().contains("1 names for 10 classes"))
    }
}
