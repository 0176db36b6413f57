import DriftFormats

/// What lies in a folder of samples, as `samples.json` there says: the files of its newest sampling, and what they are.
///
/// It is written before the first file and once more after the last: what it names is at any time all that a sampling may have
/// left there, so that the next one can remove it, and a folder whose sampling was stopped can be told from a whole one.
public struct SampleManifest: Sendable, Equatable {
    /// Labels in the order of their images.
    let labels: [Int]
    /// Images of each label.
    let perLabel: Int
    /// [channels, height, width] of an image.
    let shape: [Int]
    let rendering: Rendering.Kind
    /// Images with a value that is not finite.
    let notFinite: Int
    /// CRC-32 of the values in samples.npy; nil where only pictures were written.
    let checksum: UInt32?
    /// How they were drawn: names and values, in order.
    let settings: [JSON.Member]
    /// Whether all files are there.
    var isComplete = false

    static let name = "samples.json"
    static let arrays = "samples.npy"
    static let labelsArray = "labels.npy"
    static let grid = "grid.png"

    /// N.
    var count: Int { labels.count * perLabel }
    /// The label of each image, [N].
    var imageLabels: [Int32] { labels.flatMap { [Int32](repeating: Int32(truncatingIfNeeded: $0), count: perLabel) } }
    /// Name of each image's picture, [N].
    var pictures: [String] { labels.flatMap { label in (0..<perLabel).map { Self.picture(label: label, number: $0) } } }

    /// Tells whether a file of the folder, by its name, is one of the sampling's. Nothing is made of the number of images that a
    /// damaged list may name.
    private func membership() -> (String) -> Bool {
        let labels = Set(labels)
        return { name in
            if name == Self.grid { return true }
            if name == Self.arrays || name == Self.labelsArray { return checksum != nil }
            let parts = name.dropLast(".png".count).split(separator: "-")
            guard parts.count == 2, let label = Int(parts[0]), let number = Int(parts[1]), labels.contains(label) else { return false }
            return (0..<perLabel).contains(number) && name == Self.picture(label: label, number: number)
        }
    }

    static func picture(label: Int, number: Int) -> String {
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(label, 4))-\(padded(number, 5)).png"
    }

    // MARK: File

    private static let format = 1
    /// Generous, and small enough that a damaged file cannot name more files than memory holds.
    private static let limit = 1 << 24

    /// Writes `samples.json` into the folder.
    func write(to folder: String) throws {
        let members: [JSON.Member] = [
            .init("format", .integer(Self.format)), .init("complete", .bool(isComplete)),
            .init("labels", .array(labels.map { .integer($0) })), .init("per_label", .integer(perLabel)),
            .init("shape", .array(shape.map { .integer($0) })), .init("rendering", .string(rendering.rawValue)),
            .init("not_finite", .integer(notFinite)), .init("checksum", checksum.map { .integer(Int($0)) } ?? .null),
            .init("settings", .object(settings)),
        ]
        try AtomicFile.write(text: JSON.object(members).text + "\n", to: Files.join(folder, Self.name))
    }

    /// The manifest of a folder; nil where it has none. Throws a line where it is damaged.
    static func read(in folder: String) throws -> SampleManifest? {
        let path = Files.join(folder, name)
        guard Files.exists(path) else { return nil }
        let remedy = "remove it and what was sampled there, and sample again"
        let json: JSON
        do {
            json = try JSON.parse(Files.read(path))
        } catch let error as JSON.ParseError {
            throw DataError("no JSON (\(error))", at: path, fix: remedy)
        }
        guard let found = json["format"]?.integer, found == format else {
            throw DataError("no list of samples of format \(format)", at: path, fix: remedy)
        }
        func integers(_ key: String) -> [Int]? {
            guard let values = json[key]?.array else { return nil }
            let integers = values.compactMap(\.integer)
            return integers.count == values.count ? integers : nil
        }
        guard let isComplete = json["complete"]?.bool, let labels = integers("labels"), let perLabel = json["per_label"]?.integer,
            let shape = integers("shape"), let kind = json["rendering"]?.string.flatMap(Rendering.Kind.init(rawValue:)),
            let notFinite = json["not_finite"]?.integer, let checksum = json["checksum"], let settings = json["settings"]?.members,
            shape.count == 3, shape.allSatisfy({ (1...limit).contains($0) }), labels.allSatisfy({ (0..<limit).contains($0) }),
            (0...limit).contains(perLabel), labels.count <= limit / max(perLabel, 1), notFinite >= 0,
            checksum == .null || checksum.integer.flatMap({ UInt32(exactly: $0) }) != nil
        else { throw DataError("values that no sampling has", at: path, fix: remedy) }
        return SampleManifest(
            labels: labels, perLabel: perLabel, shape: shape, rendering: kind, notFinite: notFinite,
            checksum: checksum.integer.map { UInt32(truncatingIfNeeded: $0) }, settings: settings, isComplete: isComplete)
    }

    /// CRC-32 of values as samples.npy holds them.
    static func checksum(of values: [Float]) -> UInt32 {
        var crc = CRC32()
        values.withUnsafeBytes { crc.update($0) }
        return crc.value
    }

    // MARK: Folders

    /// Makes room in the folder: removes the files that an earlier sampling listed and this one does not write, and then lists
    /// its own as not yet complete. Returns how many were removed.
    func prepare(_ folder: String) throws -> Int {
        try Files.makeFolder(folder)
        let isOwn = membership()
        var removed = 0
        if let isEarlier = try Self.read(in: folder)?.membership() {
            for name in try Files.names(in: folder) where isEarlier(name) && !isOwn(name) {
                try Files.removeTree(Files.join(folder, name))
                removed += 1
            }
        }
        var listed = self
        listed.isComplete = false
        try listed.write(to: folder)
        return removed
    }

    private static let endings = [".png", ".jpg", ".jpeg"]

    /// Whether a file is a picture by its name.
    static func isPicture(_ name: String) -> Bool {
        !name.hasPrefix(".") && endings.contains { name.lowercased().hasSuffix($0) }
    }

    /// Files of the folder that look like samples and are none of this sampling: of one without a list, or put there by hand.
    func others(in folder: String) throws -> Int {
        let isOwn = membership()
        return try Files.names(in: folder).count { name in
            !isOwn(name) && !name.hasPrefix(".")
                && (Self.isPicture(name) || name == Self.arrays || name == Self.labelsArray)
        }
    }
}
