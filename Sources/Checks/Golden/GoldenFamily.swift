import DriftAR
import DriftGPU

/// The golden cases of one part of the product, and how the product computes what they expect.
public struct GoldenFamily: Sendable {
    public let name: String
    /// Ids of the cases begin with this and a slash.
    let prefix: String
    private let selects: @Sendable (GoldenCase) -> Bool
    /// Whether every expectation of a case has to be compared.
    private let isComplete: Bool
    private let compare: @Sendable (GoldenCase, GoldenComparison, Device) throws -> Void

    /// Every family that the product has code for.
    public static let all: [GoldenFamily] = [
        .init("entropy", EntropyGolden.entropyAndNoise), .init("attn", BlockGolden.attentionBlock),
        .init("cross", BlockGolden.crossAttentionBlock), .init("decoder", BlockGolden.driftDecoder),
        .init("draft", BlockGolden.draftModel), .init("drift", DriftGolden.driftLoss), .init("model", ModelGolden.model),
        .init("optim", OptimizerGolden.optimizer), .init("sample", SamplingGolden.sampling),
        .init("spec", SpeculationGolden.speculation), .init("sched", ScheduleGolden.schedules), .init("bank", MemoryBankGolden.memoryBank),
        .init("vae", VAEGolden.autoencoder),
        .init("mar", MARGolden.training), .init("mar_sample", MARGolden.drawing),
        .init("mar_head", DiffusionHeadGolden.head), .init("energy", EnergyHeadGolden.head),
        .init("causal", CausalGolden.causal), .init("trans", FlowDecoderGolden.decoder),
        .init("transdiff", FlowDecoderGolden.decoder),
        .init("mrar", selects: { $0.tensors.contains { $0.role == "out" } }, MRARGolden.mrar),
        .init("compute_v", DriftingGolden.field), .init("class_loss", DriftingGolden.classLoss),
        .init(
            "step", prefix: "model", selects: { !$0.names("adamw_decay").isEmpty }, isComplete: false,
            PartGraphGolden.trainingGraph),
    ]

    private init(
        _ name: String, prefix: String? = nil, selects: @escaping @Sendable (GoldenCase) -> Bool = { _ in true },
        isComplete: Bool = true, _ compare: @escaping @Sendable (GoldenCase, GoldenComparison, Device) throws -> Void
    ) {
        self.name = name
        self.prefix = prefix ?? name
        self.selects = selects
        self.isComplete = isComplete
        self.compare = compare
    }

    /// The cases of a set that this family compares, as far as they hold something to compare.
    public func cases(of set: GoldenSet) -> [GoldenCase] {
        set.cases.filter { $0.family == prefix && !$0.isShared && selects($0) }
    }

    /// Computes what a case expects and compares.
    public func check(_ golden: GoldenCase, on device: Device) throws -> CheckReport {
        let comparison = GoldenComparison(golden)
        try compare(golden, comparison, device)
        if isComplete {
            comparison.expectNothingLeft()
        } else {
            comparison.expect(comparison.report.comparisons > 0, "nothing was compared")
        }
        return comparison.report
    }
}
