import TestSupport
import Testing
@testable import DriftAR
@testable import DriftFormats

@Suite struct CheckpointFolderTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func contents(_ value: Float) throws -> [String: CheckpointFolder.Contents] {
        [
            "model.safetensors": .tensors(["w": try NamedTensor(shape: [3], floats: [value, 1, 2])], metadata: ["a": "b"]),
            "state.safetensors": .tensors(["moment": try NamedTensor(shape: [2], floats: [value, -1])]),
            "config.json": .bytes(Array("{}".utf8)),
        ]
    }

    private func checkpoints(keep: Int? = 3) -> CheckpointFolder {
        CheckpointFolder(folder.file("run/checkpoints"), keep: keep)
    }

    @Test func roundTrip() throws {
        let checkpoints = checkpoints()
        #expect(try checkpoints.latest() == nil)
        let path = try checkpoints.save(step: 1000, contents(5))
        #expect(path == folder.file("run/checkpoints/step-00001000"))
        #expect(try Files.names(in: path) == ["config.json", "manifest.json", "model.safetensors", "state.safetensors"])
        let checkpoint = try checkpoints.open(step: 1000)
        #expect(checkpoint.files == ["config.json", "model.safetensors", "state.safetensors"])
        let model = try checkpoint.tensors("model.safetensors")
        #expect(try model.floats("w") == [5, 1, 2])
        #expect(model.metadata == ["a": "b"])
        #expect(try checkpoint.bytes("config.json") == Array("{}".utf8))
        #expect(errorText { _ = try checkpoint.bytes("ema.safetensors") }?.contains("no such file") == true)
    }

    @Test func keepsTheLast() throws {
        for step in 1...5 { try checkpoints(keep: 2).save(step: step * 10, contents(Float(step))) }
        #expect(try checkpoints().steps() == [40, 50])
        try checkpoints(keep: nil).save(step: 60, contents(6))
        #expect(try checkpoints().steps() == [40, 50, 60])
    }

    @Test func neverRemovesTheNewOne() throws {
        for step in [100, 200] { try checkpoints(keep: 1).save(step: step, contents(0)) }
        try checkpoints(keep: 1).save(step: 150, contents(1))
        #expect(try checkpoints().steps() == [150, 200])
        try checkpoints().removeAll(after: 150)
        #expect(try checkpoints().latest() == 150)
    }

    @Test func replacesTheSameStep() throws {
        try checkpoints().save(step: 7, contents(1))
        try checkpoints().save(step: 7, contents(2))
        #expect(try checkpoints().open(step: 7).tensors("model.safetensors").floats("w") == [2, 1, 2])
        #expect(try Files.names(in: checkpoints().path) == ["step-00000007"])
    }

    @Test func leftoversOfAKilledRun() throws {
        let checkpoints = checkpoints()
        try checkpoints.save(step: 10, contents(1))
        try Files.makeFolder(Files.join(checkpoints.path, ".tmp-step-00000020"))
        try folder.write("half", to: "run/checkpoints/.tmp-step-00000020/model.safetensors")
        try Files.makeFolder(Files.join(checkpoints.path, "step-00000030"))
        try Files.makeFolder(Files.join(checkpoints.path, "step-5"))
        #expect(try checkpoints.steps() == [10], "a folder without a manifest is no checkpoint")
        #expect(errorText { _ = try checkpoints.open(step: 30) }?.contains("there are 10") == true)
        try checkpoints.save(step: 20, contents(2))
        #expect(try checkpoints.steps() == [10, 20])
        #expect(try !Files.names(in: checkpoints.path).contains { $0.hasPrefix(".tmp") })
    }

    @Test func killedWhileReplacing() throws {
        let checkpoints = checkpoints()
        try checkpoints.save(step: 10, contents(1))
        try Files.rename(checkpoints.folder(of: 10), to: Files.join(checkpoints.path, ".old-step-00000010"))
        try checkpoints.clean()
        #expect(try checkpoints.open(step: 10).tensors("model.safetensors").floats("w") == [1, 1, 2])
    }

    @Test(arguments: ["model.safetensors", "state.safetensors", "config.json", "manifest.json"])
    func damageNamesTheFileAndTheWayOut(_ name: String) throws {
        let checkpoints = checkpoints()
        try checkpoints.save(step: 10, contents(1))
        try checkpoints.save(step: 20, contents(2))
        let inFolder = "run/checkpoints/step-00000020/" + name
        let bytes = try Files.read(folder.file(inFolder))
        // The last byte of the manifest is a newline, which carries nothing.
        let last = name == "manifest.json" ? bytes.count - 1 : bytes.count
        for length in 0..<last {
            try folder.write(Array(bytes[..<length]), to: inFolder)
            let text = errorText { _ = try checkpoints.open(step: 20) }
            #expect(text?.contains(inFolder) == true && text?.contains("step-00000010") == true, "cut at \(length)")
        }
        for i in 0..<last {
            var damaged = bytes
            damaged[i] ^= 0x10
            try folder.write(damaged, to: inFolder)
            let text = errorText { _ = try checkpoints.open(step: 20) }
            #expect(text?.contains("step-00000020") == true, "flipped at \(i)")
        }
        try Files.removeTree(folder.file(inFolder))
        #expect(throws: DataError.self) { _ = try checkpoints.open(step: 20) }
        _ = try checkpoints.open(step: 10)
    }

    @Test func theOnlyCheckpointIsDamaged() throws {
        try checkpoints().save(step: 10, contents(1))
        try folder.write("x", to: "run/checkpoints/step-00000010/model.safetensors")
        let text = errorText { _ = try checkpoints().open(step: 10) }
        #expect(text?.contains("truncated: 1 of") == true)
        #expect(text?.contains("start the run again") == true)
    }

    @Test func unwritablePlace() throws {
        try folder.write("a file", to: "file")
        let text = errorText { try CheckpointFolder(folder.file("file/checkpoints")).save(step: 1, contents(1)) }
        #expect(text?.contains("file") == true)
        #expect(text?.contains("choose another folder") == true)
    }

    @Test func failedSaveLeavesNothing() throws {
        try checkpoints().save(step: 1, contents(1))
        #expect(throws: DataError.self) { try checkpoints().save(step: 2, ["../x": .bytes([1])]) }
        #expect(throws: DataError.self) { try checkpoints().save(step: 2, ["manifest.json": .bytes([1])]) }
        #expect(throws: DataError.self) { try checkpoints().save(step: -1, contents(1)) }
        #expect(try Files.names(in: checkpoints().path) == ["step-00000001"])
    }
}
