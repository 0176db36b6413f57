import Foundation
import TestSupport
import Testing
@testable import DriftFormats

@Suite struct AtomicFileTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    @Test func replacesOnlyWhenCommitted() throws {
        try folder.write("old", to: "a")
        do {
            let file = try AtomicFile(folder.file("a"))
            try file.write(Array("half".utf8))
            #expect(try folder.text("a") == "old")
        }
        #expect(try folder.text("a") == "old")
        #expect(try Files.names(in: folder.path) == ["a"])
        try AtomicFile.write(text: "new", to: folder.file("a"))
        #expect(try folder.text("a") == "new")
        #expect(try Files.names(in: folder.path) == ["a"])
    }

    @Test func refusesUseAfterCommit() throws {
        let file = try AtomicFile(folder.file("a"))
        try file.commit()
        #expect(throws: DataError.self) { try file.write([1 as UInt8]) }
        #expect(throws: DataError.self) { try file.commit() }
    }

    @Test func unwritablePlace() throws {
        try folder.write("a file", to: "file")
        let text = errorText { try AtomicFile.write([1], to: folder.file("file/below")) }
        #expect(text?.contains("file/below") == true)
        #expect(text?.contains("choose another folder") == true)
        #expect(errorText { try AtomicFile.write([1], to: folder.file("no/where")) }?.contains("No such file") == true)
    }

    @Test func targetIsAFolder() throws {
        try Files.makeFolder(folder.file("sub/inner"))
        #expect(throws: DataError.self) { try AtomicFile.write([1], to: folder.file("sub")) }
        #expect(try Files.names(in: folder.path) == ["sub"])
    }

    @Test("a device or a pipe is not replaced by a file") func targetIsNoFile() throws {
        #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
        #expect(errorText { try AtomicFile.write([1], to: folder.file("pipe")) }?.contains("not a regular file") == true)
        #expect(errorText { try AtomicFile.write([1], to: "/dev/null") }?.contains("not a regular file") == true)
        #expect(try Files.names(in: folder.path) == ["pipe"])
    }

    @Test func checksum() throws {
        #expect(CRC32.of(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(CRC32.of([]) == 0)
        let file = try AtomicFile(folder.file("a"), checksummed: true)
        try file.write(Array("1234".utf8))
        try file.write(Array("56789".utf8))
        #expect(file.checksum == 0xCBF4_3926)
        #expect(file.byteCount == 9)
    }

    @Test func paths() {
        #expect(Files.parent(of: "a") == ".")
        #expect(Files.parent(of: "/a") == "/")
        #expect(Files.parent(of: "a/b/") == "a")
        #expect(Files.parent(of: "/") == "/")
        #expect(Files.join("a/", "b") == "a/b")
        #expect(Files.name(of: "/a/b/") == "b")
    }
}
