import Synchronization

/// A file of `torch.save` open for reading: a zip of a pickle and of storages (PyTorch 1.6 and later), or the form before.
/// PyTorch stores the storages as they are; one that was zipped again may hold them deflated.
///
/// Tensors are named by the path of keys to them, joined by "/": `model/encoder_norm.weight`. Everything the pickle says is
/// checked against the file before a value is read; nothing in it is executed (`PickleMachine`).
public final class PyTorchFile: TensorSource {
    public let metadata: [String: String]
    public let headers: [String: TensorHeader]
    public let foreign: [String: ForeignTensor]
    public let hidden: HiddenTensors?
    private let file: InputFile
    private let pickle: Pickle
    private let numbers: [String: Int]
    /// Bytes and checksum of each storage.
    private let records: [Record]
    /// The deflated storage that was read last, by its number.
    private let inflated = Mutex<(number: Int, bytes: [UInt8])?>(nil)

    public var path: String { file.path }

    /// Where a storage lies in the file.
    struct Record: Sendable {
        /// As it lies there, deflated or not.
        let range: Range<Int>
        /// nil: the form has none.
        let checksum: UInt32?
        /// Bytes of the storage itself.
        let byteCount: Int
        /// The archive and the name of its entry where that is deflated.
        let deflated: (archive: ZipArchive, name: String)?

        init(_ range: Range<Int>, checksum: UInt32? = nil) {
            (self.range, self.checksum, byteCount, deflated) = (range, checksum, range.count, nil)
        }

        init(_ entry: ZipArchive.Entry, in archive: ZipArchive) throws {
            let isStored = entry.method == ZipArchive.stored
            range = try isStored ? archive.data(of: entry) : archive.compressedData(of: entry)
            (checksum, byteCount) = (entry.checksum, entry.byteCount)
            deflated = isStored ? nil : (archive, entry.name)
        }
    }

    /// Bytes of a pickle this program reads; those of checkpoints with a thousand tensors have some 100 KB.
    static let pickleLimit = 64 << 20

    public convenience init(_ path: String) throws {
        try self.init(InputFile(path))
    }

    package init(_ file: InputFile) throws {
        let contents = try Self.isLegacy(file) ? LegacyPyTorchArchive.read(file) : Self.readArchive(file)
        self.file = file
        pickle = contents.pickle
        records = contents.records
        for (storage, record) in zip(pickle.storages, records) {
            guard let size = storage.type.size else { continue }
            let (bytes, overflow) = storage.count.multipliedReportingOverflow(by: size)
            guard !overflow, bytes == record.byteCount else {
                let wanted = "\(storage.count) elements of \(size) bytes"
                throw Self.damaged(file, "storage '\(storage.key)' has \(record.byteCount) bytes for \(wanted)")
            }
        }
        if case .opaque(let name) = pickle.root, pickle.passedOver.contains(name) {
            throw DataError("an object of the class \(name) was saved whole, not its tensors", at: file.path,
                            fix: "save its state_dict: torch.save(model.state_dict(), FILE)")
        }
        let outline: PickleOutline
        do {
            outline = try PickleOutline(pickle)
        } catch {
            throw Self.damaged(file, error.what)
        }
        numbers = outline.tensors
        metadata = outline.scalars
        let found = outline.tensors.mapValues { [pickle] in pickle.tensors[$0] }
        headers = found.compactMapValues { tensor in
            if case .read(let type) = tensor.type { TensorHeader(type: type, shape: tensor.shape, count: tensor.count) } else { nil }
        }
        foreign = found.compactMapValues { tensor in
            if case .foreign(let type, _) = tensor.type { ForeignTensor(type: type, shape: tensor.shape) } else { nil }
        }
        let unreachable = pickle.tensors.count - Set(outline.tensors.values).count
        hidden = unreachable > 0 && !pickle.passedOver.isEmpty
            ? HiddenTensors(count: unreachable, classes: pickle.passedOver.sorted()) : nil
    }

    /// Whether the file begins as `torch.save` writes it.
    package static func isPyTorch(_ file: InputFile) throws -> Bool {
        try file.beginning(ZipArchive.magic.count) == ZipArchive.magic || isLegacy(file)
    }

    private static func isLegacy(_ file: InputFile) throws -> Bool {
        try LegacyPyTorchArchive.magicLength(file.beginning(LegacyPyTorchArchive.magicLimit)) != nil
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
        let candidates = archive.entries.keys.filter { $0 == suffix || $0.hasSuffix("/" + suffix) }
        guard candidates.count == 1, let name = candidates.first else { throw foreignArchive(archive) }
        let prefix = String(name.dropLast(suffix.count))
        guard archive.entries[prefix + "constants.pkl"] == nil else {
            throw DataError("a TorchScript archive", at: file.path,
                            fix: "save the weights alone: torch.save(model.state_dict(), FILE)")
        }
        let orderName = prefix + "byteorder"
        if archive.entries[orderName] != nil {
            let order = String(decoding: try archive.contents(orderName, limit: 16), as: UTF8.self)
            guard order == "little" else {
                throw DataError("its byte order is '\(order)', not little", at: file.path, fix: "save it on a little-endian machine")
            }
        }
        var machine = PickleMachine(try archive.contents(name, limit: pickleLimit))
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
            return try Record(entry, in: archive)
        }
        return (pickle, records)
    }

    /// The error of a zip file that `torch.save` did not write, named by what it holds.
    private static func foreignArchive(_ archive: ZipArchive) -> DataError {
        let names = archive.entries.keys.sorted()
        if !names.isEmpty, names.allSatisfy({ $0.hasSuffix(".npy") }) {
            return DataError("arrays of numpy (.npz), not weights", at: archive.path, fix: "save them as safetensors: safetensors.numpy.save_file")
        }
        if let packed = names.first(where: { name in ["safetensors", "pth", "pt", "ckpt", "bin"].contains { name.hasSuffix("." + $0) } }) {
            return DataError("a zip file that holds \(packed)", at: archive.path, fix: "unpack it first: unzip")
        }
        let shown = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", ..." : "")
        return DataError("a zip file of \(shown), without the data.pkl of torch.save", at: archive.path, fix: "name a file that torch.save wrote")
    }

    // MARK: Values

    public func header(_ name: String) throws -> TensorHeader {
        guard let header = headers[name] else {
            if let tensor = foreign[name] { throw tensor.error(name, at: path) }
            throw DataError("no tensor '\(name)' among its \(headers.count)", at: path,
                            fix: "see its tensors with: driftgpu inspect \(path)")
        }
        return header
    }

    public func verify(_ names: [String]) throws {
        for number in Set(try names.map { try tensorDescription($0).storage }).sorted() {
            let record = records[number]
            // What is deflated is compared when it is inflated.
            guard let checksum = record.checksum, record.deflated == nil else { continue }
            guard try file.checksum(of: record.range) == checksum else {
                throw Self.damaged(file, "storage '\(pickle.storages[number].key)' does not have its checksum")
            }
        }
    }

    public func elements<Element: BitwiseCopyable>(_ name: String, of type: Element.Type) throws -> [Element] {
        let (size, tensor) = (try header(name).type.size, try tensorDescription(name))
        guard MemoryLayout<Element>.size == size else {
            throw DataError("tensor '\(name)' has elements of \(size) bytes, not \(MemoryLayout<Element>.size)", at: path,
                            fix: "read it by its type")
        }
        if tensor.count == 0 { return [] }
        let record = records[tensor.storage]
        let start = tensor.offset * size
        // Checked when the pickle was read: the span lies within the storage.
        let span = 1 + zip(tensor.shape, tensor.strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        let stored = try [Element](unsafeUninitializedCapacity: span) { buffer, count in
            let target = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<(span * size)])
            if let deflated = record.deflated {
                try inflate(deflated, number: tensor.storage) { target.copyMemory(from: .init(rebasing: $0[start..<(start + span * size)])) }
            } else {
                try file.read(at: record.range.lowerBound + start, into: target)
            }
            count = span
        }
        return tensor.isContiguous ? stored : tensor.gather(stored)
    }

    /// Hands a deflated storage's bytes to `body`. The last one is kept: many tensors may share it.
    private func inflate(
        _ entry: (archive: ZipArchive, name: String), number: Int, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws {
        let known = inflated.withLock { $0?.number == number ? $0?.bytes : nil }
        let bytes = try known ?? entry.archive.contents(entry.name, limit: .max)
        if known == nil { inflated.withLock { $0 = (number, bytes) } }
        bytes.withUnsafeBytes(body)
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
    package func gather<Element>(_ stored: [Element]) -> [Element] {
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
