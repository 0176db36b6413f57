import DriftFormats
import DriftGPU
import Foundation

extension Configuration {
    /// The version of the settings this program writes. Another setting, or another meaning of one, makes a new version. Before
    /// version 3 the settings had no groups; see `FlatSettings`. A setting that a file lacks has its default, so files of every
    /// earlier version are read.
    static let currentVersion = 3

    /// Indented JSON with sorted keys.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    /// This configuration with the values of a JSON object laid over it: groups of settings, or settings without groups as
    /// earlier versions wrote them. Throws a line that names `source`, and the key and the value where there is one: for text
    /// that is not JSON, a version that this program does not know, an unknown key, and a value of the wrong kind.
    public func merging(json data: Data, from source: String) throws -> Configuration {
        let text: JSON
        do {
            text = try JSON.parse([UInt8](data))
        } catch {
            throw ConfigurationError("\(source): not a JSON object: \(error); see config.json of a run for the form")
        }
        // Foundation's numbers keep every bit of a seed.
        guard let members = text.members, let values = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw ConfigurationError("\(source): not a JSON object; see config.json of a run for the form")
        }
        let version = try Self.version(of: members, from: source)
        return Self.isFlat(members, version)
            ? try merging(FlatSettings.settings(members, values, over: self, from: source), from: source)
            : try merging(Self.settings(members, values, from: source), from: source)
    }

    /// This configuration with one setting changed: `head.depth` and the value as JSON, or as bare text.
    public func setting(_ path: String, to value: String, from source: String) throws -> Configuration {
        let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            throw ConfigurationError("\(source) \(path.printable): name a group and a setting, like run.steps; there is \(Self.paths(of: self))")
        }
        // A number stays as it is written: the parser's own has no more than 64 bits with a sign.
        let text = (try? JSON.parse([UInt8](value.utf8))) == nil ? JSON.string(value).text : value
        let names = parts.map { JSON.string($0).text }
        return try merging(json: Data("{\(names[0]):{\(names[1]):\(text)}}".utf8), from: source)
    }

    /// A setting of a file.
    struct GivenSetting {
        /// As it is written there.
        let key: String
        /// Empty: above the groups.
        let group: String
        let name: String
        let text: JSON
        let value: Any
    }

    private static func version(of members: [JSON.Member], from source: String) throws -> Int? {
        guard let given = members.first(where: { $0.key == "version" })?.value else { return nil }
        guard let version = given.integer, version >= 1 else {
            throw ConfigurationError("\(source): version \(given.short): take a whole number from 1 to \(currentVersion)")
        }
        guard version <= currentVersion else {
            throw ConfigurationError(
                "\(source): settings of version \(version), this program knows those up to \(currentVersion); use the driftgpu that wrote them, or a newer one")
        }
        return version
    }

    /// Whether a file's settings are without groups; where it has no version, whether it has no group.
    private static func isFlat(_ members: [JSON.Member], _ version: Int?) -> Bool {
        version.map { $0 < 3 } ?? !members.contains { $0.value.members != nil }
    }

    private static func settings(
        _ members: [JSON.Member], _ values: [String: Any], from source: String
    ) throws -> [GivenSetting] {
        let groups = Configuration().kinds
        return try members.flatMap { member -> [GivenSetting] in
            if member.key == "version" { return [] }
            let value = values[member.key] ?? NSNull()
            if member.key == "preset" { return [GivenSetting(key: "preset", group: "", name: "preset", text: member.value, value: value)] }
            guard groups[member.key] != nil else {
                throw ConfigurationError(
                    "\(source): unknown setting \(member.key.printable); there is preset, \(groups.keys.filter { !$0.isEmpty }.sorted().joined(separator: ", "))")
            }
            guard let inner = member.value.members, let own = value as? [String: Any] else {
                throw ConfigurationError("\(source): \(member.key) \(member.value.short): take an object with the group's settings")
            }
            return inner.map {
                GivenSetting(key: "\(member.key).\($0.key)", group: member.key, name: $0.key, text: $0.value, value: own[$0.key] ?? NSNull())
            }
        }
    }

    private func merging(_ settings: [GivenSetting], from source: String) throws -> Configuration {
        var base = self
        // What else there is depends on the kinds.
        for setting in settings where setting.name == "kind" {
            guard base.choose(setting.group, kind: setting.text.string ?? "") else {
                throw Self.wrong(setting, base.kinds[setting.group]?["kind"], from: source)
            }
        }
        let kinds = base.kinds
        for setting in settings where kinds[setting.group]?[setting.name] == nil {
            throw Self.unknown(setting, kinds, from: source)
        }
        guard let own = try JSONSerialization.jsonObject(with: base.json()) as? [String: Any] else {
            throw ConfigurationError("\(source): not a JSON object; see config.json of a run for the form")
        }
        func decoded(_ settings: [GivenSetting]) -> Configuration? {
            var merged = own
            for setting in settings {
                if setting.group.isEmpty {
                    merged[setting.name] = setting.value
                } else {
                    var group = merged[setting.group] as? [String: Any] ?? [:]
                    group[setting.name] = setting.value
                    merged[setting.group] = group
                }
            }
            guard let data = try? JSONSerialization.data(withJSONObject: merged) else { return nil }
            return try? JSONDecoder().decode(Configuration.self, from: data)
        }
        if let result = decoded(settings) { return result }
        // Which one it is: each alone over settings that are in order.
        for setting in settings where decoded([setting]) == nil {
            throw Self.wrong(setting, kinds[setting.group]?[setting.name], from: source)
        }
        throw ConfigurationError("\(source): a setting has a value of the wrong kind; see config.json of a run for the form")
    }

    /// Makes the stage or the head of another kind. False where there is none of that name.
    private mutating func choose(_ group: String, kind: String) -> Bool {
        switch group {
        case "stage": stage.choose(kind)
        case "head": head.choose(kind)
        default: true
        }
    }

    // MARK: Which settings there are

    /// A value of every setting by its name, by group; what is above the groups in "".
    var kinds: [String: [String: Any]] {
        var kinds: [String: [String: Any]] = ["": ["preset": preset]]
        for child in Mirror(reflecting: self).children {
            guard let group = child.label, group != "version", group != "preset" else { continue }
            var values: [String: Any] = [:]
            var settings = child.value
            if let chosen = child.value as? any KindedSettings {
                values["kind"] = KindChoice(chosen)
                settings = chosen.group
            }
            for setting in Mirror(reflecting: settings).children {
                if let name = setting.label { values[name] = setting.value }
            }
            kinds[group] = values
        }
        return kinds
    }

    /// The paths of all settings, as text.
    static func paths(of configuration: Configuration) -> String {
        configuration.kinds.filter { !$0.key.isEmpty }.flatMap { group, values in values.keys.map { "\(group).\($0)" } }
            .sorted().joined(separator: ", ")
    }

    /// The path of the setting of that name, like run.steps; nil where these kinds of stage and head have none. Where several groups have one of
    /// that name, the general groups come before the head and the stage; the feature encoder's never count.
    public func path(of name: String) -> String? {
        let groups = kinds.filter { !$0.key.isEmpty && $0.value[name] != nil }.keys.sorted()
        return (groups.first { !["head", "stage", "encoder"].contains($0) } ?? groups.first { $0 != "encoder" }).map { "\($0).\(name)" }
    }

    /// Whether a group, with its kind of stage or head, has a setting of that name.
    public func has(_ name: String, in group: String) -> Bool { kinds[group]?[name] != nil }

    // MARK: Errors

    private static func unknown(
        _ setting: GivenSetting, _ kinds: [String: [String: Any]], from source: String
    ) -> ConfigurationError {
        let there = kinds[setting.group]?.keys.sorted().joined(separator: ", ") ?? ""
        guard let kind = kinds[setting.group]?["kind"] as? KindChoice else {
            return ConfigurationError("\(source): unknown setting \(setting.key.printable); in \(setting.group) there is \(there)")
        }
        return ConfigurationError(
            "\(source): unknown setting \(setting.key.printable); the \(setting.group) \(kind.own) has \(there)")
    }

    /// The line for a value that is not of a setting's kind.
    static func wrong(_ setting: GivenSetting, _ kind: Any?, from source: String) -> ConfigurationError {
        let allowed =
            switch kind {
            case is Int: "a whole number"
            case is UInt64: "a whole number from 0 to \(UInt64.max)"
            case is Float, is Double: "a number"
            case is Bool: "true or false"
            case is String: "a text"
            case is [String]: "a list of texts"
            case is [Float]: "a list of numbers"
            case let kind as KindChoice: kind.all.joined(separator: ", ")
            case let choice as any (RawRepresentable & CaseIterable): names(of: choice).joined(separator: ", ")
            default: "what config.json of a run has there"
            }
        return ConfigurationError("\(source): \(setting.key) \(setting.text.short): take \(allowed)")
    }

    private static func names<Choice: RawRepresentable & CaseIterable>(of choice: Choice) -> [String] {
        Choice.allCases.map { "\($0.rawValue)" }
    }
}

/// A kind of stage or head, and which there are.
private struct KindChoice {
    let own: String
    let all: [String]

    init(_ settings: some KindedSettings) { (own, all) = (settings.kind, type(of: settings).kinds) }
}

extension JSON {
    /// The value as text that fits in a line.
    fileprivate var short: String {
        let text = text.printable
        return text.count > 40 ? text.prefix(40) + "..." : text
    }
}
