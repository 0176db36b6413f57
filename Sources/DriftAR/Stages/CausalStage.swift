import DriftGPU
import Foundation

/// Causal autoregression: each token from those before it, in the order of the rows.
public struct CausalStageSettings: StageKind {
    package static let kind = "causal"

    /// How positions turn queries and keys.
    public enum Rotary: String, Codable, Sendable, CaseIterable {
        /// By their number in the sequence.
        case line
        /// By the row and the column of their token.
        case grid
    }

    /// What is added to z for the position of a token.
    public enum HeadPositions: String, Codable, Sendable, CaseIterable {
        case none
        /// A learned row for each position (SphereAR's pos_for_diff).
        case learned
        /// Sines and cosines of column and row, before the last layer (NextStep-1's use_gen_pos_embed).
        case sines
    }

    /// Who guesses the tokens that a pass draws others from.
    public enum Guess: String, Codable, Sendable, CaseIterable {
        /// The draft, where the model has one.
        case draft
        /// The pass before: what it drew in the same places (parallel fixed-point decoding).
        case last
    }

    /// Blocks.
    public var depth = 4
    /// H_kv, heads of keys and values; 0: as many as of queries.
    public var keyHeads = 0
    /// Rows in front of the tokens that the label fills.
    public var classTokens = 2
    public var rotary = Rotary.grid
    public var rotaryBase = 1e4
    public var headPositions = HeadPositions.learned
    public var tokenNorm = TokenNorm.none
    /// How the strength of guidance goes over the tokens.
    public var guidance = RoundSettings.Guidance.linear
    /// Factor of what is random in a token beside the noise it starts from.
    public var temperature: Float = 1
    /// Blocks of the draft; 0: there is none.
    public var draftDepth = 0
    /// Weight of the loss that teaches the draft the stage's entropy.
    public var alignmentWeight: Float = 1
    /// Weight of the loss that teaches the draft what a head of one step draws.
    public var guessWeight: Float = 10
    /// Tokens that a pass draws at once, all but the first from guesses of those before; 1: one after the other.
    public var parallel = 1
    /// Who guesses.
    public var guess = Guess.draft
    /// Root mean square by which a guess may differ from the token drawn in its place.
    public var tolerance: Float = 0

    public init() {}

    /// Another stage's draft is another draft.
    package static var own: Set<String> { ["draftDepth"] }
    package func makeStage(_ configuration: Configuration) -> any Stage { CausalStage(self, configuration) }

    package func loop(_ configuration: Configuration) -> String {
        let guesses = draftDepth > 0 && guess == .draft ? "the draft's guesses" : "the last pass's guesses"
        return (parallel == 1 ? "1 token a pass" : "\(parallel) tokens a pass, \(guesses), tolerance \(tolerance)")
            + (temperature == 1 ? "" : ", temperature \(temperature)")
    }

    package func validate(_ configuration: Configuration) throws {
        let (network, tokens) = (configuration.network, configuration.data.tokens)
        try require(depth > 0 && depth <= 256, "stage.depth \(depth): take 1 to 256")
        try require(
            keyHeads >= 0 && keyHeads <= network.heads && (keyHeads == 0 || network.heads % keyHeads == 0),
            "stage.keyHeads \(keyHeads): take a divisor of the \(network.heads) heads, or 0 for as many")
        try require(
            network.heads > 0 && network.embed / network.heads % 2 == 0,
            "embed \(network.embed) with \(network.heads) heads: positions turn pairs of a head's columns; take an even number of columns a head")
        try require(
            network.heads <= 128 || draftDepth == 0 && configuration.head.drift == nil,
            "heads \(network.heads): the entropy that a draft or the drift head takes is that of 128 heads at most")
        try require(classTokens > 0 && classTokens <= 4096, "stage.classTokens \(classTokens): take 1 to 4096")
        try require(
            headPositions != .sines || network.embed % 4 == 0,
            "stage.headPositions sines: embed \(network.embed) must be a multiple of 4")
        try require(rotaryBase > 1 && rotaryBase.isFinite, "stage.rotaryBase \(rotaryBase): take a number above 1")
        try require(temperature >= 0 && temperature.isFinite, "temperature \(temperature): must be 0 or more")
        try require(draftDepth >= 0 && draftDepth <= 64, "stage.draftDepth \(draftDepth): take 0 (no draft) to 64")
        try require(draftDepth == 0 || tokens > 1, "stage.draftDepth \(draftDepth): an image of one token needs no draft; take 0")
        try require(alignmentWeight >= 0 && alignmentWeight.isFinite, "stage.alignmentWeight \(alignmentWeight): must be 0 or more")
        try require(guessWeight >= 0 && guessWeight.isFinite, "stage.guessWeight \(guessWeight): must be 0 or more")
        try require(parallel > 0 && parallel <= tokens, "parallel \(parallel): an image of \(tokens) tokens is drawn by 1 to \(tokens) at once")
        try require(tolerance >= 0 && tolerance.isFinite, "tolerance \(tolerance): must be 0 (guesses must be exact) or more")
        try require(
            parallel == 1 || configuration.head.diffusion == nil && configuration.head.flow == nil,
            "parallel \(parallel): the head \(configuration.head.kind) draws a token in many steps; take 1, or a head of one step")
    }
}

extension StageSettings {
    /// The settings of causal autoregression; nil where it is another stage. Setting them makes it the stage.
    public var causal: CausalStageSettings? {
        get { own as? CausalStageSettings }
        set { if let newValue { self = StageSettings(newValue) } }
    }
}

/// A causal transformer over the tokens of an image: the blocks and names of NextStep-1 (arXiv 2508.10711) with rows for the class
/// where it has text, as SphereAR has them (arXiv 2509.24335). Row n - 1 + r of n class rows and the tokens before r says what
/// is known of token r.
package struct CausalStage: Stage {
    /// Sizes of the stage.
    package struct Shape: Sendable, Hashable {
        /// R, tokens of an image, and their rows.
        package var tokens: Int
        package var tokenRows: Int
        /// C, values of a token.
        package var tokenWidth: Int
        package var block: CausalBlock
        package var depth: Int
        /// n, rows of the class.
        package var classTokens: Int
        package var classes: Int
        package var rotary: CausalStageSettings.Rotary
        package var rotaryBase: Double
        package var headPositions: CausalStageSettings.HeadPositions
        /// Blocks of the draft; 0: there is none.
        package var draftDepth = 0

        package init(
            tokens: Int, tokenRows: Int, tokenWidth: Int, block: CausalBlock, depth: Int, classTokens: Int, classes: Int,
            rotary: CausalStageSettings.Rotary, rotaryBase: Double, headPositions: CausalStageSettings.HeadPositions
        ) {
            (self.tokens, self.tokenRows, self.tokenWidth, self.block, self.depth) = (tokens, tokenRows, tokenWidth, block, depth)
            (self.classTokens, self.classes, self.rotary, self.rotaryBase) = (classTokens, classes, rotary, rotaryBase)
            self.headPositions = headPositions
        }

        /// D.
        package var embed: Int { block.width }
        /// The block whose attention gives the entropy.
        package var entropyBlock: Int { max(0, depth - 2) }
        /// Rows of a sequence: the last token enters none.
        package var capacity: Int { classTokens + tokens - 1 }

        /// The positions of a sequence with so many rows in front of the tokens.
        func places(front: Int) -> RotaryPlaces {
            let grid = rotary == .grid ? RotaryPlaces.Grid(rows: tokenRows, columns: tokens / tokenRows) : nil
            return RotaryPlaces(front: front, grid: grid, base: rotaryBase)
        }

        /// The draft; nil where there is none.
        package var draft: CausalDraft? {
            guard draftDepth > 0 else { return nil }
            return CausalDraft(block: block, depth: draftDepth, tokenWidth: tokenWidth, tokens: tokens, places: places(front: 0))
        }
    }

    /// What training adds to the sizes.
    package struct Training: Sendable {
        /// Of attention weights and projections.
        package var dropout: Float = 0
        /// Part of the images trained without their label.
        package var labelDrop: Float = 0
        /// G, real images of a label in a step.
        package var imagesPerLabel = 1
        /// Weights of the draft's losses of entropies and of guesses.
        package var alignmentWeight: Float = 1
        package var guessWeight: Float = 10

        package init() {}
    }

    /// How tokens are drawn.
    package struct Drawing: Sendable, Hashable {
        package var guidance = RoundSettings.Guidance.linear
        package var temperature: Float = 1
        package var parallel = 1
        package var tolerance: Float = 0
        package var guess = CausalStageSettings.Guess.draft

        package init() {}

        /// The strength of guidance for each of so many tokens. Linear: 1 + (cfg - 1) r / R (SphereAR); falling: the same from the
        /// end (NextStep-1).
        package func strengths(_ cfg: Float, tokens: Int) -> [Float] {
            (0..<tokens).map { token in
                switch guidance {
                case .constant: cfg
                case .linear: 1 + (cfg - 1) * Float(token) / Float(tokens)
                case .falling: 1 + (cfg - 1) * Float(tokens - token) / Float(tokens)
                }
            }
        }
    }

    package let shape: Shape
    package let training: Training
    package let norm: TokenNorm
    package let drawing: Drawing
    package let declarations: [ParameterDeclaration]

    package init(_ shape: Shape, _ training: Training = Training(), norm: TokenNorm = .none, _ drawing: Drawing = Drawing()) {
        (self.shape, self.training, self.norm, self.drawing) = (shape, training, norm, drawing)
        declarations = Self.declare(shape)
    }

    /// The stage of these settings, beside what the other groups say.
    init(_ settings: CausalStageSettings, _ configuration: Configuration) {
        let (data, network, run) = (configuration.data, configuration.network, configuration.run)
        var (training, drawing) = (Training(), Drawing())
        (training.dropout, training.labelDrop, training.imagesPerLabel) = (network.dropout, run.labelDrop, run.samplesPerLabel)
        (drawing.guidance, drawing.temperature) = (settings.guidance, settings.temperature)
        (drawing.parallel, drawing.tolerance, drawing.guess) = (settings.parallel, settings.tolerance, settings.guess)
        (training.alignmentWeight, training.guessWeight) = (settings.alignmentWeight, settings.guessWeight)
        let block = CausalBlock(
            width: network.embed, heads: network.heads, keyHeads: settings.keyHeads == 0 ? network.heads : settings.keyHeads,
            hidden: Int(Float(network.embed) * network.mlpRatio), epsilon: network.layerNormEpsilon)
        var shape = Shape(
            tokens: data.tokens, tokenRows: data.height / data.patch, tokenWidth: data.tokenWidth, block: block,
            depth: settings.depth, classTokens: settings.classTokens, classes: data.classes, rotary: settings.rotary,
            rotaryBase: settings.rotaryBase, headPositions: settings.headPositions)
        shape.draftDepth = settings.draftDepth
        self.init(shape, training, norm: settings.tokenNorm, drawing)
    }

    private static func declare(_ shape: Shape) -> [ParameterDeclaration] {
        let width = shape.embed
        // The row behind those of the classes is that of no label.
        var list = [
            ParameterDeclaration("cls_embedding.weight", [shape.classes + 1, shape.classTokens * width], .normal(0.02)).undecayed()
        ]
        list += ParameterDeclaration.linear("image_in_projector", shape.tokenWidth, width, .glorot)
        for index in 0..<shape.depth { list += shape.block.declarations("layers.\(index).", weight: .glorot) }
        list.append(.init("norm.weight", [width], .ones))
        list += ParameterDeclaration.linear("image_out_projector", width, width, .glorot)
        if shape.headPositions == .learned { list.append(.init("pos_for_diff", [shape.tokens, width], .normal(0.02))) }
        return list + (shape.draft?.declarations ?? [])
    }

    package var kind: String { CausalStageSettings.kind }
    package var encodesEachImage: Bool { true }
    package func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(label) }

    // MARK: Network

    /// The rows of classes [B] int32 in front of the tokens, [B, n, D]. The class behind the last is that of no label.
    package func front(_ classes: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.reshape(
            scope.graph.embedding(scope.parameter("cls_embedding.weight"), labels: classes),
            [classes.count, shape.classTokens, shape.embed])
    }

    /// Tokens [..., C] as rows of the sequence [..., D].
    package func enter(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor { try scope.linear(tokens, "image_in_projector") }

    /// The angles of all positions [n + R - 1, D / H].
    package func table(_ graph: Graph) throws -> Tensor {
        try graph.rotaryTable(shape.places(front: shape.classTokens), count: shape.capacity, size: shape.block.size)
    }

    /// Rows of the last block [B, G, D] -> z [B, G, D]. `places` [B, G, D] or [R, D]: what is added for their positions.
    package func leave(_ rows: Tensor, places: Tensor?, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        func placed(_ x: Tensor, _ kind: CausalStageSettings.HeadPositions) throws -> Tensor {
            guard let places, shape.headPositions == kind else { return x }
            return try places.count == x.count ? graph.add(x, graph.reshape(places, x.shape)) : graph.addPeriodic(x, places)
        }
        let normed = try placed(scope.rmsNorm(rows, "norm", epsilon: shape.block.epsilon), .sines)
        return try placed(scope.linear(normed, "image_out_projector"), .learned)
    }

    /// What is added for the positions of the tokens [R, D]; nil where nothing is.
    package func places(_ scope: ParameterScope) throws -> Tensor? {
        switch shape.headPositions {
        case .none: return nil
        case .learned: return try scope.parameter("pos_for_diff")
        case .sines:
            let columns = shape.tokens / shape.tokenRows
            let all = Self.sines(rows: shape.tokenRows, columns: columns, width: shape.embed)
            return try scope.graph.constant("causal_sines \(shape.tokenRows)x\(columns)x\(shape.embed)", all, [shape.tokens, shape.embed])
        }
    }

    /// For each place of a grid: of its column i, then of its row, width / 4 sines of i / 10000^(k / (width / 4)) and as many cosines.
    package static func sines(rows: Int, columns: Int, width: Int) -> [Float] {
        let quarter = width / 4
        return (0..<(rows * columns)).flatMap { place in
            [place % columns, place / columns].flatMap { number -> [Float] in
                let angles = (0..<quarter).map { Double(number) * pow(1e4, -Double($0) / Double(quarter)) }
                return angles.map { Float(sin($0)) } + angles.map { Float(cos($0)) }
            }
        }
    }

    /// The sizes of a pass over rows.
    package var pass: CausalPassShape {
        let block = shape.block
        return CausalPassShape(
            channels: shape.tokenWidth, width: block.width, hidden: block.hidden, heads: block.heads, keyHeads: block.keyHeads,
            depth: shape.depth, capacity: shape.capacity, epsilon: block.epsilon)
    }

    /// The same where the kernel for small networks takes it.
    package var small: CausalPassShape? { pass.isSmall && shape.headPositions != .sines ? pass : nil }

    /// The weights as that kernel reads them.
    package func packed(_ scope: ParameterScope) throws -> Tensor {
        func layer(_ name: String) throws -> CausalPassWeights.Layer {
            try .init(weight: scope.parameter(name + ".weight"), bias: scope.parameter(name + ".bias"))
        }
        return try scope.graph.causalPassWeights(
            CausalPassWeights(
                input: layer("image_in_projector"),
                blocks: (0..<shape.depth).map { try shape.block.weights(scope.scope("layers.\($0)")) },
                norm: scope.parameter("norm.weight"), output: layer("image_out_projector")))
    }

    /// The class rows `front` [B, n, D] and all tokens [B, R, C] -> z [B, R, D] of each from those before it; and, where it is asked
    /// for, the entropy [B, R] of the attention of the penultimate block among these. Where there are fewer than two it is 1: nothing
    /// tells what the token is, and 0 would have the drift head draw it from a point.
    package func forward(
        front: Tensor, tokens: Tensor, _ scope: ParameterScope, withEntropy: Bool = false, dropout: Dropout? = nil
    ) throws -> (z: Tensor, entropy: Tensor?) {
        let graph = scope.graph
        let (batch, count, own) = (tokens.shape[0], shape.tokens, shape.classTokens)
        var x = front
        if count > 1 { x = try graph.concat([front, enter(graph.slice(tokens, axis: 1, 0..<(count - 1)), scope)], axis: 1) }
        let table = try table(graph)
        var entropy: Tensor?
        for index in 0..<shape.depth {
            x = try graph.segment {
                let result = try shape.block(x, table: table, scope.scope("layers.\(index)"), dropout: dropout)
                if withEntropy, index == shape.entropyBlock {
                    let uncertain = try graph.fill([batch, min(2, count)], with: 1)
                    entropy = uncertain
                    if count > 2 {
                        let others = try graph.softmaxEntropy(result.qkv, heads: shape.block.heads, buffer: own)
                        entropy = try graph.concat([uncertain, graph.slice(others, axis: 1, 1..<(count - 1))], axis: 1)
                    }
                }
                return result.output
            }
        }
        return (try leave(graph.slice(x, axis: 1, (own - 1)..<(own - 1 + count)), places: places(scope), scope), entropy)
    }

    // MARK: Drawing

    package func loop(_ head: any Head, _ context: SamplingContext) -> (any GenerationLoop)? {
        head.ofTokens.map { CausalDecoding(self, $0, context) }
    }

    package func graphs(
        ofLoopWith head: any Head, _ batches: [DrawingGraph.Size], _ weights: StoredWeights
    ) throws -> [Graph]? {
        try head.ofTokens.map { try CausalDecoding.graphs(self, $0, batches, weights) }
    }

    /// What is said of every token where all before it are zeros.
    package func condition(labels: Tensor, drop: Tensor, _ scope: ParameterScope) throws -> Condition {
        let (graph, table) = (scope.graph, try scope.parameter("cls_embedding.weight"))
        let without = try graph.slice(table, axis: 0, shape.classes..<(shape.classes + 1))
        let rows = try graph.embedding(
            table, labels: labels, fake: graph.reshape(without, [table.type.columns]), uniform: drop, dropProbability: 0.5)
        let tokens = try graph.fill([labels.count, shape.tokens, shape.tokenWidth], with: 0)
        let (z, entropy) = try forward(
            front: graph.reshape(rows, [labels.count, shape.classTokens, shape.embed]), tokens: tokens, scope, withEntropy: true)
        return Condition(labels: labels, z: z, entropy: entropy)
    }
}
