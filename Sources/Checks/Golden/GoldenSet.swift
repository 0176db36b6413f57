import DriftAR
import DriftFormats
import Foundation

/// A folder of inputs and outputs of the reference implementation: safetensors files and index.json, which lists the cases
/// with their settings, tensors and tolerances. Nothing of a particular set is known here: sizes, numbers of cases and
/// tolerances all come from its index.
public struct GoldenSet: Sendable {
    public let folder: String
    public let cases: [GoldenCase]

    /// Where the set lies: DRIFTGPU_GOLDEN; else the first of share/golden and Tests/Fixtures/golden in a folder above the
    /// program or above the working folder.
    static func find() throws -> String {
        let chosen = ProcessInfo.processInfo.environment["DRIFTGPU_GOLDEN"] ?? ""
        guard chosen.isEmpty else { return chosen }
        let program = Bundle.main.executablePath ?? CommandLine.arguments[0]
        for start in [Files.parent(of: program), FileManager.default.currentDirectoryPath] {
            var folder = start
            while true {
                for place in ["share/golden", "Tests/Fixtures/golden"] {
                    let path = Files.join(folder, place)
                    if Files.exists(Files.join(path, "index.json")) { return path }
                }
                let above = Files.parent(of: folder)
                if above == folder { break }
                folder = above
            }
        }
        throw DataError(
            "no golden data", at: program, fix: "point DRIFTGPU_GOLDEN to a folder with golden data")
    }

    /// The set in use, or what is wrong with it.
    public static let current = Result { try GoldenSet(find()) }

    /// The set of a folder: the cases of index.json and of every other index-NAME.json there.
    init(_ folder: String) throws {
        let remedy = "point DRIFTGPU_GOLDEN to a folder with golden data"
        guard Files.isFolder(folder) else { throw DataError("no such folder", at: folder, fix: remedy) }
        let first = Files.join(folder, "index.json")
        guard Files.exists(first) else { throw DataError("no index.json", at: folder, fix: remedy) }
        self.folder = folder
        let others = try Files.names(in: folder).filter { $0.hasPrefix("index-") && $0.hasSuffix(".json") }
        cases = try ([first] + others.map { Files.join(folder, $0) }).flatMap { try Self.cases(of: $0, in: folder, remedy) }
        let ids = Dictionary(grouping: cases, by: \.id)
        if let twice = ids.first(where: { $0.value.count > 1 }) {
            throw DataError("case '\(twice.key)' occurs \(twice.value.count) times", at: first, fix: remedy)
        }
    }

    private static func cases(of path: String, in folder: String, _ remedy: String) throws -> [GoldenCase] {
        let index: JSON
        do {
            index = try JSON.parse(Files.read(path))
        } catch let error as JSON.ParseError {
            throw DataError("no JSON: \(error)", at: path, fix: remedy)
        }
        guard index["format"]?.integer == 1 else {
            throw DataError("format \(index["format"]?.text ?? "missing"), 1 is read", at: path, fix: remedy)
        }
        guard let list = index["cases"]?.array else { throw DataError("lists no cases", at: path, fix: remedy) }
        return try list.map { try GoldenCase($0, folder: folder, index: path) }
    }

    /// The case of that id. Throws when the index does not list it.
    func find(_ id: String) throws -> GoldenCase {
        guard let found = cases.first(where: { $0.id == id }) else {
            throw DataError("no case '\(id)', which another refers to", at: folder, fix: "complete the set")
        }
        return found
    }
}

/// What the index says of one tensor.
struct GoldenTensor: Sendable {
    let key: String
    let name: String
    /// in, param, out, grad, stepN, emaN.
    let role: String
    let shape: [Int]
    let isInteger: Bool
    /// Largest error allowed, element-wise; integers are compared exactly.
    let tolerance: Float

    var isExpectation: Bool { role != "in" && role != "param" }

    init(_ json: JSON, case id: String, index: String) throws {
        func wrong(_ what: String) -> DataError {
            DataError("case '\(id)': \(what)", at: index, fix: "take another copy of the set")
        }
        guard let key = json["key"]?.string, let name = json["name"]?.string, let role = json["role"]?.string,
            let dimensions = json["shape"]?.array, let type = json["dtype"]?.string
        else { throw wrong("a tensor without key, name, role, shape or dtype") }
        guard type == "F32" || type == "I32" else { throw wrong("tensor '\(key)' is \(type), not F32 or I32") }
        self.key = key
        self.name = name
        self.role = role
        shape = dimensions.compactMap(\.integer)
        isInteger = type == "I32"
        tolerance = json["atol"]?.double.map(Float.init) ?? 0
        guard shape.count == dimensions.count, !shape.isEmpty, shape.allSatisfy({ $0 > 0 }) else {
            throw wrong("tensor '\(key)' has an impossible shape")
        }
        if isExpectation, !isInteger {
            guard let tolerance = json["atol"]?.double, tolerance >= 0, tolerance.isFinite else {
                throw wrong("tensor '\(key)' has no atol")
            }
        }
    }
}
