import DriftFormats

/// Which head a generator has, with the head's own settings. In JSON an object with the `kind` among them.
public struct HeadSettings: KindedSettings, Sendable, Equatable {
    package private(set) var own: any HeadKind

    package init(_ own: any HeadKind) { self.own = own }

    package static var types: [any SettingGroup.Type] { kindTypes }
    package var group: any SettingGroup { own }

    package init(group: any SettingGroup) throws {
        guard let own = group as? any HeadKind else { throw ConfigurationError("head \(type(of: group).kind): is no head") }
        self.own = own
    }

    /// The kinds of stage that a kind of head draws from.
    static func stages(of kind: String) -> [String] { kindTypes.first { $0.kind == kind }?.stages ?? [] }

    /// Blocks of the head.
    public var depth: Int {
        get { own.depth }
        set { own.depth = newValue }
    }

    public static func == (a: HeadSettings, b: HeadSettings) -> Bool { a.own.isSame(b.own) }
}

/// Settings of a head of single tokens, as far as they say how large a training step is.
package protocol TokenHeadKind: HeadKind {
    /// Width of the blocks.
    var width: Int { get }
    /// Rows that the network computes in a training step for each real token.
    var made: Int { get }
    /// How many of these rows have a condition of their own; the others share it.
    var modulated: Int { get }
}

extension TokenHeadKind {
    /// Throws a line for sizes that no token head has.
    func requireTokenMLP() throws {
        try require(depth > 0 && depth <= 256, "decoder-depth \(depth): take 1 to 256")
        try require(width > 0 && width <= 16384, "head width \(width): take 1 to 16384")
    }
}

/// Settings of a kind of head. `Scripts/tables` finds them: a file NameHead.swift in Heads declares NameHeadSettings.
package protocol HeadKind: SettingGroup {
    /// The kinds of stage whose conditions it can draw from.
    static var stages: [String] { get }
    /// Whether its loss can compare images by a feature encoder (`LossSettings.Features.encoder`).
    static var takesEncoder: Bool { get }
    /// Blocks.
    var depth: Int { get set }
    /// The head of these settings, beside what the other groups say.
    func makeHead(_ configuration: Configuration) -> any Head
}

extension HeadKind {
    package static var takesEncoder: Bool { false }
}
