import DriftFormats
import DriftGPU
import Foundation

extension Configuration {
    /// The version of the settings this program writes. Another setting, or another meaning of one, makes a new version; files
    /// without one are of version 1. A setting that a file lacks has its default, so files of every earlier version are read.
    static let currentVersion = 2

    /// Indented JSON with sorted keys.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    /// This configuration with the values of a JSON object laid over it. Throws a line that names `source`, and the key and the
    /// value where there is one: for text that is not JSON, a version that this program does not know, an unknown key, and a
    /// value of the wrong kind.
    public func merging(json data: Data, from source: String) throws -> Configuration {
        let text: JSON
        do {
            text = try JSON.parse([UInt8](data))
        } catch {
            throw ConfigurationError("\(source): not a JSON object: \(error); see config.json of a run for the form")
        }
        guard let settings = text.members else {
            throw ConfigurationError("\(source): not a JSON object; see config.json of a run for the form")
        }
        let kinds = Self.kinds
        try Self.check(settings, kinds, from: source)
        // Foundation's numbers keep every bit of a seed; the values were looked at above.
        guard var merged = try JSONSerialization.jsonObject(with: json()) as? [String: Any],
            let changes = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { throw ConfigurationError("\(source): not a JSON object; see config.json of a run for the form") }
        merged.merge(changes) { $1 }
        merged["version"] = Self.currentVersion
        func decoded(_ object: [String: Any]) -> Configuration? {
            guard let data = try? JSONSerialization.data(withJSONObject: object) else { return nil }
            return try? JSONDecoder().decode(Configuration.self, from: data)
        }
        if let result = decoded(merged) { return result }
        // Which one it is: each alone over settings that are in order.
        let own = try JSONSerialization.jsonObject(with: json()) as? [String: Any] ?? [:]
        for setting in settings where setting.key != "version" {
            guard let value = changes[setting.key], decoded(own.merging([setting.key: value]) { $1 }) == nil else { continue }
            throw Self.wrong(setting, kinds[setting.key], from: source)
        }
        throw ConfigurationError("\(source): a setting has a value of the wrong kind; see config.json of a run for the form")
    }

    /// Throws for a version or a key that this program does not know.
    private static func check(_ settings: [JSON.Member], _ kinds: [String: Any], from source: String) throws {
        if let given = settings.first(where: { $0.key == "version" })?.value {
            guard let version = given.integer, version >= 1 else {
                throw ConfigurationError("\(source): version \(given.short): take a whole number from 1 to \(currentVersion)")
            }
            guard version <= currentVersion else {
                throw ConfigurationError(
                    "\(source): settings of version \(version), this program knows those up to \(currentVersion); use the driftgpu that wrote them, or a newer one")
            }
        }
        for setting in settings where kinds[setting.key] == nil {
            throw ConfigurationError(
                "\(source): unknown setting \(setting.key.printable); there is \(kinds.keys.sorted().joined(separator: ", "))")
        }
    }

    /// A value of every setting, by its key.
    private static var kinds: [String: Any] {
        var kinds: [String: Any] = [:]
        for child in Mirror(reflecting: Configuration()).children {
            if let label = child.label { kinds[label] = child.value }
        }
        return kinds
    }

    /// The line for a value that is not of a setting's kind.
    private static func wrong(_ setting: JSON.Member, _ kind: Any?, from source: String) -> ConfigurationError {
        let allowed =
            switch kind {
            case is Int: "a whole number"
            case is UInt64: "a whole number from 0 to \(UInt64.max)"
            case is Float, is Double: "a number"
            case is Bool: "true or false"
            case is String: "a text"
            case is [String]: "a list of texts"
            case is [Float]: "a list of numbers"
            case let choice as any (RawRepresentable & CaseIterable): names(of: choice).joined(separator: ", ")
            default: "what config.json of a run has there"
            }
        return ConfigurationError("\(source): \(setting.key) \(setting.value.short): take \(allowed)")
    }

    private static func names<Choice: RawRepresentable & CaseIterable>(of choice: Choice) -> [String] {
        Choice.allCases.map { "\($0.rawValue)" }
    }
}

extension JSON {
    /// The value as text that fits in a line.
    fileprivate var short: String {
        let text = text.printable
        return text.count > 40 ? text.prefix(40) + "..." : text
    }
}
