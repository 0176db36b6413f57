import DriftFormats

/// The checkpoints of a run: one folder a step below `out/<run>/checkpoints`.
///
/// A checkpoint `step-00001000` holds safetensors and small files, and a manifest with size and checksum of each. It is
/// written under a hidden name, synced and renamed, so a folder of that form is always complete: a killed run leaves
/// a hidden folder behind, which nobody reads and the next `save` removes. The names of tensors and files mean nothing
/// here.
public struct CheckpointFolder: Sendable {
    /// Contents of one file of a checkpoint.
    public enum Contents: Sendable {
        case tensors([String: NamedTensor], metadata: [String: String] = [:])
        case bytes([UInt8])
    }

    /// For example `out/digits/checkpoints`.
    public let path: String
    /// How many checkpoints to keep; nil keeps all.
    public let keep: Int?

    public init(_ path: String, keep: Int? = 3) {
        self.path = path
        self.keep = keep.map { max(1, $0) }
    }

    /// The folder of a step's checkpoint, whether it exists or not.
    public func folder(of step: Int) -> String {
        Files.join(path, Self.name(of: step))
    }

    /// Steps of all complete checkpoints, ascending; none where the folder does not exist.
    public func steps() throws -> [Int] {
        guard Files.exists(path) else { return [] }
        return try Files.names(in: path).compactMap(Self.step(of:))
            .filter { Files.exists(Files.join(folder(of: $0), CheckpointManifest.name)) }.sorted()
    }

    /// The newest complete checkpoint.
    public func latest() throws -> Int? {
        try steps().last
    }

    /// Writes a checkpoint, then removes those beyond `keep` that are older than it, unless told not to. Returns its folder.
    ///
    /// One that the step already has is replaced.
    @discardableResult
    public func save(step: Int, _ files: [String: Contents], prunes: Bool = true) throws -> String {
        try save(
            step: step,
            writers: files.mapValues { contents in
                { file in
                    switch contents {
                    case .tensors(let tensors, let metadata):
                        try SafeTensors.write(tensors, metadata: metadata, to: file)
                    case .bytes(let bytes): try file.write(bytes)
                    }
                }
            }, prunes: prunes)
    }

    /// The same, where each file is written when its turn comes.
    func save(step: Int, writers: [String: (AtomicFile) throws -> Void], prunes: Bool = true) throws -> String {
        guard step >= 0 else {
            throw DataError("a checkpoint of step \(step)", at: path, fix: "count steps from 0")
        }
        try Files.makeFolder(path)
        try clean()
        let temporary = Files.join(path, Self.temporaryPrefix + Self.name(of: step))
        do {
            try Files.makeFolder(temporary)
            var entries: [String: CheckpointManifest.Entry] = [:]
            for (name, write) in writers.sorted(by: { $0.key < $1.key }) {
                guard !name.isEmpty, !name.hasPrefix("."), !name.contains("/"), name != CheckpointManifest.name else {
                    throw DataError("'\(name)' cannot be a file of a checkpoint", at: path,
                                    fix: "choose a plain file name")
                }
                let file = try AtomicFile(Files.join(temporary, name), checksummed: true)
                try write(file)
                try file.commit()
                entries[name] = CheckpointManifest.Entry(byteCount: file.byteCount, checksum: file.checksum)
            }
            try CheckpointManifest(step: step, entries: entries).write(to: temporary)
            try replace(step, by: temporary)
        } catch {
            try? Files.removeTree(temporary)
            throw error
        }
        if prunes { try prune(upTo: step) }
        return folder(of: step)
    }

    /// Opens a checkpoint and compares sizes and checksums of its files with the manifest. `only`: the files that are wanted; nil: all.
    public func open(step: Int, only names: [String]? = nil) throws -> Checkpoint {
        let folder = folder(of: step)
        let all = try steps()
        guard all.contains(step) else {
            let known = all.isEmpty ? "there are none yet" : "there are " + all.suffix(8).map(String.init).joined(separator: ", ")
            throw DataError("no complete checkpoint of step \(step)", at: folder, fix: "choose another step (\(known))")
        }
        let remedy: String
        if let previous = all.last(where: { $0 < step }) {
            remedy = "remove \(folder) to continue from the previous checkpoint, \(Self.name(of: previous))"
        } else {
            remedy = "there is no earlier checkpoint: start the run again"
        }
        let manifest = try CheckpointManifest(readFrom: folder, remedy: remedy)
        guard manifest.step == step else {
            throw DataError("its manifest is of step \(manifest.step)", at: folder, fix: remedy)
        }
        try manifest.verify(names, in: folder, remedy: remedy)
        return Checkpoint(step: step, folder: folder, manifest: manifest, remedy: remedy)
    }

    /// Removes the checkpoints after a step: a run that continues from it will write its own.
    public func removeAll(after step: Int) throws {
        for later in try steps() where later > step { try remove(later) }
    }

    /// Removes what killed runs left behind. Called by `save`; not to be called while another process saves here.
    public func clean() throws {
        guard Files.exists(path) else { return }
        for name in try Files.names(in: path) {
            let leftover = Files.join(path, name)
            if name.hasPrefix(Self.temporaryPrefix) {
                try Files.removeTree(leftover)
            } else if name.hasPrefix(Self.replacedPrefix) {
                // Killed between the two renames of a replacement: the old checkpoint is still the good one.
                let original = Files.join(path, String(name.dropFirst(Self.replacedPrefix.count)))
                if Files.exists(original) {
                    try Files.removeTree(leftover)
                } else {
                    try Files.rename(leftover, to: original)
                }
            }
        }
    }

    private static let prefix = "step-"
    private static let temporaryPrefix = ".tmp-"
    private static let replacedPrefix = ".old-"

    private static func name(of step: Int) -> String {
        let digits = String(step)
        return prefix + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    private static func step(of name: String) -> Int? {
        guard name.hasPrefix(prefix), let step = Int(name.dropFirst(prefix.count)), self.name(of: step) == name else {
            return nil
        }
        return step
    }

    private func replace(_ step: Int, by temporary: String) throws {
        let target = folder(of: step)
        if Files.exists(target) {
            let replaced = Files.join(path, Self.replacedPrefix + Self.name(of: step))
            try Files.rename(target, to: replaced)
            do {
                try Files.rename(temporary, to: target)
            } catch {
                try? Files.rename(replaced, to: target)
                throw error
            }
            try Files.syncFolder(path)
            try Files.removeTree(replaced)
        } else {
            try Files.rename(temporary, to: target)
            try Files.syncFolder(path)
        }
    }

    /// Removes the checkpoints beyond `keep` that are older than that of `step`.
    func prune(upTo step: Int) throws {
        guard let keep else { return }
        for old in try steps().filter({ $0 <= step }).dropLast(keep) { try remove(old) }
    }

    /// Hides the folder first: a kill while its files go must not leave half a checkpoint under a good name.
    private func remove(_ step: Int) throws {
        let hidden = Files.join(path, Self.temporaryPrefix + Self.name(of: step))
        try Files.removeTree(hidden)
        try Files.rename(folder(of: step), to: hidden)
        try Files.removeTree(hidden)
    }
}

/// A complete checkpoint, verified when it was opened.
public struct Checkpoint: Sendable {
    public let step: Int
    public let folder: String
    let manifest: CheckpointManifest
    let remedy: String

    /// Names of its files, sorted.
    public var files: [String] { manifest.entries.keys.sorted() }

    /// One of its safetensors files, open for reading.
    public func tensors(_ name: String) throws -> SafeTensorsFile {
        try present(name)
        return try advising { try SafeTensorsFile(Files.join(folder, name)) }
    }

    /// All bytes of one of its files.
    public func bytes(_ name: String) throws -> [UInt8] {
        try present(name)
        return try advising { try Files.read(Files.join(folder, name)) }
    }

    private func present(_ name: String) throws {
        if manifest.entries[name] == nil {
            throw DataError("the checkpoint has no such file", at: Files.join(folder, name), fix: remedy)
        }
    }

    private func advising<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DataError {
            throw DataError(error.what, at: error.place, fix: remedy)
        }
    }
}
