/// The form of `torch.save` before PyTorch 1.6: pickles of a magic number, a version, facts of the machine, the object and the
/// keys of its storages, one behind the other; then each storage, its number of elements in front.
enum LegacyPyTorchArchive {
    /// The number 0x1950a86a20f9469cfc6c as a pickle writes it, and STOP.
    private static let magic: [UInt8] = [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
    /// The most bytes that the pickle of the magic number has: PROTO, FRAME and the number.
    static let magicLimit = 2 + 9 + 13

    /// Length of the pickle of the magic number, of protocol 2 to 5, that `head` begins with; nil for anything else.
    static func magicLength(_ head: some Collection<UInt8>) -> Int? {
        var rest = Array(head)[...]
        guard rest.popFirst() == 0x80, let version = rest.popFirst(), (2...5).contains(version) else { return nil }
        // From protocol 4 on a pickle comes in frames, each with its length in 8 bytes.
        if version >= 4, rest.first == 0x95 { rest = rest.dropFirst(9) }
        return rest.starts(with: magic) ? rest.startIndex + magic.count : nil
    }

    private static let version = 1001

    static func read(_ file: InputFile) throws -> (pickle: Pickle, records: [PyTorchFile.Record]) {
        let head = try file.beginning(PyTorchFile.pickleLimit)
        guard var offset = magicLength(head.prefix(magicLimit)) else { throw PyTorchFile.damaged(file, "it has no magic number") }
        func next() throws -> Pickle {
            var machine = PickleMachine(head, at: offset)
            do {
                let pickle = try machine.run()
                offset = machine.offset
                return pickle
            } catch {
                throw PyTorchFile.unreadable(file, error)
            }
        }
        let found = try next().root
        guard found == .integer(version) else {
            throw PyTorchFile.damaged(file, "its version is not \(version)")
        }
        let machine = try next()
        let order = machine.members(of: machine.root)?.last { $0.key == "little_endian" }?.value
        guard order == .bool(true) else {
            throw DataError("its byte order is not little", at: file.path, fix: "save it on a little-endian machine")
        }
        let pickle = try next()
        let keys = try next()
        var records: [String: PyTorchFile.Record] = [:]
        let storages = Dictionary(pickle.storages.map { ($0.key, $0) }) { first, _ in first }
        for key in keys.items(of: keys.root) ?? [] {
            guard case .string(let name) = key, let storage = storages[name], records[name] == nil else {
                throw PyTorchFile.damaged(file, "its list of storages is not that of its tensors")
            }
            var count: Int64 = 0
            try withUnsafeMutableBytes(of: &count) { try file.read(at: offset, into: $0) }
            offset += 8
            guard let size = storage.type.size else {
                throw PyTorchFile.damaged(file, "storage '\(name)' is of an unknown type, so what follows it cannot be found")
            }
            let bytes = storage.count.multipliedReportingOverflow(by: size)
            guard Int(Int64(littleEndian: count)) == storage.count, !bytes.overflow, bytes.partialValue <= file.byteCount - offset
            else { throw PyTorchFile.damaged(file, "storage '\(name)' of \(storage.count) elements does not fit") }
            records[name] = PyTorchFile.Record(offset..<(offset + bytes.partialValue))
            offset += bytes.partialValue
        }
        return (pickle, try pickle.storages.map { storage in
            guard let record = records[storage.key] else {
                throw PyTorchFile.damaged(file, "it has no storage '\(storage.key)'")
            }
            return record
        })
    }
}
