import DriftAR
import DriftFormats
import Foundation

/// One case of the set: its settings and its tensors, whose values are read when asked for.
public struct GoldenCase: Sendable {
    public let id: String
    /// The whole entry of the index.
    let entry: JSON
    let tensors: [GoldenTensor]
    private let folder: String
    private let path: String
    private let byKey: [String: GoldenTensor]

    /// The part of the id in front of its first slash.
    var family: String { String(id.prefix { $0 != "/" }) }
    /// A case that only holds what others use.
    var isShared: Bool { !tensors.contains(where: \.isExpectation) && entry["adamw_decay"] == nil }

    init(_ entry: JSON, folder: String, index: String) throws {
        guard let id = entry["id"]?.string, let file = entry["file"]?.string, let list = entry["tensors"]?.array else {
            throw DataError("a case without id, file or tensors", at: index, fix: "take another copy of the set")
        }
        let rule = "abs(got-want) <= atol of the tensor, element-wise"
        if let given = entry["tolerance"]?["rule"]?.string, given != rule {
            throw DataError("case '\(id)' asks for the rule '\(given)'", at: index, fix: "only '\(rule)' is known")
        }
        self.id = id
        self.entry = entry
        self.folder = folder
        path = Files.join(folder, file)
        tensors = try list.map { try GoldenTensor($0, case: id, index: index) }
        byKey = Dictionary(tensors.map { ($0.role + "/" + $0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Settings

    private func setting<T>(_ name: String, _ kind: String, _ read: (JSON) -> T?) throws -> T {
        if let own = entry["config"]?[name].flatMap(read) { return own }
        // A case that takes its parameters from another has the same sizes.
        if let other = try source()?.entry["config"]?[name].flatMap(read) { return other }
        throw DataError("case '\(id)': config has no \(kind) '\(name)'", at: folder, fix: "complete the index")
    }

    func integer(_ name: String) throws -> Int { try setting(name, "integer", \.integer) }
    func number(_ name: String) throws -> Double { try setting(name, "number", \.double) }
    func text(_ name: String) throws -> String { try setting(name, "string", \.string) }
    func flag(_ name: String) throws -> Bool { try setting(name, "flag", \.bool) }
    func numbers(_ name: String) throws -> [Double] {
        try setting(name, "list") { json in json.array.map { $0.compactMap(\.double) } }
    }

    /// Whether the case itself has this setting.
    func has(_ name: String) -> Bool { entry["config"]?[name] != nil }

    /// A list of names in the case's entry.
    func names(_ list: String) -> [String] { entry[list]?.array?.compactMap(\.string) ?? [] }

    /// The case that holds the parameters, if it is another.
    func source() throws -> GoldenCase? {
        guard let reference = entry["params_from"] else { return nil }
        guard let id = reference.string ?? reference["case"]?.string else {
            throw DataError("case '\(self.id)': params_from names no case", at: folder, fix: "complete the index")
        }
        return try GoldenSet.current.get().find(id)
    }

    // MARK: Values

    func has(_ role: String, _ name: String) -> Bool { byKey[role + "/" + name] != nil }

    /// What the index says of the case's own tensor; with `rank`, throws unless it has as many dimensions.
    func about(_ role: String, _ name: String, rank: Int? = nil) throws -> GoldenTensor {
        guard let tensor = byKey[role + "/" + name] else {
            throw DataError("case '\(id)': no tensor \(role)/\(name)", at: folder, fix: "complete the index")
        }
        guard rank == nil || rank == tensor.shape.count else {
            throw DataError(
                "tensor '\(tensor.key)' has the shape \(tensor.shape)", at: folder,
                fix: "give it \(rank ?? 0) dimensions")
        }
        return tensor
    }

    /// The values of the case's own tensor. Throws when the file does not have it in the shape the index gives.
    func values(_ role: String, _ name: String, rank: Int? = nil) throws -> NamedTensor {
        let about = try about(role, name, rank: rank)
        let tensor = try GoldenFiles.open(path).tensor(about.key)
        guard tensor.shape == about.shape, about.isInteger ? tensor.ints != nil : tensor.floats != nil else {
            throw DataError(
                "tensor '\(about.key)' has the shape \(tensor.shape), its index entry says \(about.shape)\(about.isInteger ? " I32" : "")",
                at: path, fix: "take another copy of the set")
        }
        return tensor
    }

    /// An input: the case's own, else the one its family shares, else that of the case with the parameters.
    func input(_ name: String, rank: Int? = nil) throws -> NamedTensor {
        let shared = try GoldenSet.current.get().cases.first { $0.id == family + "/shared" }
        let holder = try [self, shared, source()].first { $0?.has("in", name) == true } ?? nil
        return try (holder ?? self).values("in", name, rank: rank)
    }

    func hasInput(_ name: String) -> Bool { (try? input(name)) != nil }

    /// Parameters by name, its own or those of the case it refers to.
    func parameters() throws -> [String: NamedTensor] {
        guard let holder = try source() ?? (tensors.contains { $0.role == "param" } ? self : nil) else {
            throw DataError("case '\(id)': no parameters", at: folder, fix: "complete the index")
        }
        let file = try GoldenFiles.open(holder.path)
        var result: [String: NamedTensor] = [:]
        for tensor in holder.tensors where tensor.role == "param" {
            result[tensor.name] = try NamedTensor(
                shape: tensor.shape, floats: file.floats(tensor.key, shape: tensor.shape))
        }
        return result
    }
}

/// The files of a set, each opened once.
private enum GoldenFiles {
    private static let lock = NSLock()
    nonisolated(unsafe) private static var files: [String: SafeTensorsFile] = [:]

    static func open(_ path: String) throws -> SafeTensorsFile {
        try lock.withLock {
            if let file = files[path] { return file }
            let file = try SafeTensorsFile(path)
            files[path] = file
            return file
        }
    }
}
