import DriftGPU

/// A value that a training step logs by name: a part of its loss, or what else is worth watching.
public struct LossTerm: Sendable {
    /// As metrics.jsonl and the progress line call the values.
    public let names: [String]
    /// [names.count].
    public let value: Tensor

    /// One value, [1].
    public init(_ name: String, _ value: Tensor) { (names, self.value) = ([name], value) }

    public init(names: [String], _ value: Tensor) { (self.names, self.value) = (names, value) }

    /// What to watch of a drift loss: the mean squared force at each temperature, before normalisation, which converges; and
    /// the mean distance of generated and real features, in the features' unit.
    static func watching(_ loss: DriftLoss, _ temperatures: [Float]) -> [LossTerm] {
        [
            LossTerm(names: temperatures.map { "force_\($0)" }, loss.squaredForce),
            LossTerm("scale", loss.scale),
        ]
    }
}

extension [LossTerm] {
    /// The values of that name; nil where no term has it.
    package subscript(_ name: String) -> Tensor? { first { $0.names == [name] }?.value }
}

extension Graph {
    /// The sum of drift losses, of which there is one at least.
    func sum(_ terms: [DriftLoss]) throws -> Tensor {
        try terms.dropFirst().reduce(terms[0].loss) { try add($0, $1.loss) }
    }
}
