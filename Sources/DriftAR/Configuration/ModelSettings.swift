import DriftFormats

extension Configuration {
    /// Pairs of a stage and a head that have a name.
    public enum Model: String, Codable, Sendable, CaseIterable {
        case driftAR = "drift-ar"
        /// TransDiff: its encoder and its decoder of many steps.
        case transDiff = "transdiff"
        /// The same over several images of a class.
        case transDiffMRAR = "transdiff-mrar"
        /// DiT as a generator of one pass without an encoder.
        case dit
        /// Masked autoregression with its diffusion head, with the energy head of one step, and with a drift head of one step.
        case mar
        case marEnergy = "mar-energy"
        case marDrift = "mar-drift"
        /// Causal autoregression with NextStep-1's flow head, and with the energy and the drift head of one step.
        case causal
        case causalEnergy = "causal-energy"
        case causalDrift = "causal-drift"

        package var pair: (stage: String, head: String) {
            switch self {
            case .driftAR: (LabelStageSettings.kind, DecoderHeadSettings.kind)
            case .transDiff: (LabelStageSettings.kind, FlowDecoderHeadSettings.kind)
            case .transDiffMRAR: (MRARStageSettings.kind, FlowDecoderHeadSettings.kind)
            case .dit: (UnconditionedStageSettings.kind, DiTHeadSettings.kind)
            case .mar: (MARStageSettings.kind, DiffusionHeadSettings.kind)
            case .marEnergy: (MARStageSettings.kind, EnergyHeadSettings.kind)
            case .marDrift: (MARStageSettings.kind, TokenDriftHeadSettings.kind)
            case .causal: (CausalStageSettings.kind, FlowHeadSettings.kind)
            case .causalEnergy: (CausalStageSettings.kind, EnergyHeadSettings.kind)
            case .causalDrift: (CausalStageSettings.kind, TokenDriftHeadSettings.kind)
            }
        }
    }

    /// Makes stage and head those of a named pair; settings that another kind has by the same name keep their values, but
    /// what it calls its own.
    public mutating func adopt(_ model: Model) {
        _ = stage.choose(model.pair.stage)
        _ = head.choose(model.pair.head)
        stage.label?.entropy = model != .transDiff
    }

    /// Stage and head in words.
    public var generatorName: String { "\(stage.kind) x \(head.kind)" }

    /// How an image is drawn: from which stage, by which head, in which loop.
    public var drawing: (stage: String, head: String, loop: String) {
        let steps = (kinds["head"]?["steps"] as? Int).map { ", " + counted($0, "step") } ?? ""
        let sampler = head.flow?.sampler ?? head.flowDecoder?.sampler
        return (stage.kind, head.kind + steps + (sampler == .ode ? ", ode" : ""), stage.own.loop(self))
    }

    /// The weight of the stage's losses, and when it is frozen. A stage without losses has neither.
    var phases: PhaseSchedule {
        stage.own.phases(steps: run.steps) ?? PhaseSchedule(alpha0: 0, freezeFraction: 1, total: Double(run.steps))
    }

    /// The sizes that DiT comes in.
    public enum DiTSize: String, CaseIterable, Sendable {
        case tiny, small, base
    }

    /// Takes the width, heads and depth of a size of DiT.
    public mutating func adopt(_ size: DiTSize) {
        switch size {
        case .tiny: (network.embed, network.heads, head.depth) = (192, 3, 12)
        case .small: (network.embed, network.heads, head.depth) = (384, 6, 12)
        case .base: (network.embed, network.heads, head.depth) = (768, 12, 12)
        }
    }
}
