import DriftAR
import DriftData
import DriftFormats
import DriftGPU

/// A row of a comparison: a model with its weights, and how images are drawn from it.
public struct ComparedRow: Sendable {
    public let name: String
    /// The weights, and the settings by which they are drawn from.
    public let model: SavedModel
    public let cfg: Float
    public let speculation: Speculation?
    /// Steps of training that the weights have seen, and how many were planned; nil for weights that are no run's.
    public let steps: (done: Int, planned: Int)?
    /// Seconds they took; nil where no metrics say so.
    public let trainingSeconds: Double?
    public let parameters: Int
    /// What tells the weights from others.
    let weights: String
    /// What tells this way of drawing from others.
    let drawing: String

    /// `path` is what `model` was opened from. Throws where the settings cannot be drawn by.
    public init(name: String, path: String, model: SavedModel, cfg: Float = 1, speculation: Speculation? = nil) throws {
        (self.name, self.model, self.cfg, self.speculation) = (name, model, cfg, speculation)
        let configuration = model.configuration
        let generator = try configuration.makeGenerator()
        parameters = generator.layout.parameterCount
        guard !generator.head.reconstructs else {
            throw ConfigurationError("the head \(configuration.head.kind) draws no images; take a model that does")
        }
        guard cfg.isFinite else { throw ConfigurationError("cfg \(cfg): take a finite number") }
        guard speculation == nil || generator.stage.hasEntropy else {
            throw ConfigurationError("speculative: the stage \(configuration.stage.kind) has no draft of features; leave it out")
        }
        let folder = RunFolder(path)
        if let done = try folder.checkpoints.latest() {
            // A run that goes on further than its newest checkpoint knows says so in its settings.
            let planned = Files.exists(folder.configurationPath) ? try folder.configuration().run.steps : configuration.run.steps
            steps = (done, planned)
            trainingSeconds =
                Files.exists(folder.metricsPath)
                ? try TrainingCurves(folder.metricsPath).seconds(through: done, imagesInStep: configuration.effectiveBatch) : nil
        } else {
            (steps, trainingSeconds) = (nil, nil)
        }
        weights = "weights \(try InputFile.fingerprint(of: model.file.path))"
        let settings = FigureStore.hash([String(decoding: try configuration.json(), as: UTF8.self)])
        drawing = "settings \(settings), cfg \(cfg), " + (speculation.map { "speculation \($0)" } ?? "no speculation")
    }

    /// The kind of its stage: rows of one kind are compared with each other.
    public var stageKind: String { model.configuration.stage.kind }

    /// Stage, head and loop in words.
    public var words: (stage: String, head: String, loop: String) {
        var words = model.configuration.drawing
        if cfg != 1 { words.loop += ", cfg \(cfg)" }
        if let speculation { words.loop += ", the draft's features (\(speculation))" }
        return words
    }

    /// Whether training has not come to its end.
    public var isUnfinished: Bool { steps.map { $0.done < $0.planned } ?? false }

    /// Throws where this row's model was trained on other images than that of `first`: one classifier cannot judge both. With
    /// `isElsewhere` where the images lie does not count.
    public func requireData(of first: ComparedRow, isElsewhere: Bool) throws {
        let (own, other) = (model.configuration.data, first.model.configuration.data)
        func form(_ data: DataSettings) -> String {
            "\(data.channels)x\(data.height)x\(data.width), \(counted(data.classes, "class", "classes")), "
                + (data.holdOut == 0 ? "none held out" : "1 in \(data.holdOut) held out")
        }
        let isSame =
            (isElsewhere || own.path == other.path) && own.form == other.form
            && own.latentScale == other.latentScale && own.classNames == other.classNames && form(own) == form(other)
        guard !isSame else { return }
        func text(_ data: DataSettings) -> String { "\(DataSource.name(of: data.path)) (\(form(data)))" }
        throw ConfigurationError(
            "\(name): trained on \(text(own)), \(first.name) on \(text(other)), and no classifier judges both; compare runs of the same data")
    }

    /// The baseline of each row, by number: the row that `wanted` names or numbers from 1, else the first of the same kind of
    /// stage; nil for a row that would be its own. Throws a line where two rows have one name or `wanted` is none of them.
    public static func baselines(of rows: [ComparedRow], wanted: [String?]) throws -> [Int?] {
        for (number, row) in rows.enumerated() where rows[..<number].contains(where: { $0.name == row.name }) {
            throw ConfigurationError("\(row.name): two rows are called so; give one another name, like name=b")
        }
        return try rows.indices.map { number in
            let chosen: Int?
            if let text = wanted[number] {
                chosen = rows.firstIndex { $0.name == text } ?? Int(text).flatMap { rows.indices.contains($0 - 1) ? $0 - 1 : nil }
                guard chosen != nil else {
                    let names = rows.enumerated().map { "\($0.offset + 1) \($0.element.name)" }.joined(separator: ", ")
                    throw ConfigurationError("\(rows[number].name): baseline=\(text.printable): no such row; there is \(names)")
                }
            } else {
                chosen = rows.firstIndex { $0.stageKind == rows[number].stageKind }
            }
            return chosen == number ? nil : chosen
        }
    }
}
