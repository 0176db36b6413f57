import Foundation
import TestSupport
import Testing

@testable import DriftAR

/// The built `driftgpu` as a child process, its output in files of a folder.
struct Program {
    let process = Process()
    private let folder: TestFolder
    private let name = UUID().uuidString

    /// The built program. The test bundle and it are products of one build.
    static var url: URL {
        let bundle = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
        return bundle.deletingLastPathComponent().appendingPathComponent("driftgpu")
    }

    /// Starts it with a space-separated line and further arguments. `wrapper`: a program that becomes it, as `nohup` does.
    init(
        _ line: String, _ more: [String] = [], in folder: TestFolder, environment: [String: String] = [:], wrapper: [String] = []
    ) throws {
        self.folder = folder
        let arguments = line.split(separator: " ").map(String.init) + more
        process.executableURL = wrapper.isEmpty ? Self.url : URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = wrapper.isEmpty ? arguments : wrapper + [Self.url.path] + arguments
        // A first start is none where the user's cache folder has the programs.
        process.environment = ProcessInfo.processInfo.environment.merging(["DRIFTGPU_PROGRAM_CACHE": "off"]) { $1 }
            .merging(environment) { $1 }
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        for kind in ["out", "err"] { try folder.write("", to: name + kind) }
        process.standardOutput = FileHandle(forWritingAtPath: folder.file(name + "out"))
        process.standardError = FileHandle(forWritingAtPath: folder.file(name + "err"))
        try process.run()
    }

    /// How it ended: what it printed and its exit code; nil where a signal ended it.
    typealias Result = (code: Int32?, output: String, errors: String)

    func finish() throws -> Result {
        process.waitUntilExit()
        let code = process.terminationReason == .exit ? process.terminationStatus : nil
        return (code, try folder.text(name + "out"), Self.withoutCompilation(try folder.text(name + "err")))
    }

    /// Whether kernels are compiled depends on which tests came before, and so do the lines that tell of it.
    private static func withoutCompilation(_ errors: String) -> String {
        errors.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.hasPrefix("compiling kernels, once for this device: ") }.joined(separator: "\n")
    }

    /// What it has printed on standard error so far, the progress of compiling included.
    var errors: String { (try? folder.text(name + "err")) ?? "" }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Settings of `TinyRun.pixels` as flags.
    static let tiny =
        "--embed 16 --heads 2 --mlp-ratio 2 --buffer 2 --encoder-depth 1 --decoder-depth 1 --draft-depth 1"
        + " --labels-per-step 3 --samples-per-label 3 --positives 5 --log-every 1 --sample-every 0 --checkpoint-every 0"

    /// Waits until `condition` holds, for a minute at most and only while the program runs.
    func wait(until condition: () throws -> Bool) throws -> Bool {
        for _ in 0..<6000 {
            if try condition() { return true }
            if !process.isRunning { return try condition() }
            Thread.sleep(forTimeInterval: 0.01)
        }
        return false
    }
}

extension TestFolder {
    /// Runs `driftgpu` in this folder to its end.
    func run(_ line: String, _ more: [String] = [], environment: [String: String] = [:]) throws -> Program.Result {
        try Program(line, more, in: self, environment: environment).finish()
    }

    /// Runs a line of the shell in this folder, where `$driftgpu` is the program.
    func shell(_ line: String, environment: [String: String] = [:]) throws -> Program.Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", line]
        process.environment = ProcessInfo.processInfo.environment
            .merging(["driftgpu": Program.url.path]) { $1 }.merging(environment) { $1 }
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        for kind in ["out", "err"] { try write("", to: "shell." + kind) }
        process.standardOutput = FileHandle(forWritingAtPath: file("shell.out"))
        process.standardError = FileHandle(forWritingAtPath: file("shell.err"))
        try process.run()
        process.waitUntilExit()
        let code = process.terminationReason == .exit ? process.terminationStatus : nil
        return (code, try text("shell.out"), try text("shell.err"))
    }

    /// Expects that it fails with exit code 1 and one line, which names `part`.
    func expectError(
        _ line: String, _ more: [String] = [], says part: String, environment: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try run(line, more, environment: environment)
        let isOneLine = result.errors.hasPrefix("error: ") && result.errors.filter { $0 == "\n" }.count == 1
        #expect(
            result.code == 1 && isOneLine && result.errors.contains(part),
            "\(line) \(more): \(String(describing: result.code)) \(result.errors)", sourceLocation: sourceLocation)
    }
}
