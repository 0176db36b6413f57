import DriftFormats
import Foundation

/// Settings of one kind of stage or head.
package protocol SettingGroup: Codable, Sendable, Equatable {
    /// As it is called in files of settings.
    static var kind: String { get }
    /// Settings that are not carried over when the kind changes, though the other kind has one of the same name: they start at the new kind's
    /// defaults.
    static var own: Set<String> { get }
    init()
    /// Throws a line that names the first setting out of range, beside those of the other groups.
    func validate(_ configuration: Configuration) throws
}

extension SettingGroup {
    package static var own: Set<String> { [] }
    func isSame(_ other: any SettingGroup) -> Bool { (other as? Self) == self }
}

/// One of several kinds of a part of the generator, each with settings of its own; in JSON one object with a `kind`.
package protocol KindedSettings: Codable {
    /// Every kind there is.
    static var types: [any SettingGroup.Type] { get }
    /// The settings of the kind it is.
    var group: any SettingGroup { get }
    /// Settings of one of the types.
    init(group: any SettingGroup) throws
}

private enum KindKey: String, CodingKey { case kind }

extension KindedSettings {
    package var kind: String { type(of: group).kind }
    package static var kinds: [String] { types.map { $0.kind } }

    public init(from decoder: any Decoder) throws {
        let name = try decoder.container(keyedBy: KindKey.self).decode(String.self, forKey: .kind)
        guard let type = Self.types.first(where: { $0.kind == name }) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "kind \(name)"))
        }
        try self.init(group: type.init(from: decoder))
    }

    public func encode(to encoder: any Encoder) throws {
        try group.encode(to: encoder)
        var container = encoder.container(keyedBy: KindKey.self)
        try container.encode(kind, forKey: .kind)
    }

    /// Makes it one of another kind, with the values of settings that both have and neither calls its own. False where there is no such kind.
    mutating func choose(_ kind: String) -> Bool {
        guard let type = Self.types.first(where: { $0.kind == kind }) else { return false }
        guard kind != self.kind else { return true }
        func values(_ group: any SettingGroup) -> [String: Any] {
            (try? JSONSerialization.jsonObject(with: JSONEncoder().encode(group))) as? [String: Any] ?? [:]
        }
        var merged = values(type.init())
        var other: any SettingGroup = type.init()
        let kept = type.own.union(Swift.type(of: group).own)
        for (name, value) in values(group) where merged[name] != nil && !kept.contains(name) {
            let trial = merged.merging([name: value]) { $1 }
            // A setting of the same name and another form keeps its default.
            guard let taken = try? JSONDecoder().decode(type, from: JSONSerialization.data(withJSONObject: trial)) else { continue }
            (merged, other) = (trial, taken)
        }
        guard let changed = try? Self(group: other) else { return false }
        self = changed
        return true
    }
}
