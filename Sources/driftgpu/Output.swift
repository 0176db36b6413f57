import Foundation

/// What a command prints.
enum Output {
    /// A result: standard output.
    static func line(_ text: String) { write(text, to: .standardOutput) }

    /// What went wrong: standard error.
    static func error(_ text: String) { write("error: " + text, to: .standardError) }

    /// A closed pipe or a full disk is no reason to crash, and there is nowhere left to say it.
    private static func write(_ text: String, to file: FileHandle) {
        try? file.write(contentsOf: Data((text + "\n").utf8))
    }
}
