import Foundation

@testable import DriftAR
@testable import DriftFormats

/// Bytes of libFuzzer and, where the reader takes a path, the file that holds them.
struct Input {
    let bytes: UnsafeBufferPointer<UInt8>
    fileprivate let file: InputOnDisk

    init(bytes: UnsafeBufferPointer<UInt8>, file: InputOnDisk) { (self.bytes, self.file) = (bytes, file) }

    var array: [UInt8] { Array(bytes) }
    var path: String { file.path }
    var folder: String { file.folder }

    /// Writes a file beside the input, once.
    func putBeside(_ name: String, _ bytes: () throws -> [UInt8]) throws {
        let path = Files.join(folder, name)
        if !Files.exists(path) { try AtomicFile.write(bytes(), to: path) }
    }
}

/// One file whose contents are replaced for each input.
struct InputOnDisk: Sendable {
    let folder: String
    let name: String
    private let descriptor: Int32

    var path: String { Files.join(folder, name) }

    init(folder: String, name: String) throws {
        (self.folder, self.name) = (folder, name)
        let path = Files.join(folder, name)
        descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if descriptor < 0 { throw Files.failure("create it", path) }
    }

    func replace(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes.baseAddress, bytes.count, 0) == bytes.count else {
            throw Files.failure("write it", path)
        }
    }
}
