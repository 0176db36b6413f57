import DriftGPU
import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats

@Suite struct LatentFolderTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// 2 latent channels of 2 x 3: 24 moments an image.
    private static let size = 24

    private func manifest(_ change: [(String, JSON?)] = []) -> String {
        var members: [(String, JSON?)] = [
            ("format", .integer(1)), ("channels", .integer(2)), ("height", .integer(2)), ("width", .integer(3)),
            ("classes", .array([.string("a"), .string("b")])), ("count", .integer(5)), ("scale", .number(0.25)),
            ("flipped", .bool(true)),
            ("shards", .array([(0, 3), (1, 0), (2, 2)].map { n, count in
                .object([JSON.Member("file", .string("latents-\(n).safetensors")), JSON.Member("count", .integer(count))])
            })),
        ]
        for (key, value) in change { members = members.map { $0.0 == key ? (key, value) : $0 } }
        return JSON.object(members.compactMap { key, value in value.map { JSON.Member(key, $0) } }).text
    }

    private func moments(_ first: Int, _ count: Int, sign: Float = 1) -> [Float] {
        (0..<count * Self.size).map { sign * Float(first * 100 + $0) }
    }

    private func writeShard(_ n: Int, first: Int, count: Int, labels: [Int32], change: [String: NamedTensor] = [:]) throws {
        let shape = [count, 4, 2, 3]
        let tensors = [
            "moments": try NamedTensor(shape: shape, floats: moments(first, count)),
            "moments_flipped": try NamedTensor(shape: shape, floats: moments(first, count, sign: -1)),
            "labels": try NamedTensor(shape: [count], ints: labels),
        ]
        try SafeTensors.write(tensors.merging(change) { $1 }, to: folder.file("latents-\(n).safetensors"))
    }

    private func write() throws {
        try folder.write(manifest(), to: "latents.json")
        try writeShard(0, first: 0, count: 3, labels: [0, 1, 0])
        try writeShard(1, first: 3, count: 0, labels: [])
        try writeShard(2, first: 3, count: 2, labels: [1, 0])
    }

    private func error() -> String { errorText { _ = try DataSource.open(folder.path) } ?? "" }

    @Test func reads() throws {
        try write()
        let source = try DataSource.open(folder.path)
        let set = source.training
        #expect(source.form == .latents && set.form == .moments(scale: 0.25))
        #expect((set.channels, set.height, set.width, set.valueCount) == (2, 2, 3, 24))
        #expect(set.index.labels == [0, 1, 0, 1, 0] && set.classNames == ["a", "b"])
        #expect(try ImageFixtures.values(set, 1) == Array(moments(0, 3)[24..<48]))
        #expect(try ImageFixtures.values(set, 4) == Array(moments(3, 2)[24..<48]))
        #expect(try ImageFixtures.values(set, 3, ImageVariant(isFlipped: true)) == Array(moments(3, 2, sign: -1)[..<24]))
        #expect(errorText { _ = try set.dataset() }?.contains("latents are no images") == true)
    }

    @Test func readsHalves() throws {
        try folder.write(manifest([("count", .integer(1)), ("flipped", .bool(false)), ("classes", .array([.string("a")])),
                                   ("shards", .array([.object([JSON.Member("file", .string("h")), JSON.Member("count", .integer(1))])]))]),
                         to: "latents.json")
        let header = #"{"moments":{"dtype":"F16","shape":[1,4,2,3],"data_offsets":[0,48]},"labels":{"dtype":"I32","shape":[1],"data_offsets":[48,52]}}"#
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
        let halves = (0..<24).flatMap { [UInt8(0), UInt8(0x3C + $0 % 2 * 0x80)] }
        try folder.write(length + Array(header.utf8) + halves + [0, 0, 0, 0], to: "h")
        let set = try DataSource.open(folder.path).training
        #expect(try ImageFixtures.values(set, 0) == (0..<24).map { $0 % 2 == 0 ? 1 : -1 })
        var options = DataSource.Options()
        options.augmentation.flip = true
        #expect(errorText { _ = try DataSource.open(folder.path, options) }?.contains("no latents of mirrored images") == true)
    }

    @Test func opensMoreShardsThanItHolds() throws {
        let count = 300
        try folder.write(manifest([("count", .integer(count)), ("classes", .array([.string("a")])), ("shards", .array((0..<count).map {
            .object([JSON.Member("file", .string("latents-\($0).safetensors")), JSON.Member("count", .integer(1))])
        }))]), to: "latents.json")
        for n in 0..<count { try writeShard(n, first: n, count: 1, labels: [0]) }
        let set = try DataSource.open(folder.path).training
        for _ in 0..<2 {
            var n = 0
            while n < set.count {
                let first = try ImageFixtures.values(set, n)[0]
                #expect(first == Float((n + n / 4) * 100))
                n += 37
            }
        }
    }

    @Test("the shard that is used all the time stays open") func keepsTheShardsLastUsed() throws {
        let paths = try (0..<6).map { n in
            let path = folder.file("\(n).safetensors")
            try SafeTensors.write(["x": NamedTensor(shape: [1], ints: [Int32(n)])], to: path)
            return path
        }
        let files = ShardFiles(paths, limit: 3)
        for cold in 1..<6 {
            for shard in [0, cold, 0] { #expect(try files.open(shard).tensor("x").ints == [Int32(shard)]) }
        }
        // Each once, the first one too.
        #expect(files.openedCount == 6)
        // Of 0, 4 and 5 the one used longest ago goes.
        for shard in [4, 5, 1, 4, 5, 0] { _ = try files.open(shard) }
        #expect(files.openedCount == 8)
    }

    @Test(arguments: [
        ("format", JSON.integer(2)), ("format", nil), ("channels", .integer(0)), ("channels", .integer(1 << 60)), ("height", nil),
        ("width", .string("3")), ("classes", .array([])), ("classes", .array([.integer(1)])), ("classes", nil), ("count", .integer(6)),
        ("count", .integer(-1)), ("scale", .integer(0)), ("scale", .string("x")), ("flipped", .integer(1)), ("shards", nil),
        ("shards", .array([.null])), ("shards", .array([.object([JSON.Member("file", .string("../x")), JSON.Member("count", .integer(1))])])),
        ("shards", .array([.object([JSON.Member("file", .string("gone")), JSON.Member("count", .integer(5))])])),
        ("shards", .array([.object([JSON.Member("file", .string("latents-0.safetensors")), JSON.Member("count", .integer(.max))])])),
    ] as [(String, JSON?)])
    func refusesManifests(_ key: String, _ value: JSON?) throws {
        try write()
        try folder.write(manifest([(key, value)]), to: "latents.json")
        #expect(error().hasPrefix(folder.path) && !error().contains("\n"), "\(key): \(error())")
    }

    @Test func refusesDamagedManifestsAndShards() throws {
        try write()
        let text = Array(manifest().utf8)
        for length in 0..<text.count {
            try folder.write(Array(text[..<length]), to: "latents.json")
            #expect(error().contains("latents.json"), "cut at \(length)")
        }
        for i in text.indices {
            var damaged = text
            damaged[i] ^= 1 << UInt8(i % 7)
            try folder.write(damaged, to: "latents.json")
            #expect(!error().contains("\n"))
        }
        try write()
        let shape = [3, 4, 2, 3]
        let bad: [(String, NamedTensor)] = [
            ("moments", try NamedTensor(shape: [3, 4, 3, 2], floats: moments(0, 3))),
            ("moments_flipped", try NamedTensor(shape: shape, bytes: [UInt8](repeating: 0, count: 72))),
            ("labels", try NamedTensor(shape: [3], ints: [0, 1, 2])), ("labels", try NamedTensor(shape: [3], ints: [0, -1, 0])),
            ("labels", try NamedTensor(shape: [2], ints: [0, 1])), ("labels", try NamedTensor(shape: [3], longs: [0, 1, 0])),
        ]
        for (name, tensor) in bad {
            try writeShard(0, first: 0, count: 3, labels: [0, 1, 0], change: [name: tensor])
            #expect(error().contains("latents-0.safetensors"), "\(name) \(error())")
        }
        try write()
        let shard = try Files.read(folder.file("latents-2.safetensors"))
        try folder.write(Array(shard.dropLast()), to: "latents-2.safetensors")
        #expect(error().contains("truncated"))
    }

    @Test func refusesOtherShapes() throws {
        try write()
        var options = DataSource.Options()
        options.height = 32
        #expect(errorText { _ = try DataSource.open(folder.path, options) }?.contains("latents are 2x2x3") == true)
        options = DataSource.Options()
        options.augmentation.crop = .random
        #expect(errorText { _ = try DataSource.open(folder.path, options) }?.contains("cannot be cropped") == true)
    }
}
