import DriftData
import DriftFormats
import DriftGPU
import DriftReport

/// What a causal model says of the tokens of real images, each from those before it: how uncertain it is, how far what it draws is
/// off; and of its draft how far from that its guesses are.
public struct CausalDiagnostics: Sendable {
    /// A token of a real image.
    struct Token: Sendable {
        let label: Int
        /// Number of the image among those of its label.
        let image: Int
        let position: Int
        let entropy: Double
        /// Root mean square of drawn minus real over the token's values, in the mean over some draws; nil where the head takes steps.
        let error: Double?
        /// The draft's entropy; nil for an image's first token, and where there is no draft.
        let draftEntropy: Double?
        /// Root mean square of the draft's guess minus what is drawn with the same noise, of each draw.
        let distances: [Double]
    }

    package let device: String
    let configuration: Configuration
    /// The head's; nil where the entropy sets no prior.
    let sigma: SigmaMap?
    let tokens: [Token]
    /// Where the real images are from; why there is no token to look at where there is none.
    let source: String

    /// Draws of each token.
    static let draws = 4
    /// Tokens of the real images that are looked at, at most (an image of a label at least).
    private static let tokenLimit = 8192

    /// Looks at a causal model. `images`: real ones in the shape of the model, of which no more than needed are taken; `source` says
    /// where they are from, or why there are none.
    public init(
        _ saved: SavedModel, device: Device, images: ImageSet?, source: String, _ settings: ModelDiagnostics.Settings = .init()
    ) throws {
        let configuration = saved.configuration
        let chosen = try settings.chosen(configuration)
        let state = try saved.load(into: DeviceMemory(device))
        guard let stage = state.model.stage as? CausalStage, let head = state.model.head.ofTokens else {
            throw ConfigurationError("model \(configuration.generatorName): draws no token from those before it")
        }
        let context = SamplingContext(StoredWeights(state.model.layout, buffer: "ema"), memory: state.memory)
        (self.configuration, sigma) = (configuration, head.sigma)
        self.device = device.about.name
        tokens = try images.map { try Self.tokens($0, chosen, CausalProbe(stage, head, context), configuration, seed: settings.seed) } ?? []
        self.source = images != nil && tokens.isEmpty ? "none of the labels has an image among \(source)" : source
    }

    private static func tokens(
        _ images: ImageSet, _ labels: [Int], _ probe: CausalProbe, _ configuration: Configuration, seed: UInt64
    ) throws -> [Token] {
        let (count, width) = (configuration.data.tokens, configuration.data.tokenWidth)
        let (members, perLabel) = images.members(of: labels, limit: tokenLimit, tokens: count)
        guard perLabel > 0 else { return [] }
        var tokens: [Token] = []
        let atOnce = max(1, configuration.sampleBatch / perLabel)
        for start in stride(from: 0, to: members.count, by: atOnce) {
            let part = Array(members[start..<min(start + atOnce, members.count)])
            let real = try images.tokens(part, perLabel: perLabel, configuration)
            let spread = part.flatMap { Array(repeating: $0, count: perLabel) }
            let looks = try (0..<draws).map { try probe.look(real, spread, seed: seed, draw: $0) }
            for (row, label) in spread.enumerated() {
                let image = row % perLabel
                guard image < images.index.members[label].count else { continue }
                for position in 0..<count {
                    let (place, behind) = (row * count + position, row * (count - 1) + position - 1)
                    let drawn = looks.filter { !$0.drawn.isEmpty }
                    let errors = drawn.map { tokenDistance($0.drawn, place, $0.real, place, width: width) }
                    let proposed = position > 0 ? looks.filter { !$0.draftEntropy.isEmpty } : []
                    tokens.append(
                        Token(
                            label: label, image: image, position: position, entropy: Double(looks[0].entropy[place]),
                            error: errors.isEmpty ? nil : errors.reduce(0, +) / Double(draws),
                            draftEntropy: proposed.first.map { Double($0.draftEntropy[behind]) },
                            distances: proposed.filter { !$0.guesses.isEmpty }.map {
                                tokenDistance($0.guesses, behind, $0.drawn, place, width: width)
                            }))
                }
            }
        }
        return tokens
    }

    /// Of the guesses of a draft the share within each tolerance.
    func acceptance(_ tolerances: [Double]) -> [Double] {
        let all = tokens.flatMap(\.distances).filter(\.isFinite).sorted()
        return tolerances.map { tolerance in
            all.isEmpty ? 0 : Double(all.prefix { $0 <= tolerance }.count) / Double(all.count)
        }
    }

    /// A line for each token. Positions count from 1.
    var csv: CSV {
        var csv = CSV(["label", "image", "position", "entropy", "sigma", "error", "draft_entropy", "draft_distance"])
        for token in tokens {
            csv.append([
                .integer(token.label), .integer(token.image), .integer(token.position + 1), .number(token.entropy),
                .number(sigma?.deviation(token.entropy)), .number(token.error), .number(token.draftEntropy), .number(token.distance),
            ])
        }
        return csv
    }
}

extension CausalDiagnostics.Token {
    /// How far guesses are off in the mean; nil where no draft guessed.
    var distance: Double? { distances.isEmpty ? nil : distances.reduce(0, +) / Double(distances.count) }
}
