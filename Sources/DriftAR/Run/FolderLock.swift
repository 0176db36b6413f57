#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import DriftFormats

/// Keeps a folder for one process: a lock on a file in it, which the system drops when the process ends, however it ends.
final class FolderLock: Sendable {
    static let name = ".lock"
    private let descriptor: Int32

    /// Takes the lock of a folder that exists. Throws a line that names the process where another one has it.
    init(_ folder: String) throws {
        let path = Files.join(folder, Self.name)
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o666)
        guard descriptor >= 0 else { throw Files.failure("create it", path) }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            // Some network file systems have no locks: the run must not fail for that.
            guard errno == EWOULDBLOCK else { break }
            let holder = Self.text(of: descriptor)
            close(descriptor)
            let process = holder.flatMap { Int32($0.prefix { $0.isNumber }) }
            throw DataError(
                "\(holder.map { "process \($0)" } ?? "another process") is training here", at: folder,
                fix: "wait for it, stop it\(process.map { " (kill \($0) lets it save)" } ?? ""), or choose another --output")
        }
        self.descriptor = descriptor
        // The name helps people; without it the lock holds all the same.
        let text = Array("\(getpid()) on \(Self.host())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.count, 0) }
    }

    deinit {
        // A process that is just being started has the descriptor, too, and would keep the lock until it runs its own program.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func text(of descriptor: Int32) -> String? {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self).printable
    }

    /// The name of this machine.
    static func host() -> String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "this machine" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
