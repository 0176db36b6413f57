import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct FolderLockTests {
    @Test("a folder is one process's until it lets go; what a dead one left is no obstacle")
    func lock() throws {
        let folder = try TestFolder()
        try folder.write("4711 on a machine that is gone\nand a longer second line\n", to: FolderLock.name)
        do {
            let lock = try FolderLock(folder.path)
            let error = errorText { _ = try FolderLock(folder.path) }
            #expect(error?.contains("process \(getpid()) on ") == true && error?.contains("kill \(getpid()) ") == true, "\(error ?? "")")
            #expect(try folder.text(FolderLock.name).split(separator: "\n").count == 1)
            withExtendedLifetime(lock) {}
        }
        _ = try FolderLock(folder.path)
        #expect(errorText { _ = try FolderLock(folder.file("missing")) }?.contains("missing") == true)
    }

    @Test("a run holds its folder, and whoever comes is refused before anything is changed")
    func run() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            let data = try ImageSet(TinyRun.data())
            let run = try TrainingRun(TinyRun.pixels.configuration, data: data, path: path, existing: .refuse, device: device)
            let before = try folder.text("run/config.json")
            for existing in [TrainingRun.Existing.overwrite, .resumeIfAny] {
                let error = errorText { _ = try TinyRun.pixels.run(path, device, existing: existing) { $0.run.seed = 99 } }
                #expect(error?.contains("process \(getpid())") == true, "\(error ?? "accepted")")
            }
            #expect(try folder.text("run/config.json") == before)
            withExtendedLifetime(run) {}
        }
    }

    @Test("nothing to resume is an error, unless a start will do")
    func nothingToResume() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            let error = errorText { _ = try TinyRun.pixels.run(path, device, existing: .resume) }
            #expect(error?.contains("nothing to resume") == true && error?.contains(path) == true, "\(error ?? "accepted")")
            #expect(!Files.exists(path))
            #expect(try TinyRun.pixels.run(path, device, existing: .resumeIfAny, stopAt: 2) == .interrupted)
            #expect(try TinyRun.pixels.run(path, device, existing: .resumeIfAny) == .finished)
            #expect(try folder.text("run/metrics.jsonl").split(separator: "\n").count == 6)
        }
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
