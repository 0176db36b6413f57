import TestSupport
import Testing
@testable import DriftFormats

@Suite struct AppendedFileTests {
    @Test("what is appended is there at once, behind what is kept")
    func appends() throws {
        let folder = try TestFolder()
        let path = folder.file("new/a")
        let file = try AppendedFile(path, keep: 0)
        for text in ["one ", "", "two"] { try file.append(Array(text.utf8)) }
        #expect(try folder.text("new/a") == "one two")
        try file.sync()
        try AppendedFile(path, keep: 3).append(Array("!".utf8))
        #expect(try folder.text("new/a") == "one!")
        _ = try AppendedFile(path, keep: 0)
        #expect(try folder.text("new/a").isEmpty)
    }

    @Test("a full disk is an error that says what to do")
    func fullDisk() throws {
        let file = try AppendedFile("/dev/full", keep: 0)
        #expect(errorText { try file.append([1]) }?.contains("free some space") == true)
        try file.append([])
    }
}
