import Foundation
import Testing

@testable import DriftFormats

@Suite struct ShellQuotingTests {
    @Test("a quoted path is one word to a shell, and the same one")
    func words() throws {
        let paths = ["out/digits", "my runs/a b", "it's", "$HOME`x`", "a\nb", "", "*", "~", "größe", "-x", "a\\b", "é\u{301} z"]
        #expect("out/digits-2".shellQuoted == "out/digits-2")
        #expect("größe".shellQuoted == "größe")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "printf '%s\\0' " + paths.map(\.shellQuoted).joined(separator: " ")]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(String(decoding: bytes, as: UTF8.self) == paths.map { $0 + "\0" }.joined())
    }
}
