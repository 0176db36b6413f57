import DriftAR
import DriftData
import DriftFormats
import DriftGPU

/// Models compared under one judge and one clock. What was found is kept in a folder, and a figure that is there, of the same
/// weights and settings, is not computed again.
public final class Comparison {
    /// What is asked of every row.
    public struct Settings: Sendable {
        /// Images of each label that are judged.
        public var perLabel = 100
        public var seed: UInt64 = 0
        /// Times that one image is drawn at least.
        public var repetitions = 25
        /// What tells the program from others: times are those of one program.
        public var program = ""
        /// Decodes what models of latents draw.
        public var vae: VAEWeights?
        /// Computes everything, whatever is kept.
        public var isAnew = false

        public init() {}
    }

    public let rows: [ComparedRow]
    /// By number.
    private let baselines: [Int?]
    private let settings: Settings
    private let judge: RowJudge
    private let device: Device
    private let store: FigureStore
    /// What tells the autoencoder from others.
    private let decoder: String
    private var figures: [RowFigures]

    /// `device` does not profile. Throws where the folder cannot be made.
    public init(
        _ rows: [ComparedRow], baselines: [Int?], judge: RowJudge, on device: Device, keptIn folder: String, _ settings: Settings
    ) throws {
        (self.rows, self.baselines, self.judge, self.device, self.settings) = (rows, baselines, judge, device, settings)
        store = try FigureStore(folder, isAnew: settings.isAnew)
        figures = Array(repeating: RowFigures(), count: rows.count)
        let checksum = try settings.vae.map { try Autoencoder($0, device: device).decoderChecksum() }
        decoder = checksum.map { "decoder \(String($0, radix: 16))" } ?? "no decoder"
    }

    /// Figures that were computed, and those that were kept.
    public var counts: (computed: Int, kept: Int) { store.counts }

    /// The table of what is known so far.
    public var table: ComparisonTable {
        ComparisonTable(
            rows: rows.indices.map { number in
                let row = rows[number]
                return .init(
                    name: row.name, words: row.words, parameters: row.parameters, trainingSeconds: row.trainingSeconds,
                    unfinished: row.isUnfinished ? row.steps : nil, baseline: baselines[number].map { rows[$0].name }, figures: figures[number])
            }, device: device.about.name, perLabel: settings.perLabel)
    }

    /// Computes what is not kept. `openProfiling` opens the device for profiling; `progress` is told a line for what was computed, and
    /// `publish` called whenever the table has grown.
    public func run(openProfiling: () throws -> Device, progress: (String) -> Void, publish: () throws -> Void) throws {
        try publish()
        for number in rows.indices {
            try judgeRow(number, progress)
            try publish()
        }
        var profiling: Device?
        for number in rows.indices {
            let row = rows[number]
            figures[number].cost = try figure("cost", timed(row), progress, "\(row.name): an image taken apart") {
                let opened = try profiling ?? openProfiling()
                profiling = opened
                return try RowDrawing(row, settings.vae, on: opened).cost()
            }
        }
        try publish()
        for number in rows.indices {
            try time(number, progress)
            try publish()
        }
    }

    /// What a row's figures on this device depend on.
    private func identity(_ row: ComparedRow) -> [String] { [row.weights, row.drawing, decoder, device.arithmetic] }
    /// What its times depend on, and what they are made of.
    private func timed(_ row: ComparedRow) -> [String] { identity(row) + [settings.program] }

    private func figure<Figures: Codable>(
        _ kind: String, _ identity: [String], _ progress: (String) -> Void, _ line: String, _ compute: () throws -> Figures
    ) throws -> Figures {
        if let known = store.known(kind, identity, as: Figures.self) { return known }
        let found = try compute()
        try store.keep(found, kind, identity)
        progress(line)
        return found
    }

    private func judgeRow(_ number: Int, _ progress: (String) -> Void) throws {
        let row = rows[number]
        let identity = identity(row) + judge.identity + ["\(settings.perLabel) images of each label, seed \(settings.seed)"]
        let picture = store.path("grid", identity, ending: "png")
        if !Files.exists(picture) { try? Files.removeTree(store.path("quality", identity)) }
        figures[number].quality = try figure("quality", identity, progress, "\(row.name): judged") {
            let (quality, grid) = try judge.judge(row, settings.vae, on: device, perLabel: settings.perLabel, seed: settings.seed)
            try AtomicFile.write(grid, to: picture, synced: false)
            return quality
        }
        figures[number].grid = try Files.read(picture)
    }

    private func time(_ number: Int, _ progress: (String) -> Void) throws {
        let row = rows[number]
        figures[number].batches = try figure("batches", timed(row), progress, "\(row.name): batches timed") {
            try RowDrawing(row, settings.vae, on: device).batches(repetitions: settings.repetitions)
        }
        let repetitions = ["\(settings.repetitions) times"]
        guard let baseline = baselines[number] else {
            figures[number].timing = try figure("image", timed(row) + repetitions, progress, "\(row.name): an image timed") {
                let drawing = try RowDrawing(row, settings.vae, on: device)
                try drawing.warmUp()
                var times: [Double] = []
                try measure(repetitions: settings.repetitions) { number in times.append(try seconds { try drawing.image(number) }) }
                return Timing(times)
            }
            return
        }
        let other = rows[baseline]
        let pair = timed(row) + [other.weights, other.drawing] + repetitions
        let timing = try figure("pair", pair, progress, "\(row.name): an image timed beside \(other.name)") {
            let (own, against) = (try RowDrawing(row, settings.vae, on: device), try RowDrawing(other, settings.vae, on: device))
            try own.warmUp()
            try against.warmUp()
            return try PairedTiming(repetitions: settings.repetitions, own: own.image, baseline: against.image)
        }
        (figures[number].timing, figures[number].speedUp, figures[number].baselineTiming) = (timing.own, timing.speedUp, timing.baseline)
    }
}
