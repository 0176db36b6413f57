import Foundation

@testable import DriftAR
@testable import DriftFormats

/// Small valid inputs to start from: fixtures of the tests, and files as the program itself writes them.
struct Seeds {
    /// Where files can be made.
    let folder: String

    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Tests/Fixtures").path
    /// Larger fixtures would only slow the search down.
    private static let byteLimit = 8192

    private func fixtures(_ part: String, _ endings: String...) throws -> [(name: String, bytes: [UInt8])] {
        let own = Files.join(Self.fixtures, part)
        return try Files.names(in: own).filter { name in endings.contains { name.hasSuffix("." + $0) } }
            .map { ($0, try Files.read(Files.join(own, $0))) }.filter { $0.bytes.count <= Self.byteLimit }
    }

    /// The bytes that `write` puts into a file.
    private func made(_ write: (String) throws -> Void) throws -> [UInt8] {
        let path = Files.join(folder, "made")
        defer { try? Files.removeTree(path) }
        try write(path)
        return try Files.read(path)
    }
}

// MARK: Text

extension Seeds {
    func text() throws -> [[UInt8]] {
        let values = #"{"a": [0, -1.5e-3, 12345678901234567890, true, false, null], "é": "\ud83d\ude00\u0000\n\"", "b": {"c": {}}}"#
        return try [Array(values.utf8), Array("[]".utf8)] + manifests() + configurations()
    }

    func configurations() throws -> [[UInt8]] {
        let some = #"{"model": "dit", "radii": [0.1], "classes": 3, "seed": 18446744073709551615, "clip": 1e-3, "flip": true}"#
        return [Array(try Configuration().json()), Array(some.utf8), Array("{}".utf8)]
    }

    func manifests() throws -> [[UInt8]] {
        let entry = CheckpointManifest.Entry(byteCount: 5, checksum: 0xDEAD_BEEF)
        try CheckpointManifest(step: 7, entries: ["model.safetensors": entry, "state.json": entry]).write(to: folder)
        let path = Files.join(folder, CheckpointManifest.name)
        defer { try? Files.removeTree(path) }
        return [try Files.read(path)]
    }

    func latents() throws -> [[UInt8]] {
        let manifest = """
            {"format":1,"channels":2,"height":1,"width":3,"classes":["a","b"],"scale":0.5,"flipped":false,"total":2,"shard":2,\
            "image_height":8,"image_width":24,"encoder_checksum":"1a","count":2,\
            "shards":[{"file":"latents-00000.safetensors","count":2}]}
            """
        return [Array(manifest.utf8)]
    }

    /// The shard that the manifest of `latents` and the index of `shards` name.
    static func latentShard() throws -> [UInt8] {
        let folder = NSTemporaryDirectory() + "fuzz-\(getpid())"
        try Files.makeFolder(folder)
        defer { try? Files.removeTree(folder) }
        let path = Files.join(folder, "shard")
        try SafeTensors.write(
            [
                "labels": NamedTensor(shape: [2], ints: [1, 0]),
                "moments": NamedTensor(shape: [2, 4, 1, 3], floats: [Float](repeating: 0.5, count: 24)),
            ], to: path)
        return try Files.read(path)
    }

    func sampleManifests() throws -> [[UInt8]] {
        try SampleManifest(
            labels: [0, 7], perLabel: 2, shape: [1, 8, 8], rendering: .pixels, notFinite: 0, checksum: 5,
            settings: [.init("driftgpu.cfg", .string("1.5"))]
        ).write(to: folder)
        let path = Files.join(folder, SampleManifest.name)
        defer { try? Files.removeTree(path) }
        return [try Files.read(path)]
    }

    func metrics() -> [[UInt8]] {
        [Array("{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":null,\"eval.frechet\":3}\n{\"step\":30,\"lo".utf8)]
    }
}

// MARK: Weights

extension Seeds {
    func safeTensors() throws -> [[UInt8]] {
        let kinds = try made { path in
            try SafeTensors.write(
                [
                    "a": NamedTensor(shape: [2, 1], floats: [1, -2]), "b": NamedTensor(shape: [], ints: [3]),
                    "c": NamedTensor(shape: [1], longs: [4]), "d": NamedTensor(shape: [3], bytes: [5, 6, 7]),
                    "e": NamedTensor(shape: [0, 9], floats: []),
                ], metadata: ["format": "pt", "é": "\n"], to: path)
        }
        let halves = #"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]}}"#
        let sizes = try made { path in
            func zeros(_ shape: Int...) throws -> NamedTensor {
                try NamedTensor(shape: shape, floats: [Float](repeating: 0, count: shape.reduce(1, *)))
            }
            // The tensors by which an import tells how large a model is.
            try SafeTensors.write(
                [
                    "class_emb.weight": zeros(3, 2), "diffusion_pos_embed_learned": zeros(1, 4, 2),
                    "encoder_pos_embed_learned": zeros(1, 6, 2), "encoder_blocks.0.mlp.fc1.weight": zeros(4, 2),
                    "encoder_blocks.1.mlp.fc1.weight": zeros(4, 2), "z_proj.weight": zeros(2, 4),
                    "drift_decoder.net.res_blocks.0.adaLN_modulation.1.weight": zeros(6, 2),
                ], to: path)
        }
        return [kinds, Self.little(UInt64(halves.utf8.count)) + Array(halves.utf8) + [0, 60, 0, 192, 128, 63], sizes]
    }

    func shards() -> [[UInt8]] {
        [Array(#"{"metadata":{"total_size":104},"weight_map":{"labels":"a.safetensors","moments":"a.safetensors"}}"#.utf8)]
    }

    func pyTorch() throws -> [[UInt8]] { try fixtures("pytorch", "pt", "pth", "ckpt").map(\.bytes) }

    func pickles() throws -> [[UInt8]] {
        try fixtures("pytorch", "pt", "pth", "ckpt").flatMap { name, bytes -> [[UInt8]] in
            guard bytes.starts(with: ZipArchive.magic) else { return [bytes] }
            let archive = try ZipArchive(Files.join(Self.fixtures, "pytorch/" + name))
            return try archive.entries.keys.filter { $0.hasSuffix("data.pkl") }.map { try archive.contents($0, limit: 1 << 20) }
        }
    }
}

// MARK: Arrays

extension Seeds {
    func zips() throws -> [[UInt8]] { try npz() + fixtures("pytorch", "pt").map(\.bytes) }

    func npy() throws -> [[UInt8]] {
        try [NamedTensor(shape: [2, 1], floats: [1, 2]), NamedTensor(shape: [3], ints: [1, 2, 3]), NamedTensor(shape: [], ints: [1])]
            .map { tensor in try made { try NPY.write(tensor, to: $0) } }
    }

    func npz() throws -> [[UInt8]] {
        let images = try made { try NPY.write(NamedTensor(shape: [1, 2, 2, 3], floats: (0..<12).map { Float($0) / 6 - 1 }), to: $0) }
        let labels = try made { try NPY.write(NamedTensor(shape: [1], ints: [3]), to: $0) }
        return try fixtures("metrics", "npz").map(\.bytes) + [Self.zip([("arr_0.npy", images), ("arr_1.npy", labels)])]
    }

    /// A zip file of stored entries without checksums.
    private static func zip(_ entries: [(name: String, bytes: [UInt8])]) -> [UInt8] {
        var (file, directory): ([UInt8], [UInt8]) = ([], [])
        for (name, bytes) in entries {
            let size = little(UInt32(bytes.count))
            let common = [UInt8](repeating: 0, count: 8) + little(UInt32(0)) + size + size + little(UInt16(name.utf8.count)) + little(UInt16(0))
            directory += little(UInt32(0x0201_4B50)) + little(UInt32(20)) + common + [UInt8](repeating: 0, count: 10)
                + little(UInt32(file.count)) + Array(name.utf8)
            file += little(UInt32(0x0403_4B50)) + little(UInt16(20)) + common + Array(name.utf8) + bytes
        }
        let count = little(UInt16(entries.count))
        return file + directory + little(UInt32(0x0605_4B50)) + [0, 0, 0, 0] + count + count
            + little(UInt32(directory.count)) + little(UInt32(file.count)) + [0, 0]
    }
}

// MARK: Images

extension Seeds {
    func pictures(_ ending: String) throws -> [[UInt8]] {
        let found = try fixtures("images", ending).map(\.bytes)
        guard ending == "png" else { return found }
        let small = try Picture(width: 2, height: 1, channels: 3, pixels: [0, 255, 0, 9, 8, 7])
        return try found + [PNG.encode(small, text: [.init("a", "b"), .init("c", "é")])]
    }

    func idx() throws -> [[UInt8]] {
        let images = Self.header(3, [2, 2, 3]) + Array(0..<12)
        let labels = Self.header(1, [4]) + [0, 1, 2, 1]
        return try [images, labels, Self.gzip(images), Self.gzip(labels), Self.gzip(images) + Self.gzip([])]
    }

    func cifar() -> [[UInt8]] { [[UInt8](repeating: 3, count: 3073), [UInt8](repeating: 9, count: 2 * 3073)] }

    private static func header(_ dimensions: UInt8, _ sizes: [Int]) -> [UInt8] {
        [0, 0, 8, dimensions] + sizes.flatMap { [UInt8(0), 0, 0, UInt8($0)] }
    }

    /// A gzip file of one stored block.
    private static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        let count = UInt16(bytes.count)
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1] + little(count) + little(~count) + bytes + little(CRC32.of(bytes))
            + little(UInt32(bytes.count))
    }

    private static func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
