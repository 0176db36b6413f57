/// The cases of one operation: the table that tests, `driftgpu selftest` and benchmarks share.
public struct OperationFamily: Sendable {
    /// The operation's name, like layer_norm.
    public let name: String
    public let cases: [OperationCase]
    /// Whether the cases are about tiles that only the GPU shape has: elsewhere they cost time and show nothing more.
    public let isForGPUShape: Bool

    private init(_ name: String, _ cases: [OperationCase], isForGPUShape: Bool = false) {
        self.name = name
        self.cases = cases
        self.isForGPUShape = isForGPUShape
    }

    /// Every operation that has a table.
    public static let all: [OperationFamily] = [
        .init("activation", ActivationCases.all), .init("add", AddCases.all), .init("add_periodic", AddPeriodicCases.all),
        .init("attention", AttentionCases.all), .init("attention_tile", AttentionCases.tiles, isForGPUShape: true),
        .init("attention_short", AttentionCases.short), .init("attention_wide", WideAttentionCases.all),
        .init("concat", ConcatCases.all), .init("convolution", ConvolutionCases.all),
        .init("cross_entropy", CrossEntropyCases.all),
        .init("drift_field", DriftFieldCases.all), .init("drift_loss", DriftLossCases.all),
        .init("embedding", EmbeddingCases.all),
        .init("gradients", GradientsCases.all), .init("group_norm", GroupNormCases.all),
        .init("guidance", GuidanceCases.all), .init("layer_norm", LayerNormCases.all), .init("linear", LinearCases.all),
        .init("matrix_multiply", MatrixMultiplyCases.all), .init("modulate", ModulateCases.all), .init("noise", NoiseCases.all),
        .init("pairwise_distance", PairwiseDistanceCases.all), .init("patchify", PatchifyCases.all),
        .init("permute", PermuteCases.all), .init("pool", PoolCases.all),
        .init("posterior", PosteriorCases.all), .init("prior", PriorCases.all), .init("reduce", ReduceCases.all),
        .init("query_key", QueryKeyCases.all), .init("repeat", RepeatCases.all), .init("residual", ResidualCases.all),
        .init("rms_norm", RMSNormCases.all), .init("rows", RowsCases.all), .init("scale", ScaleCases.all),
        .init("select_row", SelectRowCases.all), .init("slice", SliceCases.all), .init("smooth_l1", SmoothL1Cases.all),
        .init("softmax_entropy", SoftmaxEntropyCases.all), .init("speculation", SpeculationCases.all),
        .init("split", SplitCases.all), .init("swiglu", SwiGLUCases.all),
        .init("transpose", TransposeCases.all), .init("upsample", UpsampleCases.all),
    ]
}
