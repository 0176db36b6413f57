import Foundation

@testable import DriftAR

/// The built `driftgpu` as a child process, its output in files of a folder.
struct Program {
    let process = Process()
    private let folder: TestFolder
    private let name = UUID().uuidString

    /// Starts it with a space-separated line and further arguments.
    init(_ line: String, _ more: [String] = [], in folder: TestFolder, environment: [String: String] = [:]) throws {
        self.folder = folder
        // The test bundle and the program are products of one build.
        let bundle = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
        process.executableURL = bundle.deletingLastPathComponent().appendingPathComponent("driftgpu")
        process.arguments = line.split(separator: " ").map(String.init) + more
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        for kind in ["out", "err"] { try folder.write("", to: name + kind) }
        process.standardOutput = FileHandle(forWritingAtPath: folder.file(name + "out"))
        process.standardError = FileHandle(forWritingAtPath: folder.file(name + "err"))
        try process.run()
    }

    /// What it printed and its exit code; nil where a signal ended it.
    func finish() throws -> (code: Int32?, output: String, errors: String) {
        process.waitUntilExit()
        let code = process.terminationReason == .exit ? process.terminationStatus : nil
        return (code, try folder.text(name + "out"), try folder.text(name + "err"))
    }

    /// Settings of `TinyRun.pixels` as flags.
    static let tiny =
        "--embed 16 --heads 2 --mlp-ratio 2 --buffer 2 --encoder-depth 1 --decoder-depth 1 --draft-depth 1"
        + " --labels-per-step 3 --samples-per-label 3 --positives 5 --log-every 1 --sample-every 0 --checkpoint-every 0"

    /// Waits until `condition` holds, ten seconds a try at most while the program runs.
    func wait(until condition: () throws -> Bool) throws -> Bool {
        for _ in 0..<6000 {
            if try condition() { return true }
            if !process.isRunning { return try condition() }
            Thread.sleep(forTimeInterval: 0.01)
        }
        return false
    }
}
