import DriftFormats

/// Which stage a generator has, with the stage's own settings. In JSON an object with the `kind` among them.
public struct StageSettings: KindedSettings, Sendable, Equatable {
    package let own: any StageKind

    package init(_ own: any StageKind) { self.own = own }

    package static var types: [any SettingGroup.Type] { kindTypes }
    package var group: any SettingGroup { own }

    package init(group: any SettingGroup) throws {
        guard let own = group as? any StageKind else { throw ConfigurationError("stage \(type(of: group).kind): is no stage") }
        self.own = own
    }

    public static func == (a: StageSettings, b: StageSettings) -> Bool { a.own.isSame(b.own) }
}

/// Settings of a kind of stage. `Scripts/tables` finds them: a file NameStage.swift in Stages declares NameStageSettings.
package protocol StageKind: SettingGroup {
    /// The stage of these settings, beside what the other groups say.
    func makeStage(_ configuration: Configuration) -> any Stage
    /// The weight of the stage's losses, and when it is frozen; nil where it has neither.
    func phases(steps: Int) -> PhaseSchedule?
    /// How an image is drawn by these settings, in words.
    func loop(_ configuration: Configuration) -> String
}

extension StageKind {
    package func phases(steps: Int) -> PhaseSchedule? { nil }
    package func loop(_ configuration: Configuration) -> String { "one pass" }
}
