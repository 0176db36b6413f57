import DriftFormats
import DriftGPU
import Foundation

/// Conditions of labels in a safetensors file, so that a later run with the same weights need not encode them again.
///
/// A label has the tensors `label.N.z` [R, D] and where the stage has it `label.N.entropy` [R] (`unconditional.z` and so on for the one of
/// guidance) and a checksum in the metadata. The file carries the identity of weights and device it belongs to and is refused
/// by any other, so a run with the cache draws the same bits as one without. Labels are read when they are asked for.
public final class LabelCache {
    /// Where the file lies.
    public enum Place: Sendable, Equatable {
        /// In the user's cache folder, under a name made of weights and device.
        case automatic
        case file(String)
    }

    private enum Key {
        static let format = "driftgpu.labels"
        static let weights = "driftgpu.weights"
        static let device = "driftgpu.device"
    }
    private static let format = "1"

    public let path: String
    private let identity: EncoderIdentity
    private let shape: LabelStage.Shape
    private let file: SafeTensorsFile?
    /// Labels in the file.
    private let stored: Set<Int?>
    private var added: [Int?: LabelCondition] = [:]
    private var isSaved = true

    /// Opens the file, or prepares to make it. Throws when it is no label cache, or belongs to other weights or another device.
    init(
        _ place: Place, _ identity: EncoderIdentity, _ shape: LabelStage.Shape,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        switch place {
        case .file(let path): self.path = path
        case .automatic:
            guard let folder = CacheFolder.path("labels", environment: environment) else {
                throw ConfigurationError("label-cache on: there is no cache folder; set DRIFTGPU_CACHE, or name a file")
            }
            path = Files.join(folder, identity.name + ".safetensors")
        }
        self.identity = identity
        self.shape = shape
        guard Files.exists(path) else {
            (file, stored) = (nil, [])
            // Now, and not after an hour of drawing, a place that cannot be written shows.
            try Files.makeFolder(Files.parent(of: path))
            try write([:])
            return
        }
        let file = try SafeTensorsFile(path)
        guard file.metadata[Key.format] == Self.format else {
            throw DataError("no label cache of format \(Self.format)", at: path, fix: "name another file with --label-cache")
        }
        guard file.metadata[Key.weights] == identity.weights else {
            throw DataError(
                "its labels were encoded with other weights", at: path,
                fix: "remove it, or name another file with --label-cache")
        }
        guard file.metadata[Key.device] == identity.device else {
            throw DataError(
                "its labels were encoded on \(file.metadata[Key.device] ?? "another device"), whose last bits may differ", at: path,
                fix: "remove it, or name another file with --label-cache")
        }
        var labels: Set<Int?> = []
        for name in file.entries.keys {
            guard let label = Self.label(name, classes: shape.classes) else {
                throw DataError("'\(name)' is no tensor of a label cache of this model", at: path, fix: Self.remedy)
            }
            labels.insert(label.number)
        }
        (self.file, stored) = (file, labels)
    }

    private static let remedy = "remove it, then it is written anew"

    /// The condition of a label where the file has it. Throws when what is there is damaged.
    func condition(_ label: Int?) throws -> LabelCondition? {
        guard let file, stored.contains(label) else { return nil }
        let name = Self.name(label)
        do {
            let condition = LabelCondition(
                z: try file.floats(name + ".z", shape: [shape.tokens, shape.embed]),
                entropy: shape.hasEntropy ? try file.floats(name + ".entropy", shape: [shape.tokens]) : [])
            guard file.metadata[name] == Self.checksum(condition) else {
                throw DataError("the checksum of '\(name)' does not fit", at: path, fix: Self.remedy)
            }
            return condition
        } catch let error as DataError {
            throw DataError(error.what, at: path, fix: Self.remedy)
        }
    }

    /// Has a label written with the next `save`.
    func add(_ condition: LabelCondition, of label: Int?) {
        added[label] = condition
        isSaved = false
    }

    /// Writes the file with all labels it had when it was opened and those added since; nothing when that is done already.
    func save() throws {
        guard !isSaved else { return }
        var conditions = added
        for label in stored where conditions[label] == nil { conditions[label] = try condition(label) }
        try write(conditions)
        isSaved = true
    }

    private func write(_ conditions: [Int?: LabelCondition]) throws {
        var tensors: [String: NamedTensor] = [:]
        var metadata = [Key.format: Self.format, Key.weights: identity.weights, Key.device: identity.device]
        for (label, condition) in conditions {
            let name = Self.name(label)
            tensors[name + ".z"] = try NamedTensor(shape: [shape.tokens, shape.embed], floats: condition.z)
            if shape.hasEntropy { tensors[name + ".entropy"] = try NamedTensor(shape: [shape.tokens], floats: condition.entropy) }
            metadata[name] = Self.checksum(condition)
        }
        try SafeTensors.write(tensors, metadata: metadata, to: path)
    }

    private static let unconditional = "unconditional"

    private static func name(_ label: Int?) -> String { label.map { "label.\($0)" } ?? unconditional }

    /// The label of a tensor's name; nil for a name that no label has.
    private static func label(_ tensor: String, classes: Int) -> (number: Int?, kind: String)? {
        guard let dot = tensor.lastIndex(of: ".") else { return nil }
        let (owner, kind) = (String(tensor[..<dot]), String(tensor[tensor.index(after: dot)...]))
        guard kind == "z" || kind == "entropy" else { return nil }
        if owner == unconditional { return (nil, kind) }
        guard owner.hasPrefix("label."), let number = Int(owner.dropFirst(6)), name(number) == owner,
            (0..<classes).contains(number)
        else { return nil }
        return (number, kind)
    }

    private static func checksum(_ condition: LabelCondition) -> String {
        var crc = CRC32()
        condition.z.withUnsafeBytes { crc.update($0) }
        condition.entropy.withUnsafeBytes { crc.update($0) }
        return String(crc.value, radix: 16)
    }
}
