/// What an operation sees when it makes its commands.
public struct LaunchContext: Sendable {
    public let inputs: [TensorType]
    public let outputs: [TensorType]
    /// Elements from one row of an input, or of an output, to the next: the columns, except of those that may be strided.
    let inputStrides: [Int]
    let outputStrides: [Int]
    public let traits: DeviceTraits
    public let gemm: any GEMMProvider

    public init(inputs: [TensorType], outputs: [TensorType], traits: DeviceTraits, gemm: any GEMMProvider) {
        self.init(
            inputs: inputs, outputs: outputs, inputStrides: inputs.map(\.columns), outputStrides: outputs.map(\.columns),
            traits: traits, gemm: gemm)
    }

    init(
        inputs: [TensorType], outputs: [TensorType], inputStrides: [Int], outputStrides: [Int], traits: DeviceTraits,
        gemm: any GEMMProvider
    ) {
        self.inputs = inputs
        self.outputs = outputs
        self.inputStrides = inputStrides
        self.outputStrides = outputStrides
        self.traits = traits
        self.gemm = gemm
    }

    /// A row kernel over `rows` rows: as many teams as keep the device busy, never more than rows. `indices` where the
    /// kernel counts further than to `rows`; see `Launch`.
    public func rowLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], rows: Int, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()) -> Command {
        let teams = max(1, min(rows, traits.teams))
        return teamLaunch(
            kernel, family: family, defines: defines, teams: teams, indices: max(rows, indices ?? 0), arguments: arguments,
            traffic: traffic)
    }

    /// An element-wise kernel over `count` elements. `indices` where the kernel counts anything in 32 bits; see `Launch`.
    public func elementLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], count: Int, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()) -> Command {
        // A chunk of at least 1024 elements for each CPU work-item: under that the dispatch costs more than the work.
        let chunk = traits.isGPUShape ? traits.teamSize * traits.lanes : 1024
        return rowLaunch(
            kernel, family: family, defines: defines, rows: (count + chunk - 1) / chunk, indices: indices,
            arguments: arguments, traffic: traffic)
    }

    /// Exactly `teams` teams.
    public func teamLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], teams: Int, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()) -> Command {
        .kernel(
            Launch(
                kernel: kernel, family: family, defines: defines, arguments: arguments,
                global: [teams * traits.teamSize], local: [traits.teamSize], indices: max(teams, indices ?? 0),
                traffic: traffic))
    }
}
