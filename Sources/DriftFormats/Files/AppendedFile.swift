#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file that grows while others may read it: what is appended is in it at once.
package final class AppendedFile {
    package let path: String
    private let descriptor: Int32

    /// Opens the file, creating it and its folder, and cuts it to its first `keep` bytes.
    package init(_ path: String, keep: Int) throws {
        try Files.makeFolder(Files.parent(of: path))
        let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | (keep == 0 ? O_TRUNC : 0), 0o666)
        guard descriptor >= 0 else { throw Files.failure("open it", path) }
        guard keep == 0 || ftruncate(descriptor, off_t(keep)) == 0 else {
            let error = Files.failure("cut it to \(keep) bytes", path)
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Appends the bytes in one write where the system takes them so: a reader that follows the file never sees a part of them.
    package func append(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { writeOnce($0) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Files.failure("append to it", path)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Makes what was appended survive a power cut.
    package func sync() throws {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw Files.failure("sync it", path) }
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
