// Written by Scripts/tables.

extension StageSettings {
    package static let kindTypes: [any StageKind.Type] = [
        CausalStageSettings.self,
        LabelStageSettings.self,
        MARStageSettings.self,
        MRARStageSettings.self,
        UnconditionedStageSettings.self,
    ]
}

extension HeadSettings {
    package static let kindTypes: [any HeadKind.Type] = [
        AutoencoderHeadSettings.self,
        DecoderHeadSettings.self,
        DiTHeadSettings.self,
        DiffusionHeadSettings.self,
        EnergyHeadSettings.self,
        FlowDecoderHeadSettings.self,
        FlowHeadSettings.self,
        MaskedAutoencoderHeadSettings.self,
        TokenDriftHeadSettings.self,
    ]
}
