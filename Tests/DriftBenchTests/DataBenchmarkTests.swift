import TestSupport
import Testing

@testable import DriftBench
@testable import DriftData
@testable import DriftFormats

@Suite struct DataBenchmarkTests {
    @Test("images and bytes of what was read, by one thread and by several", arguments: [1, 3])
    func counts(threads: Int) throws {
        let folder = try TestFolder()
        for name in ["a", "b"] {
            try Files.makeFolder(folder.file(name))
            try folder.write(Files.read(ImageFixtures.path("rgb.jpg")), to: name + "/1.jpg")
        }
        var options = DataSource.Options()
        (options.height, options.width, options.holdOut) = (8, 8, 0)
        let set = try DataSource.open(folder.path, options).training
        let result = try DataBenchmark(set, threads: threads, seconds: 0.05)
        let size = try InputFile(ImageFixtures.path("rgb.jpg")).byteCount
        #expect(result.threads == threads && result.images > 0 && result.seconds >= 0.05)
        #expect(result.bytes == result.images * size)
        #expect(result.imagesPerSecond == Double(result.images) / result.seconds)
    }
}
