#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import DriftFormats

/// The run's metrics.jsonl: one JSON object a line, in the file as soon as it is appended.
public final class MetricsLog {
    public let path: String
    private let descriptor: Int32

    /// Opens the log for appending, creating it and its folder.
    ///
    /// - Parameter resumedAt: the step of the checkpoint a run continues from. Lines of later steps are cut away, since
    ///   the run will write them again. Nil starts an empty log.
    public init(_ path: String, resumedAt step: Int? = nil) throws {
        try Files.makeFolder(Files.parent(of: path))
        let keep = try step.map { try Self.bytesToKeep(path, step: $0) } ?? 0
        let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0o666)
        guard descriptor >= 0 else { throw Files.failure("open it", path) }
        guard ftruncate(descriptor, off_t(keep)) == 0 else {
            let error = Files.failure("cut it to \(keep) bytes", path)
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Appends one line: the step first, then the fields in their order.
    public func append(step: Int, _ fields: [JSON.Member]) throws {
        let line = JSON.object([JSON.Member("step", .integer(step))] + fields.filter { $0.key != "step" }).text + "\n"
        var bytes = Array(line.utf8)[...]
        while !bytes.isEmpty {
            // One write for the line: a reader that follows the file never sees half of one.
            let count = bytes.withUnsafeBytes { writeOnce($0) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Files.failure("append to it", path)
            }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Appends one line of plain numbers.
    public func append(step: Int, values: [(String, Double)]) throws {
        try append(step: step, values.map { JSON.Member($0.0, .number($0.1)) })
    }

    /// Makes the lines survive a power cut; called with each checkpoint.
    public func sync() throws {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw Files.failure("sync it", path) }
    }

    /// Bytes up to the first line of a later step, or to the first that a kill left half written.
    private static func bytesToKeep(_ path: String, step: Int) throws -> Int {
        guard Files.exists(path) else { return 0 }
        let bytes = try Files.read(path)
        var start = 0
        while start < bytes.count {
            guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { break }
            guard let line = try? JSON.parse(bytes[start..<end]) else { break }
            if let lineStep = line["step"]?.integer, lineStep > step { break }
            start = end + 1
        }
        return start
    }

    private func writeOnce(_ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
        return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #elseif canImport(Musl)
        return Musl.write(descriptor, bytes.baseAddress, bytes.count)
        #else
        return Darwin.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
    }
}
