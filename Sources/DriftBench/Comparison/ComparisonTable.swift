import DriftFormats

/// What is known of the rows of a comparison, as text and as JSON.
public struct ComparisonTable: Sendable {
    /// A row of it.
    public struct Row: Sendable {
        public var name: String
        public var words: (stage: String, head: String, loop: String)
        public var parameters: Int
        public var trainingSeconds: Double?
        /// Steps of a training that has not come to its end.
        public var unfinished: (done: Int, planned: Int)?
        /// The row it is compared with; nil for a baseline.
        public var baseline: String?
        public var figures: RowFigures

        public init(
            name: String, words: (stage: String, head: String, loop: String), parameters: Int, trainingSeconds: Double? = nil,
            unfinished: (done: Int, planned: Int)? = nil, baseline: String? = nil, figures: RowFigures = RowFigures()
        ) {
            (self.name, self.words, self.parameters, self.trainingSeconds) = (name, words, parameters, trainingSeconds)
            (self.unfinished, self.baseline, self.figures) = (unfinished, baseline, figures)
        }
    }

    public let rows: [Row]
    public let device: String
    /// Images of each label that were judged.
    public let perLabel: Int

    public init(rows: [Row], device: String, perLabel: Int) { (self.rows, self.device, self.perLabel) = (rows, device, perLabel) }

    // MARK: Columns

    /// A figure of a row: its name in JSON, its title in a table, and its value.
    struct Column: Sendable {
        let key: String
        let title: String
        let value: @Sendable (Row) -> JSON?
        let text: @Sendable (Row) -> String?
        /// Whether it is words: they begin at one place, where numbers end at one.
        let isWords: Bool

        private init(
            _ key: String, _ title: String, isWords: Bool = false, value: @escaping @Sendable (Row) -> JSON?,
            text: @escaping @Sendable (Row) -> String?
        ) {
            (self.key, self.title, self.isWords, self.value, self.text) = (key, title, isWords, value, text)
        }

        init(_ key: String, _ title: String, words: @escaping @Sendable (Row) -> String?) {
            self.init(key, title, isWords: true) { words($0).map { .string($0) } } text: { words($0) }
        }

        /// A whole number, shown by `show`.
        init(_ key: String, _ title: String, count: @escaping @Sendable (Row) -> Int?, as show: @escaping @Sendable (Double) -> String) {
            self.init(key, title) { count($0).map { .integer($0) } } text: { count($0).map { show(Double($0)) } }
        }

        /// A number, shown by `show`.
        init(
            _ key: String, _ title: String, _ number: @escaping @Sendable (Row) -> Double?,
            as show: @escaping @Sendable (Double) -> String
        ) {
            self.init(key, title) { number($0).map { .number($0) } } text: { number($0).map(show) }
        }
    }

    /// Columns that stand together.
    struct Part: Sendable {
        let title: String
        let columns: [Column]
    }

    private static func fixed(_ digits: Int, times factor: Double = 1, _ unit: String = "") -> @Sendable (Double) -> String {
        { NumberText.fixed($0 * factor, digits) + unit }
    }

    /// 362 k, 1.21 M.
    @Sendable private static func compact(_ count: Double) -> String {
        for (unit, size) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] where count >= size {
            return NumberText.fixed(count / size, count / size < 10 ? 2 : count / size < 100 ? 1 : 0) + " " + unit
        }
        return NumberText.fixed(count, 0)
    }

    static let images = Part(title: "Models and their images", columns: [
        Column("stage", "stage") { $0.words.stage }, Column("head", "head") { $0.words.head }, Column("loop", "loop") { $0.words.loop },
        Column("parameters", "parameters", count: { $0.parameters }, as: compact),
        Column("training_seconds", "training", { $0.trainingSeconds }, as: NumberText.duration),
    ] + quality.map { column in
        Column(column.key, column.title, { $0.figures.quality.flatMap { column.value($0.generated) } }, as: column.text)
    })

    /// Figures of a set of images.
    private static let quality: [(key: String, title: String, value: @Sendable (ImageQuality) -> Double?, text: @Sendable (Double) -> String)] = [
        ("accuracy", "accuracy", { $0.accuracy }, fixed(1, times: 100, " %")),
        ("frechet_distance", "Frechet", { $0.frechet }, fixed(3)),
        ("kernel_distance", "KID x 1000", { $0.kernel }, fixed(2, times: 1000)),
        ("precision", "precision", { $0.precision }, fixed(3)),
        ("recall", "recall", { $0.recall }, fixed(3)),
        ("diversity", "diversity", { $0.diversity }, fixed(3)),
    ]

    static let times = Part(title: "What drawing takes", columns: [
        Column("image_ms", "ms an image", { $0.figures.timing.map { $0.median * 1000 } }, as: NumberText.short),
        Column("image_least_ms", "the least", { $0.figures.timing.map { $0.minimum * 1000 } }, as: NumberText.short),
        Column("image_spread", "spread", { $0.figures.timing?.spread }, as: fixed(0, times: 100, " %")),
        Column("images_per_second", "images/s", { $0.figures.bestBatch?.imagesPerSecond }, as: NumberText.short),
        Column("batch", "in batches of", count: { $0.figures.bestBatch?.images }, as: fixed(0)),
        Column("launches", "launches", { $0.figures.cost?.launches }, as: fixed(0)),
        Column("flops", "FLOP", { $0.figures.cost?.flops }, as: compact),
        Column("bytes", "bytes", { $0.figures.cost?.bytes }, as: compact),
        Column("stage_share", "stage", { $0.figures.cost?.stageShare }, as: fixed(0, times: 100, " %")),
        Column("head_share", "head", { $0.figures.cost?.headShare }, as: fixed(0, times: 100, " %")),
        Column("loop_share", "loop", { $0.figures.cost?.loopShare }, as: fixed(0, times: 100, " %")),
        Column("outside_kernels", "outside", { $0.figures.cost?.outsideKernels }, as: fixed(0, times: 100, " %")),
        Column("tokens_per_pass", "tokens/pass", { $0.figures.quality?.tokensPerPass }, as: fixed(2)),
    ])

    static let speed = Part(title: "Against the baseline", columns: [
        Column("baseline", "baseline") { $0.baseline },
        Column("paired_ms", "ms an image", { row in row.baseline.flatMap { _ in row.figures.timing.map { $0.median * 1000 } } }, as: NumberText.short),
        Column("baseline_ms", "the baseline's", { $0.figures.baselineTiming.map { $0.median * 1000 } }, as: NumberText.short),
        Column("speed_up", "times as fast", { $0.figures.speedUp?.ratio }, as: fixed(2)),
        Column("speed_up_lower_quartile", "lower quartile", { $0.figures.speedUp?.lowerQuartile }, as: fixed(2)),
        Column("speed_up_upper_quartile", "upper quartile", { $0.figures.speedUp?.upperQuartile }, as: fixed(2)),
    ])

    static let parts = [images, times, speed]

    // MARK: Text

    /// The columns of a part that at least one row has.
    private func known(_ part: Part) -> [Column] { part.columns.filter { column in rows.contains { column.text($0) != nil } } }

    /// The cells of a part: a line of titles, then one for each row, and where there are figures of them one for real images.
    func cells(_ part: Part) -> [[String]] {
        let known = known(part)
        var lines = [["row"] + known.map(\.title)]
        for row in rows where part.title != Self.speed.title || row.baseline != nil {
            lines.append([name(row)] + known.map { $0.text(row) ?? "-" })
        }
        guard part.title == Self.images.title, let heldOut else { return lines }
        lines.append(["real images, held out"] + known.map { column in
            Self.quality.first { $0.key == column.key }.flatMap { figure in figure.value(heldOut).map(figure.text) } ?? ""
        })
        return lines
    }

    /// Those of the first row that has them: they differ by no more than how many were taken.
    private var heldOut: ImageQuality? { rows.lazy.compactMap { $0.figures.quality?.heldOut }.first }

    private func name(_ row: Row) -> String {
        row.name + (row.unfinished.map { " (step \($0.done) of \($0.planned))" } ?? "")
    }

    /// What a reader should know beside the figures; a line each, said once.
    public var notes: [String] {
        var notes: [String] = []
        for row in rows {
            if let (done, planned) = row.unfinished { notes.append("\(row.name): not trained to its end, step \(done) of \(planned)") }
        }
        let untimed = rows.filter { $0.trainingSeconds == nil }.map(\.name)
        if !untimed.isEmpty { notes.append("no training time: no metrics beside \(untimed.joined(separator: "; "))") }
        var said: [(note: String, rows: [String])] = []
        for row in rows {
            for note in row.figures.quality?.notes ?? [] {
                if let place = said.firstIndex(where: { $0.note == note }) {
                    said[place].rows.append(row.name)
                } else {
                    said.append((note, [row.name]))
                }
            }
        }
        for (note, names) in said { notes.append(names.count == rows.count ? note : "\(names.joined(separator: "; ")): \(note)") }
        return notes
    }

    /// The tables one below the other, then the notes.
    public var text: String {
        var lines = ["on \(device); \(perLabel) images of each label judged"]
        for part in Self.parts {
            let cells = cells(part)
            guard cells.count > 1, cells[0].count > 1 else { continue }
            let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
            let areWords = [true] + known(part).map(\.isWords)
            lines += ["", part.title]
            for line in cells {
                let padded = line.enumerated().map { column, cell in
                    let room = String(repeating: " ", count: widths[column] - cell.count)
                    return areWords[column] ? cell + room : room + cell
                }
                lines.append(String(padded.joined(separator: "  ").reversed().drop { $0 == " " }.reversed()))
            }
        }
        let notes = notes
        if !notes.isEmpty { lines += [""] + notes.map { "note: " + $0 } }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: JSON

    /// Every figure of every row; null where there is none.
    public var json: JSON {
        func timing(_ timing: Timing) -> JSON {
            .object([
                .init("median", .number(timing.median)), .init("minimum", .number(timing.minimum)),
                .init("lower_quartile", .number(timing.lowerQuartile)), .init("upper_quartile", .number(timing.upperQuartile)),
                .init("repetitions", .integer(timing.repetitions)),
            ])
        }
        let objects = rows.map { row -> JSON in
            var members = [JSON.Member("name", .string(row.name))]
            members += Self.parts.flatMap(\.columns).map { .init($0.key, $0.value(row) ?? .null) }
            members.append(.init("unfinished", row.unfinished.map { .array([.integer($0.done), .integer($0.planned)]) } ?? .null))
            members.append(.init("image_seconds", row.figures.timing.map(timing) ?? .null))
            members.append(.init("baseline_seconds", row.figures.baselineTiming.map(timing) ?? .null))
            members.append(.init("batches", .array((row.figures.batches ?? []).map { batch in
                .object([.init("images", .integer(batch.images)), .init("seconds", timing(batch.timing))])
            })))
            return .object(members)
        }
        let real = heldOut.map { set in
            JSON.object(Self.quality.map { .init($0.key, $0.value(set).map { .number($0) } ?? .null) })
        }
        return .object([
            .init("device", .string(device)), .init("per_label", .integer(perLabel)), .init("rows", .array(objects)),
            .init("held_out", real ?? .null), .init("notes", .array(notes.map { .string($0) })),
        ])
    }
}
