/// A file of `torch.save` open for reading: a zip of a pickle and of stored storages (PyTorch 1.6 and later), or the form
/// before.
///
/// Tensors are named by the path of keys to them, joined by "/": `model/encoder_norm.weight`. Everything the pickle says is
/// checked against the file before a value is read; nothing in it is executed (`PickleMachine`).
public final class PyTorchFile: TensorSource {
    public let metadata: [String: String]
    public let headers: [String: TensorHeader]
    private let file: InputFile
    private let pickle: Pickle
    private let numbers: [String: Int]
    /// Bytes and checksum of each storage.
    private let records: [Record]

    public var path: String { file.path }

    /// Where a storage lies in the file.
    struct Record: Sendable {
        let range: Range<Int>
        /// nil: the form has none.
        let checksum: UInt32?
    }

    /// Bytes of a pickle this program reads; those of checkpoints with a thousand tensors have some 100 KB.
    static let pickleLimit = 64 << 20

    public convenience init(_ path: String) throws {
        try self.init(InputFile(path))
    }

    init(_ file: InputFile) throws {
        let contents = try Self.isLegacy(file) ? LegacyPyTorchArchive.read(file) : Self.readArchive(file)
        self.file = file
        pickle = contents.pickle
        records = contents.records
        for (storage, record) in zip(pickle.storages, records) {
            let (bytes, overflow) = storage.count.multipliedReportingOverflow(by: storage.type.size)
            guard !overflow, bytes == record.range.count else {
                let wanted = "\(storage.count) elements of \(storage.type.rawValue)"
                throw Self.damaged(file, "storage '\(storage.key)' has \(record.range.count) bytes for \(wanted)")
            }
        }
        let outline: PickleOutline
        do {
            outline = try PickleOutline(pickle)
        } catch {
            throw Self.damaged(file, error.what)
        }
        numbers = outline.tensors
        metadata = outline.scalars
        headers = outline.tensors.mapValues { [pickle] number in
            let tensor = pickle.tensors[number]
            return TensorHeader(type: pickle.storages[tensor.storage].type, shape: tensor.shape, count: tensor.count)
        }
    }

    /// Whether the file begins as `torch.save` writes it.
    static func isPyTorch(_ file: InputFile) throws -> Bool {
        try hasPrefix(file, ZipArchive.magic) || isLegacy(file)
    }

    private static func isLegacy(_ file: InputFile) throws -> Bool {
        try hasPrefix(file, LegacyPyTorchArchive.magic)
    }

    private static func hasPrefix(_ file: InputFile, _ magic: [UInt8]) throws -> Bool {
        guard file.byteCount >= magic.count else { return false }
        var start = [UInt8](repeating: 0, count: magic.count)
        try start.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        return start == magic
    }

    static func damaged(_ file: InputFile, _ what: String) -> DataError {
        DataError("\(what): the PyTorch file is damaged", at: file.path, fix: "take another copy or save it again")
    }

    /// What is wrong with the pickle, as an error of the file.
    static func unreadable(_ file: InputFile, _ error: PickleError) -> DataError {
        DataError("its pickle cannot be read: \(error.what) (byte \(error.offset))", at: file.path,
                  fix: "save a dictionary of tensors and plain values: torch.save(model.state_dict(), FILE)")
    }

    // MARK: Zip

    private static func readArchive(_ file: InputFile) throws -> (pickle: Pickle, records: [Record]) {
        let archive = try ZipArchive(file)
        let suffix = "data.pkl"
        let candidates = archive.entries.keys.filter { name in
            name == suffix || (name.hasSuffix("/" + suffix) && name.filter { $0 == "/" }.count == 1)
        }
        guard candidates.count == 1, let name = candidates.first else {
            throw DataError("a zip file without the data.pkl of torch.save", at: file.path, fix: "name a file that torch.save wrote")
        }
        let prefix = String(name.dropLast(suffix.count))
        guard archive.entries[prefix + "constants.pkl"] == nil else {
            throw DataError("a TorchScript archive", at: file.path,
                            fix: "save the weights alone: torch.save(model.state_dict(), FILE)")
        }
        let orderName = prefix + "byteorder"
        if archive.entries[orderName] != nil {
            let order = String(decoding: try archive.bytes(orderName, limit: 16), as: UTF8.self)
            guard order == "little" else {
                throw DataError("its byte order is '\(order)', not little", at: file.path, fix: "save it on a little-endian machine")
            }
        }
        var machine = PickleMachine(try archive.bytes(name, limit: pickleLimit))
        let pickle: Pickle
        do {
            pickle = try machine.run()
        } catch {
            throw unreadable(file, error)
        }
        let records = try pickle.storages.map { storage in
            guard let entry = archive.entries[prefix + "data/" + storage.key] else {
                throw damaged(file, "it has no storage '\(storage.key)'")
            }
            return Record(range: try archive.data(of: entry), checksum: entry.checksum)
        }
        return (pickle, records)
    }

    // MARK: Values

    public func header(_ name: String) throws -> TensorHeader {
        guard let header = headers[name] else {
            throw DataError("no tensor '\(name)' among its \(headers.count)", at: path,
                            fix: "see its tensors with: driftgpu inspect \(path)")
        }
        return header
    }

    public func verify(_ names: [String]) throws {
        for number in Set(try names.map { try tensorDescription($0).storage }).sorted() {
            let record = records[number]
            guard let checksum = record.checksum else { continue }
            guard try file.checksum(of: record.range) == checksum else {
                throw Self.damaged(file, "storage '\(pickle.storages[number].key)' does not have its checksum")
            }
        }
    }

    public func elements<Element: BitwiseCopyable>(_ name: String, of type: Element.Type) throws -> [Element] {
        let tensor = try tensorDescription(name)
        let size = pickle.storages[tensor.storage].type.size
        guard MemoryLayout<Element>.size == size else {
            throw DataError("tensor '\(name)' has elements of \(size) bytes, not \(MemoryLayout<Element>.size)", at: path,
                            fix: "read it by its type")
        }
        if tensor.count == 0 { return [] }
        let start = records[tensor.storage].range.lowerBound + tensor.offset * size
        // Checked when the pickle was read: the span lies within the storage.
        let span = 1 + zip(tensor.shape, tensor.strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        let stored = try [Element](unsafeUninitializedCapacity: span) { buffer, count in
            try file.read(at: start, into: .init(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<(span * size)]))
            count = span
        }
        return tensor.isContiguous ? stored : tensor.gather(stored)
    }

    private func tensorDescription(_ name: String) throws -> Pickle.Tensor {
        _ = try header(name)
        return pickle.tensors[numbers[name] ?? 0]
    }
}

extension Pickle.Tensor {
    /// Whether its elements lie in row-major order without gaps.
    var isContiguous: Bool {
        var expected = 1
        for (size, stride) in zip(shape, strides).reversed() where size != 1 {
            guard stride == expected else { return false }
            expected *= size
        }
        return true
    }

    /// Its elements in row-major order, from those of its span.
    func gather<Element>(_ stored: [Element]) -> [Element] {
        var index = [Int](repeating: 0, count: shape.count)
        var position = 0
        var result: [Element] = []
        result.reserveCapacity(count)
        let (inner, step) = (shape.last ?? 1, strides.last ?? 1)
        while true {
            for i in 0..<inner { result.append(stored[position + i * step]) }
            var axis = shape.count - 2
            while axis >= 0 {
                index[axis] += 1
                position += strides[axis]
                if index[axis] < shape[axis] { break }
                position -= index[axis] * strides[axis]
                index[axis] = 0
                axis -= 1
            }
            if axis < 0 { return result }
        }
    }
}
