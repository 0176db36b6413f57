import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// Real processes and real signals: what a run does when it is asked to stop, to save, or to share its folder.
@Suite(.serialized) struct InterruptionTests {
    private func start(_ folder: TestFolder, environment: [String: String] = [:], wrapper: [String] = []) throws -> Program {
        try Program(
            "train --auto-resume --steps 1000000 --output run " + Program.tiny, in: folder, environment: environment,
            wrapper: wrapper)
    }

    private func lines(_ folder: TestFolder) -> Int {
        (try? folder.text("run/metrics.jsonl").filter { $0 == "\n" }.count) ?? 0
    }

    /// The run stopped with everything saved, and goes on from there.
    private func expectSaved(_ program: Program, _ folder: TestFolder, says signal: String) throws {
        let (code, output, errors) = try program.finish()
        #expect(code == 75, "\(signal): \(errors)")
        #expect(errors.contains("\(signal): stopping after this step"), "\(errors)")
        let checkpoints = RunFolder(folder.file("run")).checkpoints
        let step = try #require(try checkpoints.latest())
        #expect(output.contains("stopped at step \(step); continue with: driftgpu train --resume --output run"), "\(output)")
        _ = try checkpoints.open(step: step)
    }

    @Test("every signal that asks for it saves and stops", arguments: [SIGINT, SIGTERM, SIGHUP, SIGUSR1])
    func stop(_ signal: Int32) throws {
        let folder = try TestFolder()
        let program = try start(folder)
        #expect(try program.wait { lines(folder) > 0 })
        program.send(signal)
        let name = [SIGINT: "SIGINT", SIGTERM: "SIGTERM", SIGHUP: "SIGHUP", SIGUSR1: "SIGUSR1"][signal] ?? ""
        // As wrappers do: twice within moments.
        if signal != SIGINT { program.send(signal) }
        try expectSaved(program, folder, says: name)
        guard signal == SIGINT else { return }
        let step = try #require(try RunFolder(folder.file("run")).checkpoints.latest())
        let resumed = try folder.run("train --resume --output run --steps \(step + 2)")
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(try RunFolder(folder.file("run")).checkpoints.latest() == step + 2)
    }

    @Test("under nohup a HUP changes nothing; USR2 saves and goes on; TERM still saves and stops")
    func nohup() throws {
        let folder = try TestFolder()
        let program = try start(folder, wrapper: ["nohup"])
        #expect(try program.wait { lines(folder) > 0 })
        for _ in 0..<2 {
            program.send(SIGHUP)
            let before = lines(folder)
            #expect(try program.wait { lines(folder) > before + 2 })
        }
        program.send(SIGUSR2)
        let checkpoints = RunFolder(folder.file("run")).checkpoints
        #expect(try program.wait { (try? checkpoints.steps().isEmpty) == false })
        let saved = try #require(try checkpoints.latest())
        let before = lines(folder)
        #expect(try program.wait { lines(folder) > before + 2 })
        program.send(SIGTERM)
        try expectSaved(program, folder, says: "SIGTERM")
        #expect(try checkpoints.steps().count == 2 && checkpoints.steps().contains(saved))
        #expect(!program.errors.contains("SIGHUP"))
    }

    @Test("the first Ctrl-C is answered while kernels compile, the second ends the program")
    func twice() throws {
        let folder = try TestFolder()
        // Nothing is compiled yet.
        let program = try start(folder, environment: ["POCL_CACHE_DIR": folder.file("kernels")])
        #expect(try program.wait { (try? folder.text("run/metrics.jsonl")) != nil })
        let asked = ContinuousClock.now
        program.send(SIGINT)
        #expect(try program.wait { program.errors.contains("SIGINT: stopping after this step") })
        #expect(ContinuousClock.now - asked < .seconds(5))
        #expect(lines(folder) == 0, "it was to be asked in its first step")
        Thread.sleep(forTimeInterval: 0.4)
        program.send(SIGINT)
        #expect(try program.finish().code == nil)
        #expect(program.process.terminationStatus == SIGINT)
    }

    @Test("a run that nobody reads goes on")
    func unread() throws {
        let folder = try TestFolder()
        let line = "train --steps 30 --output run " + Program.tiny
        let result = try folder.shell("(\"$driftgpu\" \(line); echo $? > code) 2>&1 | head -1")
        #expect(try folder.text("code") == "0\n", "\(result.errors)")
        #expect(try RunFolder(folder.file("run")).checkpoints.steps() == [30])
        // Closed streams must not become those of files that are opened: the progress would land in a checkpoint.
        let closed = try folder.shell("\"$driftgpu\" train --resume --steps 31 --output run <&- >&- 2>&-")
        #expect(closed.code == 0)
        _ = try RunFolder(folder.file("run")).checkpoints.open(step: 31)
        #expect(try folder.shell("\"$driftgpu\" selftest --list >&-").code == 1)
    }

    @Test("a live run's folder is its own; a killed one's is free")
    func lock() throws {
        let folder = try TestFolder()
        let program = try start(folder)
        #expect(try program.wait { lines(folder) > 0 })
        program.send(SIGUSR2)
        let checkpoints = RunFolder(folder.file("run")).checkpoints
        #expect(try program.wait { (try? checkpoints.steps().isEmpty) == false })
        for option in ["--resume", "--auto-resume", "--overwrite"] {
            try folder.expectError(
                "train \(option) --steps 5 --output run " + Program.tiny, says: "process \(program.process.processIdentifier) on ")
        }
        #expect(program.process.isRunning)
        program.send(SIGKILL)
        _ = try program.finish()
        let step = try #require(try checkpoints.latest())
        #expect(try folder.run("train --resume --steps \(step + 1) --output run").code == 0)
        let steps = try folder.text("run/metrics.jsonl").split(separator: "\n").map { try JSON.parse(Array($0.utf8))["step"]?.integer }
        #expect(steps == Array(1...(step + 1)))
    }
}
