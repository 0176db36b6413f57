import DriftGPU

/// A generator of images as the trainer, checkpoints and samplers see it: its parameters, its part of a training step, and how
/// images are drawn from it.
public protocol ImageModel: Sendable {
    var declarations: [ParameterDeclaration] { get }
    /// Where the declared parameters lie in the flat buffers.
    var layout: ParameterLayout { get }
    var classes: Int { get }
    /// R, tokens of an image.
    var tokens: Int { get }
    /// C, values of a token.
    var tokenWidth: Int { get }

    /// The number that stands for a label in `StepInputs.labels`. A model may have a number of its own for labels that are dropped
    /// for guidance.
    func label(_ label: Int, isDropped: Bool) -> Int32

    /// The parameters that a phase trains.
    func trained(isSecondPhase: Bool) -> [ParameterLayout.Entry]

    /// Forward pass and losses of a training step, in the graph of `scope`.
    func forward(_ step: StepInputs, _ scope: ParameterScope, _ configuration: Configuration) throws -> StepLosses

    /// What a sampler draws from, with the weights in the flat buffer `weights`.
    func source(memory: DeviceMemory, weights: String, clock: SamplingClock) -> any ImageSource

    /// The graphs that `source` makes for the given numbers of labels and images of each, from labels it has not seen.
    func sourceGraphs(_ batches: [(labels: Int, perLabel: Int)], weights: String) throws -> [Graph]
    /// What `source` stores besides.
    var sourceStorages: [Storage] { get }
}

extension ImageModel {
    public func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(label) }
    public var sourceStorages: [Storage] { [] }
}

/// What every model finds in the graph of a training step. L labels have G images each, which stand together.
public struct StepInputs: Sendable {
    /// [L] int32, or [L G] where every image is encoded.
    public let labels: Tensor
    /// Of the labels' shape; an entry below the drop probability makes its label the unconditional one.
    public let dropUniform: Tensor
    public let clock: Tensor
    /// [1], weight of the losses beside the drift loss.
    public let alpha: Tensor
    /// Real images as tokens [n, R, C]: the P positives of each label, then the N unconditional images of each where the model
    /// takes them; one for each generated image in `tokens` groups.
    public let real: Tensor
    public let isSecondPhase: Bool
}

/// What a model's forward pass gives.
public struct StepLosses: Sendable {
    /// What is minimised [1].
    public var total: Tensor
    /// The parts of the total and what else is worth watching, in the order in which it is shown.
    public var terms: [LossTerm]
    /// Whether `StepInputs.alpha` weighs the terms.
    public var usesAlpha = false
    /// Generated tokens [L G, R, C].
    public var generated: Tensor
    /// [1], 0 while the ring of generated features is empty; only with one.
    public var negativeWeight: Tensor?
    /// Only where the model takes the strength of guidance as an input.
    public var guidance: GuidanceInputs?
    /// [L G] int32; only where `StepInputs.labels` has one for each group and the model asks for each image's.
    public var imageLabels: Tensor?
}

/// The inputs of training-time guidance.
public struct GuidanceInputs: Sendable {
    /// Waves of each label's strength [L, GuidanceFeatures.count].
    public let features: Tensor
    /// Weight of each unconditional image among the negatives [L, N]; only where there are some.
    public let weight: Tensor?
}

extension Configuration {
    /// The model of these settings.
    public func makeModel() throws -> any ImageModel {
        switch model {
        case .driftAR: try DriftARModel(DriftARModel.Shape(self))
        case .dit: try DiTModel(DiTModel.Shape(self))
        }
    }
}
