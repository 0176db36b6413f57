import DriftGPU

/// A parameter of a model: its name in the reference's state_dict, its shape, and how it starts.
public struct ParameterDeclaration: Sendable {
    /// How a parameter's values are drawn before training.
    public enum Initial: Sendable, Hashable {
        case zeros, ones
        case normal(Float)
        /// Uniform within +-sqrt(6 / (in + out)) (Glorot), for a weight [out, in].
        case glorot
        /// Uniform within +-1 / sqrt(in), for a weight [out, in].
        case fanIn
        /// Sines and cosines of the place of each token on a grid of so many columns, for a table [1, tokens, width]: the
        /// first half of a row tells the line, the second the column (DiT's table, which stays fixed there).
        case position(columns: Int)
        /// The value of another parameter.
        case copy(String)
    }

    /// When a parameter is trained.
    public enum Training: Sendable, Hashable {
        case always
        /// Not in the second phase.
        case firstPhase
        /// It has no gradient: it stays the copy it starts as.
        case never
    }

    public let name: String
    public let shape: [Int]
    public let initial: Initial
    public private(set) var training = Training.always
    /// False: weight decay never acts on it. True: it does where the shape has two dimensions or more and it is no bias.
    public private(set) var mayDecay = true

    public init(_ name: String, _ shape: [Int], _ initial: Initial) {
        self.name = name
        self.shape = shape
        self.initial = initial
    }

    /// The same parameter, trained at other times.
    func trained(_ training: Training) -> ParameterDeclaration {
        var declaration = self
        declaration.training = training
        return declaration
    }

    /// The same parameter without weight decay.
    func undecayed() -> ParameterDeclaration {
        var declaration = self
        declaration.mayDecay = false
        return declaration
    }

    static func linear(_ name: String, _ input: Int, _ output: Int, _ weight: Initial = .fanIn) -> [ParameterDeclaration] {
        [.init(name + ".weight", [output, input], weight), .init(name + ".bias", [output], .zeros)]
    }

    static func layerNorm(_ name: String, _ width: Int) -> [ParameterDeclaration] {
        [.init(name + ".weight", [width], .ones), .init(name + ".bias", [width], .zeros)]
    }
}
