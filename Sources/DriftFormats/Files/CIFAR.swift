/// The binary form of CIFAR-10 and CIFAR-100: records of labels and 3 x 32 x 32 bytes.
package enum CIFAR {
    package static let side = 32
    package static let channels = 3

    /// The files of one of the two sets.
    package struct Kind {
        package let training: [String]
        package let heldOut: [String]
        package let names: String
        /// Label bytes in front of an image; the last is the class.
        let labelBytes: Int
        package let classes: Int
    }

    /// Bytes of a record of CIFAR-100: two labels and the image.
    private static let hundredBytes = 2 + channels * side * side

    /// What a folder holds; nil where there are no such files.
    package static func kind(of folder: String) throws -> Kind? {
        let names = try Files.names(in: folder)
        let batches = names.filter { $0.hasPrefix("data_batch_") && $0.hasSuffix(".bin") }
            .sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
        if !batches.isEmpty {
            return Kind(
                training: batches, heldOut: names.filter { $0 == "test_batch.bin" }, names: "batches.meta.txt",
                labelBytes: 1, classes: 10)
        }
        let isHundred = try names.contains("train.bin")
            && (names.contains("fine_label_names.txt") || InputFile(Files.join(folder, "train.bin")).byteCount % hundredBytes == 0)
        if isHundred {
            return Kind(
                training: ["train.bin"], heldOut: names.filter { $0 == "test.bin" }, names: "fine_label_names.txt",
                labelBytes: 2, classes: 100)
        }
        let isPickled = names.contains("data_batch_1") || (names.contains("train") && names.contains("meta"))
        if isPickled, !Files.isFolder(Files.join(folder, names.contains("meta") ? "train" : "data_batch_1")) {
            throw DataError("CIFAR's batches for Python, which are not read", at: folder,
                            fix: "take the binary version of the same site: cifar-10-binary.tar.gz or cifar-100-binary.tar.gz")
        }
        return nil
    }

    /// The images of the files, one after the other.
    package static func read(_ files: [String], of kind: Kind, in folder: String) throws -> (bytes: [UInt8], labels: [Int32]) {
        var part = (bytes: [UInt8](), labels: [Int32]())
        let image = channels * side * side
        for name in files {
            let path = Files.join(folder, name)
            let bytes = try Files.read(path)
            let record = kind.labelBytes + image
            guard !bytes.isEmpty, bytes.count % record == 0 else {
                throw DataError("\(bytes.count) bytes: no whole number of records of \(record)", at: path,
                                fix: "copy or download the file again")
            }
            for start in stride(from: 0, to: bytes.count, by: record) {
                let label = Int32(bytes[start + kind.labelBytes - 1])
                guard label < kind.classes else {
                    throw DataError("record \(start / record) has the label \(label), the classes are 0..<\(kind.classes)",
                                    at: path, fix: "take another copy of the file")
                }
                part.labels.append(label)
                part.bytes += bytes[(start + kind.labelBytes)..<(start + record)]
            }
        }
        return part
    }

    /// The classes' names, one a line; numbers where there is no such file.
    package static func classNames(of kind: Kind, in folder: String) throws -> [String] {
        let path = Files.join(folder, kind.names)
        guard Files.exists(path) else { return (0..<kind.classes).map(String.init) }
        let lines = String(decoding: try Files.read(path), as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
        guard lines.count == kind.classes else {
            throw DataError("\(lines.count) names for \(kind.classes) classes", at: path, fix: "give one name a line, or remove it")
        }
        return lines
    }
}
