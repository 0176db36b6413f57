#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a temporary name in the same folder; `commit` syncs the file, renames it and syncs the folder. Without
/// `commit` the temporary file is removed and whatever stood under the name before stays as it was.
public final class AtomicFile {
    public let path: String
    /// Bytes written so far.
    public private(set) var byteCount = 0
    /// Checksum of the bytes written so far, where it was asked for.
    public var checksum: UInt32 { crc.value }

    private let temporary: String
    private var descriptor: Int32
    private let checksummed: Bool
    private let synced: Bool
    private var crc = CRC32()

    /// Without `synced` nothing waits for the disk, ten milliseconds and more a file: right for files that can be made again
    /// after a power cut.
    public init(_ path: String, checksummed: Bool = false, synced: Bool = true) throws {
        self.path = path
        self.checksummed = checksummed
        self.synced = synced
        // A rename would put a plain file in the place of a device or a pipe. Of folders the rename tells.
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG, status.st_mode & S_IFMT != S_IFDIR {
            throw DataError("not a regular file", at: path, fix: "name a file")
        }
        let folder = Files.parent(of: path)
        var attempt = 0
        var candidate = ""
        var opened: Int32 = -1
        // A killed process of the same number can have left its temporary file: step aside instead of failing.
        repeat {
            candidate = Files.join(folder, ".\(Files.name(of: path)).tmp-\(getpid())-\(attempt)")
            opened = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            attempt += 1
        } while opened < 0 && errno == EEXIST && attempt < 1000
        guard opened >= 0 else { throw Files.failure("create it", path) }
        temporary = candidate
        descriptor = opened
    }

    deinit { discard() }

    /// Appends the bytes.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard descriptor >= 0 else { throw DataError("written to after its end", at: path, fix: "create the file anew") }
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let count = writeOnce(base + done, bytes.count - done)
            if count < 0 {
                if errno == EINTR { continue }
                throw Files.failure("write it", path)
            }
            done += count
        }
        byteCount += bytes.count
        if checksummed { crc.update(bytes) }
    }

    /// Appends the elements as they lie in memory.
    public func write<Element: BitwiseCopyable>(_ elements: [Element]) throws {
        try elements.withUnsafeBytes { try write($0) }
    }

    /// Puts the complete file under its name.
    public func commit() throws {
        guard descriptor >= 0 else { throw DataError("committed twice", at: path, fix: "create the file anew") }
        guard !synced || fsync(descriptor) == 0 else { throw Files.failure("sync it", path) }
        let closed = close(descriptor)
        descriptor = -1
        do {
            guard closed == 0 else { throw Files.failure("close it", path) }
            try Files.rename(temporary, to: path)
        } catch {
            unlink(temporary)
            throw error
        }
        if synced { try Files.syncFolder(Files.parent(of: path)) }
    }

    /// Drops what was written.
    public func discard() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(temporary)
    }

    /// The whole file in one call.
    public static func write(_ bytes: [UInt8], to path: String, synced: Bool = true) throws {
        let file = try AtomicFile(path, synced: synced)
        try file.write(bytes)
        try file.commit()
    }

    /// A text file in one call.
    public static func write(text: String, to path: String) throws {
        try write(Array(text.utf8), to: path)
    }

    private func writeOnce(_ base: UnsafeRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
        return Glibc.write(descriptor, base, count)
        #elseif canImport(Musl)
        return Musl.write(descriptor, base, count)
        #else
        return Darwin.write(descriptor, base, count)
        #endif
    }
}
