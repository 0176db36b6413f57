/// IDX files, as MNIST and Fashion-MNIST come: unsigned bytes, big-endian sizes; gzip files are inflated.
package enum IDX {
    /// Images [N, H, W] of a file with the magic number 0x00000803.
    package static func images(_ path: String) throws -> (bytes: [UInt8], count: Int, height: Int, width: Int, warning: String?) {
        let file = try GzipFile(path)
        let sizes = try header(file, dimensions: 3, what: "images")
        guard let count = NamedTensor.elementCount(of: sizes), sizes[1] > 0, sizes[2] > 0, sizes[1] <= 4096, sizes[2] <= 4096,
              count <= file.mostBytes
        else {
            throw DataError("\(sizes[0]) images of \(sizes[1]) x \(sizes[2]) in a file that holds \(file.mostBytes) bytes at most",
                            at: path, fix: "take another copy of the file")
        }
        let bytes = try file.bytes(count)
        try file.end()
        return (bytes, sizes[0], sizes[1], sizes[2], file.warning)
    }

    /// Labels [N] of a file with the magic number 0x00000801.
    package static func labels(_ path: String) throws -> [Int32] {
        let file = try GzipFile(path)
        let sizes = try header(file, dimensions: 1, what: "labels")
        let bytes = try file.bytes(sizes[0])
        try file.end()
        return bytes.map(Int32.init)
    }

    private static func header(_ file: GzipFile, dimensions: Int, what: String) throws -> [Int] {
        let bytes = try file.bytes(4 + 4 * dimensions)
        guard bytes[0] == 0, bytes[1] == 0, bytes[2] == 8, bytes[3] == dimensions else {
            if let error = FileSignature.missing(try GzipFile(file.path).beginning(FileSignature.headCount), at: file.path) { throw error }
            let magic = bytes[..<4].map { String($0, radix: 16) }.joined(separator: " ")
            throw DataError("starts with \(magic): no IDX file of \(what) in bytes (0 0 8 \(dimensions))", at: file.path,
                            fix: "name an IDX file of \(what)")
        }
        return (0..<dimensions).map { d in bytes[(4 + 4 * d)..<(8 + 4 * d)].reduce(0) { $0 << 8 | Int($1) } }
    }

    /// The file of images in a folder for training and, where there is one, for what is held out; nil where no name is
    /// that of an IDX file.
    package static func files(in folder: String) throws -> (training: String, heldOut: String?)? {
        let names = try Files.names(in: folder).filter { isImages($0) }
        func one(_ part: String, _ matching: [String]) throws -> String? {
            guard matching.count <= 1 else {
                throw DataError("\(matching[0]) and \(matching[1]) both hold images for \(part)", at: folder,
                                fix: "name one images file")
            }
            return matching.first.map { Files.join(folder, $0) }
        }
        if names.isEmpty { return nil }
        let isHeldOut = { (name: String) in name.contains("t10k") || name.contains("test") }
        let heldOut = try one("testing", names.filter(isHeldOut))
        guard let training = try one("training", names.filter { !isHeldOut($0) }) else {
            throw DataError("no images file for training", at: folder, fix: "put train-images-idx3-ubyte or its .gz there")
        }
        return (training, heldOut)
    }

    /// The labels' file beside a file of images: the name with `labels` and `idx1`.
    package static func labelsPath(for images: String) throws -> String {
        let name = Files.name(of: images)
            .replacing("images", with: "labels", maxReplacements: 1).replacing("idx3", with: "idx1", maxReplacements: 1)
        let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
        let folder = Files.parent(of: images)
        for candidate in [name, plain, plain + ".gz"] where candidate != Files.name(of: images) {
            let path = Files.join(folder, candidate)
            if Files.exists(path) { return path }
        }
        throw DataError("no labels beside it (\(plain) or \(plain).gz)", at: images, fix: "put the labels' IDX file there")
    }

    /// Whether a file's name is that of images in the IDX form.
    static func isImages(_ name: String) -> Bool {
        name.contains("images") && name.contains("idx3-ubyte")
    }
}
