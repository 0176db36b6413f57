import DriftGPU

/// Chains of multiply-adds that never leave the registers (multiply_add.cl): what arithmetic costs without memory.
struct MultiplyAdd: Operation {
    let rounds: Int
    private static let chains = 12

    init(rounds: Int) { self.rounds = rounds }

    /// As many rounds as come nearest to `flops` operations.
    init(flops: Int, traits: DeviceTraits) { rounds = max(1, flops / Self.flopsOfRound(traits)) }

    private static func flopsOfRound(_ traits: DeviceTraits) -> Int {
        2 * traits.teams * traits.teamSize * traits.lanes * chains
    }

    var name: String { "multiply_add" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [TensorType([1])] }
    func commands(_ context: LaunchContext) -> [Command] {
        [
            context.teamLaunch(
                "multiply_add", family: "multiply_add", teams: context.traits.teams,
                arguments: [.output(0), .int(rounds)],
                traffic: Traffic(flops: rounds * Self.flopsOfRound(context.traits)))
        ]
    }
}
