import DriftFormats
import Synchronization

/// A folder of cached latents: `latents.json` and shards of moments, as `driftgpu cache` writes them.
///
/// The manifest and every shard's header are checked when the folder is opened; values are read when an image is drawn.
package struct LatentFolder: ImageReader {
    /// What `latents.json` says.
    struct Manifest {
        let channels: Int
        let height: Int
        let width: Int
        let classNames: [String]
        let count: Int
        /// Factor from latents to what the model sees.
        let scale: Float
        /// Whether the shards hold moments of the mirrored images too.
        let isFlipped: Bool
        /// Whether the held-out pictures were kept out of these latents.
        let isHeldOutApart: Bool
        let shards: [(file: String, count: Int)]
    }

    package static let manifestName = "latents.json"
    package static let apartKey = "held_out_apart"
    private static let remedy = "write the latents again: driftgpu cache"

    let manifest: Manifest
    /// Class of each image.
    package let labels: [Int32]
    private let folder: String
    /// Number of the first image of each shard.
    private let starts: [Int]
    private let files: ShardFiles

    package var mayBreak: Bool { false }
    package var form: ImageForm { .moments(scale: manifest.scale) }

    init(_ folder: String) throws {
        self.folder = folder
        let manifest = try Self.manifest(Files.join(folder, Self.manifestName))
        self.manifest = manifest
        var (labels, starts) = ([Int32](), [Int]())
        for shard in manifest.shards {
            starts.append(labels.count)
            labels += try Self.checked(SafeTensorsFile(Files.join(folder, shard.file)), shard.count, manifest)
        }
        guard labels.count == manifest.count else {
            throw DataError("\(manifest.count) images, but its shards hold \(labels.count)",
                            at: Files.join(folder, Self.manifestName), fix: Self.remedy)
        }
        (self.labels, self.starts) = (labels, starts)
        files = ShardFiles(manifest.shards.map { Files.join(folder, $0.file) })
    }

    private static func manifest(_ path: String) throws -> Manifest {
        func wrong(_ what: String) -> DataError { DataError(what, at: path, fix: remedy) }
        let json: JSON
        do {
            json = try JSON.parse(Files.read(path))
        } catch let error as JSON.ParseError {
            throw wrong("no JSON: \(error)")
        }
        guard json["format"]?.integer == 1 else {
            throw DataError("latents of format \(json["format"]?.text ?? "?"), this program reads 1", at: path,
                            fix: "use the version of the program that wrote them")
        }
        func number(_ key: String, _ range: ClosedRange<Int>) throws -> Int {
            guard let value = json[key]?.integer, range.contains(value) else {
                throw wrong("\(key) is \(json[key]?.text ?? "missing"), not a number of \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        guard let scale = json["scale"]?.double, scale.isFinite, scale > 0, scale < 1e6 else {
            throw wrong("scale is \(json["scale"]?.text ?? "missing"), not a number above 0")
        }
        guard let flipped = json["flipped"]?.bool else { throw wrong("flipped is neither true nor false") }
        guard let names = json["classes"]?.array?.map(\.string), !names.isEmpty, !names.contains(nil) else {
            throw wrong("classes is no list of names")
        }
        guard let list = json["shards"]?.array else { throw wrong("shards is no list") }
        let shards = try list.map { shard in
            guard let file = shard["file"]?.string, !file.isEmpty, !file.contains("/"), let count = shard["count"]?.integer,
                  count >= 0
            else { throw wrong("a shard is no file of this folder with a count") }
            return (file, count)
        }
        return Manifest(
            channels: try number("channels", 1...64), height: try number("height", 1...4096),
            width: try number("width", 1...4096), classNames: names.compactMap { $0 }, count: try number("count", 1...(1 << 40)),
            scale: Float(scale), isFlipped: flipped, isHeldOutApart: json[apartKey]?.bool ?? false, shards: shards)
    }

    /// Labels of a shard whose tensors are all as the manifest says.
    private static func checked(_ file: SafeTensorsFile, _ count: Int, _ manifest: Manifest) throws -> [Int32] {
        let shape = [count, 2 * manifest.channels, manifest.height, manifest.width]
        for name in manifest.isFlipped ? ["moments", "moments_flipped"] : ["moments"] {
            let entry = try file.entry(name)
            guard entry.shape == shape, entry.type == .f32 || entry.type == .f16 else {
                throw DataError("tensor '\(name)' is \(entry.type.rawValue) \(entry.shape), the manifest says F32 or F16 \(shape)",
                                at: file.path, fix: remedy)
            }
        }
        guard let labels = try file.tensor("labels").ints, labels.count == count else {
            throw DataError("tensor 'labels' is not I32 [\(count)]", at: file.path, fix: remedy)
        }
        if let wrong = labels.first(where: { !manifest.classNames.indices.contains(Int($0)) }) {
            throw DataError("label \(wrong), the classes are 0..<\(manifest.classNames.count)", at: file.path, fix: remedy)
        }
        return labels
    }

    package func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        // The last shard that starts at or before the row: shards may be empty.
        var (low, high) = (0, starts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= row { low = middle } else { high = middle }
        }
        let file = try files.open(low)
        let name = variant.isFlipped ? "moments_flipped" : "moments"
        let place = row - starts[low]
        if try file.entry(name).type == .f32 {
            try file.read(name, at: place * buffer.count, into: buffer)
        } else {
            let values = buffer.bindMemory(to: Float.self)
            var halves = [UInt16](repeating: 0, count: values.count)
            try halves.withUnsafeMutableBytes { try file.read(name, at: place * values.count * 2, into: $0) }
            for i in 0..<values.count { values[i] = HalfPrecision.float(half: halves[i]) }
        }
    }
}

/// Shards open for reading, the last used of them: there may be more than a process can hold open.
final class ShardFiles: Sendable {
    private struct State {
        var open: [Int: (file: SafeTensorsFile, lastUse: Int)] = [:]
        var uses = 0
        var opened = 0

        mutating func use(_ shard: Int) -> SafeTensorsFile? {
            uses += 1
            open[shard]?.lastUse = uses
            return open[shard]?.file
        }

        mutating func insert(_ file: SafeTensorsFile, _ shard: Int, limit: Int) {
            opened += 1
            open[shard] = (file, uses)
            if open.count > limit, let oldest = open.min(by: { $0.value.lastUse < $1.value.lastUse }) { open[oldest.key] = nil }
        }
    }

    private let paths: [String]
    private let limit: Int
    private let state = Mutex(State())

    /// - Parameter limit: shards held open.
    init(_ paths: [String], limit: Int = 128) { (self.paths, self.limit) = (paths, limit) }

    /// How often a shard has been opened.
    var openedCount: Int { state.withLock { $0.opened } }

    func open(_ shard: Int) throws -> SafeTensorsFile {
        if let file = state.withLock({ $0.use(shard) }) { return file }
        let file = try SafeTensorsFile(paths[shard])
        state.withLock { $0.insert(file, shard, limit: limit) }
        return file
    }
}
