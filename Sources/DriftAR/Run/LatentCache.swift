import DriftData
import DriftFormats
import DriftGPU
import DriftMPI
import Foundation

/// Writes the moments of a data set's images to a folder that `LatentFolder` reads: once, shard by shard. Several processes can share
/// the work: of n processes, that of rank r writes every n-th shard; the first also writes the manifest.
///
/// While it is being written the manifest is called `latents.partial.json`; every shard is complete before the manifest
/// names it. A second run with the same settings goes on after the last such shard; with others it is refused.
public struct LatentCache {
    /// What the latents are made of.
    public struct Settings: Sendable {
        public var images: ImageSet
        public var scale: Float
        /// Writes the moments of the mirrored images too.
        public var flip: Bool
        /// Images of a shard.
        public var shard: Int
        /// Whether the data have a part that is held out, which is none of these images.
        public var isHeldOutApart: Bool

        public init(images: ImageSet, scale: Float, flip: Bool, shard: Int = 256, isHeldOutApart: Bool = false) {
            (self.images, self.scale, self.flip, self.shard, self.isHeldOutApart) = (images, scale, flip, shard, isHeldOutApart)
        }
    }

    private static let partialName = "latents.partial.json"

    private let folder: String
    private let settings: Settings
    private let autoencoder: Autoencoder
    private let ranks: any RankGroup
    /// Everything of the manifest but what grows.
    private let head: [JSON.Member]
    private var shards: [(file: String, count: Int)] = []

    /// Images written so far.
    public private(set) var done = 0
    public var total: Int { settings.images.count }
    /// Images that could not be read; in the place of each stands another of its class.
    public var brokenCount: Int { settings.images.broken.count }

    private var partialPath: String { Files.join(folder, Self.partialName) }
    private var path: String { Files.join(folder, LatentFolder.manifestName) }

    /// Opens the folder, which need not exist. Throws where it holds latents of other settings.
    public init(_ settings: Settings, autoencoder: Autoencoder, folder: String, ranks: any RankGroup = SingleRank()) throws {
        let (images, shape) = (settings.images, autoencoder.vae.shape)
        guard settings.scale > 0, settings.scale.isFinite, settings.scale < 1e6 else {
            throw ConfigurationError("scale \(settings.scale): must be a number above 0")
        }
        guard settings.shard > 0, settings.shard <= 1 << 20 else {
            throw ConfigurationError("shard \(settings.shard): take 1 to \(1 << 20) images")
        }
        guard images.form.arePixels, images.channels == shape.imageChannels else {
            throw ConfigurationError("the autoencoder takes pictures of \(shape.imageChannels) channels; name a data set of such pictures")
        }
        try shape.check(height: images.height, width: images.width)
        self.folder = folder
        self.settings = settings
        self.autoencoder = autoencoder
        self.ranks = ranks
        head = [
            JSON.Member("format", .integer(1)), JSON.Member("channels", .integer(shape.latentChannels)),
            JSON.Member("height", .integer(images.height / shape.factor)),
            JSON.Member("width", .integer(images.width / shape.factor)),
            JSON.Member("classes", .array(images.classNames.map(JSON.string))),
            JSON.Member("scale", .number(Double("\(settings.scale)") ?? 0)), JSON.Member("flipped", .bool(settings.flip)),
            JSON.Member("total", .integer(images.count)), JSON.Member("shard", .integer(settings.shard)),
            JSON.Member("image_height", .integer(images.height)), JSON.Member("image_width", .integer(images.width)),
            JSON.Member("encoder_checksum", .string(String(try autoencoder.encoderChecksum(), radix: 16))),
        ] + (autoencoder.precision == .fp32 ? [] : [JSON.Member("precision", .string(autoencoder.precision.rawValue))])
        try Files.makeFolder(folder)
        for path in [path, partialPath] where Files.exists(path) {
            try resume(path)
            break
        }
        // None writes before all have read.
        try ranks.together {}
    }

    /// Takes up what the manifest says is written, if it is of the same settings.
    private mutating func resume(_ path: String) throws {
        let json: JSON
        do {
            json = try JSON.parse(Files.read(path))
        } catch let error as JSON.ParseError {
            throw DataError("no JSON: \(error)", at: path, fix: "choose another folder, or empty this one")
        }
        // Older folders, and those of single precision, do not say it.
        let precision = json["precision"]?.string ?? Precision.fp32.rawValue
        guard precision == autoencoder.precision.rawValue else {
            throw DataError("holds latents made in \(precision), now \(autoencoder.precision.rawValue)", at: folder,
                            fix: "give --precision \(precision), or choose another folder")
        }
        for member in head where json[member.key]?.text != member.value.text {
            let (there, here) = (json[member.key]?.text ?? "missing", member.value.text)
            let detail = there.count + here.count < 80 ? " (\(there), now \(here))" : ""
            throw DataError("holds latents of other settings: \(member.key) differs\(detail)", at: folder,
                            fix: "choose another folder, empty this one, or use its settings")
        }
        for shard in json["shards"]?.array ?? [] {
            let name = Self.name(ofShard: shards.count)
            let expected = min(settings.shard, total - done)
            guard shard["file"]?.string == name, shard["count"]?.integer == expected, expected > 0,
                Files.exists(Files.join(folder, name))
            else {
                throw DataError("shard \(shards.count) is not as it was written", at: path,
                                fix: "choose another folder, or empty this one")
            }
            shards.append((name, expected))
            done += expected
        }
    }

    private static func name(ofShard number: Int) -> String {
        let digits = String(number)
        return "latents-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".safetensors"
    }

    /// Encodes and writes the next shard, one for each process that there is one for; false when all are written. The last gives the
    /// manifest its name.
    public mutating func writeShards() throws -> Bool {
        if done < total {
            let begun = shards.count
            let ranges = (0..<ranks.count).map { done + $0 * settings.shard }.filter { $0 < total }
                .map { $0..<min($0 + settings.shard, total) }
            try ranks.together {
                if ranks.rank < ranges.count { try write(ranges[ranks.rank], to: Self.name(ofShard: begun + ranks.rank)) }
            }
            for range in ranges {
                shards.append((Self.name(ofShard: shards.count), range.count))
                done = range.upperBound
            }
            try ranks.together { if ranks.isFirst { try writeManifest(to: partialPath) } }
        }
        guard done == total else { return true }
        try ranks.together {
            guard ranks.isFirst, !Files.exists(path) else { return }
            try writeManifest(to: path)
            try Files.removeTree(partialPath)
        }
        return false
    }

    private func write(_ range: Range<Int>, to name: String) throws {
        let labels = range.map { settings.images.index.labels[$0] }
        var tensors = ["labels": try NamedTensor(shape: [range.count], ints: labels)]
        tensors["moments"] = try moments(range, flipped: false)
        if settings.flip { tensors["moments_flipped"] = try moments(range, flipped: true) }
        try SafeTensors.write(tensors, to: Files.join(folder, name))
    }

    private func moments(_ range: Range<Int>, flipped: Bool) throws -> NamedTensor {
        let (images, shape) = (settings.images, autoencoder.vae.shape)
        let atOnce = autoencoder.batch(pixels: images.height * images.width)
        var moments: [Float] = []
        for start in stride(from: range.lowerBound, to: range.upperBound, by: atOnce) {
            let part = (start..<min(start + atOnce, range.upperBound)).map {
                DrawnImage(index: $0, variant: ImageVariant(isFlipped: flipped))
            }
            var values = [Float](repeating: 0, count: part.count * images.valueCount)
            try values.withUnsafeMutableBufferPointer { try images.read(part, to: $0) }
            moments += try autoencoder.moments(values, height: images.height, width: images.width)
        }
        return try NamedTensor(
            shape: [range.count, 2 * shape.latentChannels, images.height / shape.factor, images.width / shape.factor],
            floats: moments)
    }

    private func writeManifest(to path: String) throws {
        let list = shards.map { shard in
            JSON.object([JSON.Member("file", .string(shard.file)), JSON.Member("count", .integer(shard.count))])
        }
        let apart = settings.isHeldOutApart ? [JSON.Member(LatentFolder.apartKey, .bool(true))] : []
        let manifest = JSON.object(
            head + apart + [JSON.Member("count", .integer(done)), JSON.Member("shards", .array(list))])
        try AtomicFile.write(Array((manifest.text + "\n").utf8), to: path)
    }

    /// What is wrong with the images that could not be read since the last call.
    public func takeReasons() -> [String] { settings.images.broken.takeReasons() }
}
