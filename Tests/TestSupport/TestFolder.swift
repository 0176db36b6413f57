import DriftFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A fresh folder that goes away with its owner.
package final class TestFolder: Sendable {
    package let path: String

    package init() throws {
        var template = Array("/tmp/driftar-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Files.failure("create a folder", "/tmp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? Files.removeTree(path) }

    package func file(_ name: String) -> String { Files.join(path, name) }

    /// Writes the bytes plainly and gives the path.
    @discardableResult
    package func write(_ bytes: [UInt8], to name: String) throws -> String {
        let path = file(name)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o666)
        guard descriptor >= 0 else { throw Files.failure("create it", path) }
        defer { close(descriptor) }
        guard bytes.withUnsafeBytes({ writeOnce(descriptor, $0.baseAddress, $0.count) }) == bytes.count else {
            throw Files.failure("write it", path)
        }
        return path
    }

    @discardableResult
    package func write(_ text: String, to name: String) throws -> String {
        try write(Array(text.utf8), to: name)
    }

    package func text(_ name: String) throws -> String {
        String(decoding: try Files.read(file(name)), as: UTF8.self)
    }
}

private func writeOnce(_ descriptor: Int32, _ base: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, base, count)
}

/// The description of the error the body throws; nil where it throws none.
package func errorText(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return "\(error)"
    }
}
