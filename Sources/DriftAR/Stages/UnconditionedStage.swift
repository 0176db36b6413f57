import DriftGPU

/// The stage that knows no more than the label has no settings.
public struct UnconditionedStageSettings: StageKind {
    package static let kind = "none"

    public init() {}

    package func makeStage(_ configuration: Configuration) -> any Stage { UnconditionedStage(classes: configuration.data.classes) }
    package func validate(_ configuration: Configuration) {}
}

/// The stage that knows no more than the label, and has no parameters: the head conditions on the label itself.
package struct UnconditionedStage: Stage {
    private let classes: Int

    package init(classes: Int) { self.classes = classes }

    package var kind: String { UnconditionedStageSettings.kind }
    package var declarations: [ParameterDeclaration] { [] }

    /// A dropped label has the id behind the last class.
    package func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(isDropped ? classes : label) }

    package func condition(_ step: StepInputs, _ scope: ParameterScope) throws -> Condition { Condition(labels: step.labels) }

    package func condition(labels: Tensor, drop: Tensor, _ scope: ParameterScope) throws -> Condition {
        Condition(labels: labels)
    }
}
