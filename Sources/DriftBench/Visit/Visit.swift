import DriftAR
import DriftFormats
import Foundation

/// Everything that Scripts/gpu-visit found out about a machine: stages, each a command with its output and what it measured.
///
/// The script keeps a folder: `stages`, with a line of six fields (name, state, exit code, seconds, limit, remark; separated by
/// tabs) whenever a stage begins or ends, `about` with lines `key=value`, and for each stage NAME.log and NAME.json.
public struct Visit: Sendable {
    public enum State: String, Sendable { case running, passed, failed, timeout, skipped }

    /// A command of the visit.
    public struct Stage: Sendable {
        public let name: String
        public let state: State
        public let code: Int?
        public let seconds: Int?
        public let limit: Int?
        public let remark: String
        /// What it printed, its last lines where that is long.
        public let output: [String]
        /// What it measured.
        public let result: JSON?
    }

    /// When, for how long, with which program.
    public let about: [(key: String, value: String)]
    /// In the order in which they began.
    public let stages: [Stage]

    /// Reads what the script has kept so far. Throws a one-line error where the folder holds no visit; a part that cannot be read
    /// (a stage was ended while it wrote) is left out.
    public init(folder: String) throws {
        guard let list = Self.text(folder + "/stages") else {
            throw BenchmarkError("\(folder): holds no visit; it is the folder that Scripts/gpu-visit works in")
        }
        about = (Self.text(folder + "/about") ?? "").split(separator: "\n").compactMap { line in
            guard let sign = line.firstIndex(of: "=") else { return nil }
            return (String(line[..<sign]), String(line[line.index(after: sign)...]))
        }
        var order: [String] = []
        var lines: [String: [Substring]] = [:]
        for line in list.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count == 6, State(rawValue: String(fields[1])) != nil else { continue }
            let name = String(fields[0])
            if lines.updateValue(fields, forKey: name) == nil { order.append(name) }
        }
        stages = order.compactMap { name in
            guard let fields = lines[name], let state = State(rawValue: String(fields[1])) else { return nil }
            return Stage(
                name: name, state: state, code: Int(fields[2]), seconds: Int(fields[3]), limit: Int(fields[4]),
                remark: String(fields[5]), output: Self.lines(Self.text("\(folder)/\(name).log") ?? ""),
                result: FileManager.default.contents(atPath: "\(folder)/\(name).json").flatMap { try? JSON.parse($0, depth: 64) })
        }
    }

    /// Whether all of it was done that was to be done.
    public var isFinished: Bool { about.contains { $0.key == "finished" } && stages.allSatisfy { $0.state != .running } }

    public func stage(_ name: String) -> Stage? { stages.first { $0.name == name } }

    /// The reports of `driftgpu bench` among the results.
    public var reports: [BenchmarkReport] {
        stages.compactMap { stage in
            guard let result = stage.result, result["driver"] != nil else { return nil }
            return try? JSONDecoder().decode(BenchmarkReport.self, from: Data(result.text.utf8))
        }
    }

    private static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The last 300 lines of `text`, without what a carriage return takes back.
    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).suffix(300).map { line in
            String((line.split(separator: "\r").last ?? "").prefix(400))
        }.filter { !$0.isEmpty }
    }
}

extension Visit {
    /// All of it as one document.
    public var json: JSON {
        func number(_ value: Int?) -> JSON { value.map { .integer($0) } ?? .null }
        return .object([
            .init("format", .integer(1)),
            .init("about", .object(about.map { .init($0.key, .string($0.value)) })),
            .init("is_finished", .bool(isFinished)),
            .init("goals", .array(VisitGoal.all(of: self).map(\.json))),
            .init(
                "stages",
                .array(
                    stages.map { stage in
                        .object([
                            .init("name", .string(stage.name)), .init("state", .string(stage.state.rawValue)),
                            .init("code", number(stage.code)), .init("seconds", number(stage.seconds)),
                            .init("limit", number(stage.limit)), .init("remark", .string(stage.remark)),
                            .init("result", stage.result ?? .null), .init("output", .array(stage.output.map { .string($0) })),
                        ])
                    })),
        ])
    }
}

extension JSON {
    /// Text in which arrays and objects down to the nesting `depth` have a line for each of their members, deeper ones one for all:
    /// what changes from one document to the next is seen in few lines.
    public func text(breaking depth: Int, indent: String = "") -> String {
        func broken(_ open: String, _ parts: [String], _ close: String) -> String {
            let inner = parts.map { "\(indent) \($0)" }.joined(separator: ",\n")
            return "\(open)\n\(inner)\n\(indent)\(close)"
        }
        switch self {
        case .array(let values) where depth > 0 && !values.isEmpty:
            return broken("[", values.map { $0.text(breaking: depth - 1, indent: indent + " ") }, "]")
        case .object(let members) where depth > 0 && !members.isEmpty:
            return broken(
                "{", members.map { JSON.string($0.key).text + ": " + $0.value.text(breaking: depth - 1, indent: indent + " ") }, "}")
        default: return text
        }
    }
}
