import Foundation
import TestSupport
import Testing

@testable import DriftAR

/// What a start does that finds no kernels in the driver's cache: with PoCL, which the tests run on.
@Suite struct FirstStartTests {
    private static let train = "train --device cpu \(Program.tiny) --output run --steps"

    private static func environment(_ folder: TestFolder) -> [String: String] {
        ["POCL_CACHE_DIR": folder.file("kernels"), "DRIFTGPU_TEAM": "cpu"]
    }

    private static func saysProgress(_ errors: String) -> Bool {
        errors.contains(/compiling kernels, once for this device: [0-9]+ of [0-9]+/)
    }

    /// Processes of any parent that were started with the folder's environment.
    private static func processes(_ folder: TestFolder) -> [String] {
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return numbers.filter { number in
            guard Int32(number) != nil, let text = FileManager.default.contents(atPath: "/proc/\(number)/environ") else { return false }
            return String(decoding: text, as: UTF8.self).contains(folder.file("kernels"))
        }
    }

    @Test("a first start says what it does, the next one has nothing to say, and both train the same")
    func firstAndSecond() throws {
        let folder = try TestFolder()
        func weights() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: folder.file("run/checkpoints/step-00000001/ema.safetensors"))) }
        func run(_ more: String) throws -> (code: Int32?, errors: String) {
            let program = try Program(Self.train + more, in: folder, environment: Self.environment(folder))
            return (try program.finish().code, program.errors)
        }
        let first = try run(" 1")
        #expect(first.code == 0 && Self.saysProgress(first.errors), "\(first)")
        #expect(Self.processes(folder).isEmpty)
        let trained = try weights()
        let second = try run(" 1 --overwrite")
        #expect(second.code == 0 && !Self.saysProgress(second.errors), "\(second)")
        #expect(try weights() == trained)
    }

    @Test("what one start has built the next one takes, where it is asked to keep it, and both train the same")
    func keptPrograms() throws {
        let folder = try TestFolder()
        func run(_ programs: String) throws -> (taken: Int, weights: Data) {
            let program = try Program(
                Self.train + " 1 --overwrite --verbose", in: folder,
                environment: ["DRIFTGPU_TEAM": "cpu", "DRIFTGPU_PROGRAM_CACHE": programs])
            #expect(try program.finish().code == 0, "\(program.errors)")
            return (
                program.errors.matches(of: /took \w+\.cl from/).count,
                try Data(contentsOf: URL(fileURLWithPath: folder.file("run/checkpoints/step-00000001/ema.safetensors")))
            )
        }
        let (without, first, second) = (try run("off"), try run(folder.file("programs")), try run(folder.file("programs")))
        #expect(without.taken == 0 && first.taken == 0 && second.taken > 3)
        #expect(first.weights == without.weights && second.weights == without.weights)
        #expect(!FileManager.default.fileExists(atPath: folder.file("off")))
    }

    @Test("an interrupt ends the processes that compile, too")
    func interrupt() throws {
        let folder = try TestFolder()
        let program = try Program(Self.train + " 100000", in: folder, environment: Self.environment(folder))
        #expect(try program.wait { Self.saysProgress(program.errors) })
        program.send(SIGINT)
        let (code, _, _) = try program.finish()
        #expect(code == 75)
        for _ in 0..<50 where !Self.processes(folder).isEmpty { Thread.sleep(forTimeInterval: 0.1) }
        #expect(Self.processes(folder).isEmpty)
    }
}
