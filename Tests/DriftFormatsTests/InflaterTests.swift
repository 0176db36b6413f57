import TestSupport
import Testing

@testable import DriftFormats

@Suite struct InflaterTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// What a file of those bytes holds, and how many bytes behind the data were passed over.
    private func read(_ bytes: [UInt8], count: Int) throws -> (bytes: [UInt8], warning: String?) {
        let file = try GzipFile(folder.write(bytes, to: "x.gz"))
        let inflated = try file.bytes(count)
        try file.end()
        return (inflated, file.warning)
    }

    private let data = (0..<3000).map { UInt8(truncatingIfNeeded: $0 * 7) }

    @Test("zeros behind the data are padding", arguments: [1, 2, 511, 65_536, 200_000]) func padding(zeros: Int) throws {
        let padded = try read(ImageFixtures.gzip(data) + [UInt8](repeating: 0, count: zeros), count: data.count)
        #expect(padded.bytes == data && padded.warning == nil)
    }

    @Test("other bytes behind the data are passed over and named") func garbage() throws {
        for tail: [UInt8] in [[1], [0x1F], Array("text".utf8), [0, 0, 0x1F], [0x8B, 0x1F]] {
            let read = try read(ImageFixtures.gzip(data) + tail, count: data.count)
            #expect(read.bytes == data)
            #expect(read.warning?.contains("x.gz: \(tail.drop { $0 == 0 }.count) bytes behind") == true, "\(tail)")
        }
        let long = try read(ImageFixtures.gzip(data) + [UInt8](repeating: 9, count: 100_000), count: data.count)
        #expect(long.warning?.contains("100000 bytes") == true)
    }

    @Test("a member may begin anywhere, behind zeros too", arguments: [65_186, 65_187, 65_188]) func members(length: Int) throws {
        // The first member of 65,187 bytes is 65,535 long: the two bytes that begin the second lie in two buffers.
        let first = [UInt8](repeating: 5, count: length)
        let whole = ImageFixtures.gzip(first) + ImageFixtures.gzip(data)
        #expect(try read(whole, count: length + data.count).bytes == first + data)
        let apart = ImageFixtures.gzip(first) + [UInt8](repeating: 0, count: 300) + ImageFixtures.gzip([]) + ImageFixtures.gzip(data)
        #expect(try read(apart, count: length + data.count).bytes == first + data)
    }

    @Test("a damaged second member is an error, and so is too little or too much") func refuses() throws {
        var two = ImageFixtures.gzip(data) + ImageFixtures.gzip(data)
        two[two.count - 5] ^= 1
        #expect(errorText { _ = try read(two, count: 2 * data.count) }?.contains("damaged gzip data: incorrect data check") == true)
        #expect(errorText { _ = try read(Array(two.dropLast(12)), count: 2 * data.count) }?.contains("too early") == true)
        #expect(errorText { _ = try read(ImageFixtures.gzip(data), count: data.count + 1) }?.contains("too early") == true)
        #expect(errorText { _ = try read(ImageFixtures.gzip(data), count: data.count - 1) }?.contains("more bytes") == true)
    }
}
