import COpenCL

/// The stored tensors of a device: one allocation per storage, shared by every executor that names it, and the workspace
/// that those executors compute in.
public final class DeviceMemory {
    public let device: Device
    /// Bytes of sentinel on both sides of every storage allocated from here on.
    let guardBytes: Int
    private var buffers: [String: Buffer] = [:]
    private var storages: [String: Storage] = [:]
    let workspace: Workspace
    /// Receives the times of every launch of the executors here, when the device was opened for profiling.
    public var profiler: Profiler?
    /// How often the buffer of a growing storage was replaced: who has bound one binds it again.
    private(set) var replacements = 0

    static let sentinel: UInt32 = 0x7FC0_ADDE

    /// `guardBytes`: for tests; see `Executor.damage`.
    public init(_ device: Device, guardBytes: Int = 0) {
        self.device = device
        self.guardBytes = (guardBytes + 255) & ~255
        workspace = Workspace(device)
    }

    /// The buffer of `storage`, allocated and zeroed unless it is there; one that grows keeps what it holds. Throws when it
    /// is there with another size.
    func buffer(_ storage: Storage) throws -> Buffer {
        guard let known = storages[storage.name], let buffer = buffers[storage.name] else {
            let buffer = try allocate(storage)
            (buffers[storage.name], storages[storage.name]) = (buffer, storage)
            return buffer
        }
        if known.holds(storage) { return buffer }
        guard known.grows, storage.holds(known) else {
            throw GraphError("storage \(storage.name): has \(known.count) elements, asked for \(storage.count)")
        }
        let larger = try allocate(storage)
        try device.commands.copy(
            buffer.handle, to: larger.handle, at: guardBytes, byteCount: known.count * known.element.byteCount, storage.name)
        (buffers[storage.name], storages[storage.name]) = (larger, storage)
        replacements += 1
        return larger
    }

    private func allocate(_ storage: Storage) throws -> Buffer {
        let bytes = storage.count * storage.element.byteCount
        let buffer = try Buffer(
            device, name: storage.name, byteCount: bytes + 2 * guardBytes, fill: guardBytes > 0 ? Self.sentinel : 0)
        if guardBytes > 0 {
            try [UInt8](repeating: 0, count: bytes).withUnsafeBytes { try device.write($0, to: buffer, at: guardBytes) }
        }
        return buffer
    }

    /// Allocates `storage`, zeroed, unless it is there.
    public func reserve(_ storage: Storage) throws { _ = try buffer(storage) }

    /// Whether `storage` has been allocated here.
    public func contains(_ storage: Storage) -> Bool { storages[storage.name]?.holds(storage) == true }

    /// Writes `values` from element `offset` on, behind the work issued so far.
    public func write<T: BitwiseCopyable>(_ values: [T], to storage: Storage, at offset: Int = 0) throws {
        try values.withUnsafeBufferPointer { try write($0, to: storage, at: offset) }
    }

    /// Writes `values` from element `offset` on, behind the work issued so far; they are copied before this returns.
    public func write<T: BitwiseCopyable>(_ values: UnsafeBufferPointer<T>, to storage: Storage, at offset: Int = 0) throws {
        try check(T.self, storage, offset: offset, count: values.count)
        let buffer = try buffer(storage)
        try device.write(UnsafeRawBufferPointer(values), to: buffer, at: guardBytes + offset * storage.element.byteCount)
    }

    /// Writes elements of whatever type as they are, from element `offset` on; they are copied before this returns.
    public func write(bytes: UnsafeRawBufferPointer, to storage: Storage, at offset: Int = 0) throws {
        let size = storage.element.byteCount
        guard bytes.count % size == 0, offset >= 0, bytes.count / size <= storage.count - offset else {
            throw GraphError("storage \(storage.name): \(bytes.count) bytes at \(offset) do not fit \(storage.count) of \(storage.element.rawValue)")
        }
        try device.write(bytes, to: buffer(storage), at: guardBytes + offset * size)
    }

    /// Reads `count` elements from `offset` on, after the work issued so far.
    public func read<T: BitwiseCopyable>(_ type: T.Type, from storage: Storage, at offset: Int = 0, count: Int? = nil) throws -> [T] {
        let count = count ?? storage.count - offset
        try check(T.self, storage, offset: offset, count: count)
        let buffer = try buffer(storage)
        return try [T](unsafeUninitializedCapacity: count) { values, written in
            try device.read(
                buffer, at: guardBytes + offset * storage.element.byteCount,
                into: UnsafeMutableRawBufferPointer(start: values.baseAddress, count: count * storage.element.byteCount))
            written = count
        }
    }

    private func check<T>(_ type: T.Type, _ storage: Storage, offset: Int, count: Int) throws {
        guard MemoryLayout<T>.size == storage.element.byteCount, offset >= 0, count >= 0, offset + count <= storage.count
        else {
            throw GraphError(
                "storage \(storage.name): \(count) values of \(T.self) at \(offset) do not fit \(storage.count) of \(storage.element.rawValue)")
        }
    }

    /// Names of storages whose sentinels were overwritten.
    public func damagedStorages() throws -> [String] {
        guard guardBytes > 0 else { return [] }
        return try buffers.keys.sorted().filter { name in
            guard let buffer = buffers[name], let storage = storages[name] else { return false }
            let bytes = storage.count * storage.element.byteCount
            var words = [UInt32](repeating: 0, count: buffer.byteCount / 4)
            try words.withUnsafeMutableBytes { try device.read(buffer, at: 0, into: $0) }
            let end = (guardBytes + bytes + 3) / 4
            return words[..<(guardBytes / 4)].contains { $0 != Self.sentinel }
                || words[end...].contains { $0 != Self.sentinel }
        }
    }
}
