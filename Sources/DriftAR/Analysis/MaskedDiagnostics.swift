import DriftData
import DriftFormats
import DriftGPU
import DriftReport

/// What a model that draws in rounds says of hidden tokens: of real images, whose errors can be told, and of its own drawings.
public struct MaskedDiagnostics: Sendable {
    /// A hidden token of a real image.
    struct Pair: Sendable {
        let label: Int
        /// Number of the image among those of its label.
        let image: Int
        /// Tokens of the image that are hidden with it.
        let hidden: Int
        let position: Int
        let entropy: Double
        /// Root mean square over the token's values of drawn minus real, in the mean over some draws.
        let error: Double
    }

    /// An image of a drawing, as each round finds it.
    struct Drawing: Sendable {
        struct Round: Sendable {
            /// [R]; nil where a token is known.
            let entropy: [Double?]
            /// Positions that the round draws.
            let drawn: Set<Int>
            /// What there is so far.
            let picture: Picture
        }

        let label: Int
        let rounds: [Round]
        let result: Picture
    }

    package let device: String
    let configuration: Configuration
    /// The head's; nil where the entropy sets no prior.
    let sigma: SigmaMap?
    let pairs: [Pair]
    /// Numbers of hidden tokens that were looked at, the largest first.
    let hidden: [Int]
    /// Where the real images are from; why there are none where `pairs` is empty.
    let source: String
    let drawings: [Drawing]

    /// Draws of each hidden token.
    static let draws = 4
    /// Tokens of the real images that are looked at, at most (an image of a label at least).
    private static let tokenLimit = 8192

    /// Looks at a model that draws in rounds. `images`: real ones in the shape of the model, of which no more than needed are taken;
    /// `source` says where they are from, or why there are none.
    public init(
        _ saved: SavedModel, device: Device, images: ImageSet?, source: String, autoencoder: Autoencoder? = nil,
        _ settings: ModelDiagnostics.Settings = .init()
    ) throws {
        let configuration = saved.configuration
        let chosen = try settings.chosen(configuration)
        let rendering = try Rendering(configuration, autoencoder: autoencoder)
        let state = try saved.load(into: DeviceMemory(device))
        let context = SamplingContext(StoredWeights(state.model.layout, buffer: "ema"), memory: state.memory)
        guard let probe = state.model.loop(context).probe else {
            throw ConfigurationError("model \(configuration.generatorName): does not draw its tokens in rounds")
        }
        (self.configuration, sigma, self.source) = (configuration, state.model.head.sigma, source)
        self.device = device.about.name
        let tokens = configuration.data.tokens
        hidden = Array(Set([1, 0.75, 0.5, 0.25].map { max(1, Int((Double(tokens) * $0).rounded())) })).sorted(by: >)
        pairs = try images.map { [hidden] in
            try Self.pairs($0, chosen, hidden: hidden, probe, configuration, seed: settings.seed)
        } ?? []
        let shown = Array(chosen.prefix(ModelDiagnostics.shownLabels))
        let looks = try probe.rounds(shown, images: 0..<settings.perLabel, seed: settings.seed)
        drawings = try Self.drawings(looks, shown, perLabel: settings.perLabel, rendering, tokens: tokens)
    }

    /// Hides tokens of real images and has the model draw them.
    private static func pairs(
        _ images: ImageSet, _ labels: [Int], hidden: [Int], _ probe: MaskedProbe, _ configuration: Configuration, seed: UInt64
    ) throws -> [Pair] {
        let (tokens, width) = (configuration.data.tokens, configuration.data.tokenWidth)
        let (members, perLabel) = images.members(of: labels, limit: tokenLimit, tokens: tokens)
        guard perLabel > 0 else { return [] }
        var pairs: [Pair] = []
        let atOnce = max(1, configuration.sampleBatch / perLabel)
        for start in stride(from: 0, to: members.count, by: atOnce) {
            let part = Array(members[start..<min(start + atOnce, members.count)])
            let real = try images.tokens(part, perLabel: perLabel, configuration)
            let orders = part.flatMap { label in
                (0..<perLabel).flatMap { MaskedRounds.order(label, image: $0, tokens: tokens, seed: seed) }
            }
            for count in hidden {
                var errors = [Double](repeating: 0, count: orders.count)
                var entropy: [Float] = []
                for draw in 0..<Self.draws {
                    let look = try probe.fill(
                        real, part, images: 0..<perLabel, orders: orders, hidden: count, seed: seed &+ UInt64(draw))
                    entropy = look.entropy
                    for row in errors.indices {
                        errors[row] += tokenDistance(look.after, row, real, row, width: width) / Double(Self.draws)
                    }
                }
                for (place, label) in part.enumerated() {
                    // A label of fewer images has some of them more than once.
                    for image in 0..<min(perLabel, images.index.members[label].count) {
                        let first = (place * perLabel + image) * tokens
                        for position in orders[first..<(first + count)].map({ Int($0) }).sorted() {
                            pairs.append(
                                Pair(
                                    label: label, image: image, hidden: count, position: position,
                                    entropy: Double(entropy[first + position]), error: errors[first + position]))
                        }
                    }
                }
            }
        }
        return pairs
    }

    private static func drawings(
        _ looks: [MaskedProbe.Look], _ labels: [Int], perLabel: Int, _ rendering: Rendering, tokens: Int
    ) throws -> [Drawing] {
        func pictures(_ values: [Float]) throws -> [Picture] {
            let (pixels, shape) = try rendering(values)
            let size = shape[1] * shape[2] * shape[3]
            return try (0..<shape[0]).map {
                try Picture(image: Array(pixels[($0 * size)..<(($0 + 1) * size)]), channels: shape[1], height: shape[2], width: shape[3])
            }
        }
        guard let last = looks.last else { return [] }
        let (found, results) = (try looks.map { try pictures($0.before) }, try pictures(last.after))
        return results.indices.map { image in
            let rounds = looks.enumerated().map { number, look in
                let order = look.orders[(image * tokens)..<((image + 1) * tokens)].map { Int($0) }
                var entropy = [Double?](repeating: nil, count: tokens)
                for position in order[..<look.round.drawn.upperBound] {
                    entropy[position] = Double(look.entropy[image * tokens + position])
                }
                return Drawing.Round(entropy: entropy, drawn: Set(order[look.round.drawn]), picture: found[number][image])
            }
            return Drawing(label: labels[image / perLabel], rounds: rounds, result: results[image])
        }
    }

    // MARK: Tables

    /// A line for each hidden token of the real images. Positions count from 1.
    var csv: CSV {
        var csv = CSV(["label", "image", "hidden", "position", "entropy", "sigma", "error"])
        for pair in pairs {
            csv.append([
                .integer(pair.label), .integer(pair.image), .integer(pair.hidden), .integer(pair.position + 1), .number(pair.entropy),
                .number(sigma?.deviation(pair.entropy)), .number(pair.error),
            ])
        }
        return csv
    }

    /// A line for each hidden token of each round of the drawings. Rounds and positions count from 1.
    var roundTable: CSV {
        var csv = CSV(["label", "image", "round", "position", "entropy", "sigma", "drawn"])
        var numbers: [Int: Int] = [:]
        for drawing in drawings {
            let image = numbers[drawing.label, default: 0]
            numbers[drawing.label] = image + 1
            for (number, round) in drawing.rounds.enumerated() {
                for (position, entropy) in round.entropy.enumerated() {
                    guard let entropy else { continue }
                    csv.append([
                        .integer(drawing.label), .integer(image), .integer(number + 1), .integer(position + 1), .number(entropy),
                        .number(sigma?.deviation(entropy)), .integer(round.drawn.contains(position) ? 1 : 0),
                    ])
                }
            }
        }
        return csv
    }
}
