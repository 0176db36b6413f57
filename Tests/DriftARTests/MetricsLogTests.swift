import TestSupport
import Testing
@testable import DriftAR
@testable import DriftFormats

@Suite struct MetricsLogTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func steps() throws -> [Int] {
        try folder.text("log/metrics.jsonl").split(separator: "\n").map { try JSON.parse($0.utf8)["step"]?.integer ?? -1 }
    }

    @Test func appendsLines() throws {
        let log = try MetricsLog(folder.file("log/metrics.jsonl"))
        try log.append(step: 1, values: [("loss", 0.5), ("rate", .nan)])
        #expect(try folder.text("log/metrics.jsonl") == "{\"step\":1,\"loss\":0.5,\"rate\":null}\n")
        try log.append(step: 2, [.init("phase", .string("II")), .init("step", .integer(9))])
        #expect(try folder.text("log/metrics.jsonl").hasSuffix("{\"step\":2,\"phase\":\"II\"}\n"))
        try log.sync()
    }

    @Test func resumes() throws {
        let path = folder.file("log/metrics.jsonl")
        do {
            let log = try MetricsLog(path)
            for step in 1...10 { try log.append(step: step, values: []) }
        }
        let log = try MetricsLog(path, resumedAt: 7)
        #expect(try steps() == Array(1...7))
        try log.append(step: 8, values: [])
        #expect(try steps() == Array(1...8))
        _ = try MetricsLog(path)
        #expect(try steps() == [])
        _ = try MetricsLog(folder.file("log/new.jsonl"), resumedAt: 3)
    }

    @Test(arguments: ["{\"step\":2,\"lo", "{\"step\":2,\"lo\n", "\0\0\0\0"])
    func cutsTheLineAKillLeft(_ tail: String) throws {
        try Files.makeFolder(folder.file("log"))
        try folder.write("{\"note\":\"begin\"}\n{\"step\":1}\n" + tail, to: "log/metrics.jsonl")
        let log = try MetricsLog(folder.file("log/metrics.jsonl"), resumedAt: 5)
        try log.append(step: 6, values: [])
        #expect(try steps() == [-1, 1, 6])
    }

    @Test("a damaged line between good ones costs none of these") func keepsWhatFollowsDamage() throws {
        try Files.makeFolder(folder.file("log"))
        try folder.write("{\"step\":1}\n\n{\"st\n{\"step\":4}\n{\"step\":9}\n{\"ste", to: "log/metrics.jsonl")
        let log = try MetricsLog(folder.file("log/metrics.jsonl"), resumedAt: 5)
        try log.append(step: 6, values: [])
        #expect(try folder.text("log/metrics.jsonl") == "{\"step\":1}\n\n{\"st\n{\"step\":4}\n{\"step\":6}\n")
    }

    @Test func unwritablePlace() throws {
        try folder.write("a file", to: "file")
        #expect(errorText { _ = try MetricsLog(folder.file("file/metrics.jsonl")) }?.contains("choose another folder") == true)
    }
}
