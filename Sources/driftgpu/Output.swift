import Foundation

/// What a command prints.
enum Output {
    /// A result: standard output.
    static func line(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    /// What went wrong: standard error.
    static func error(_ text: String) { FileHandle.standardError.write(Data(("error: " + text + "\n").utf8)) }
}
