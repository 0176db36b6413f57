import ArgumentParser
import DriftAR
import DriftBench
import DriftData
import DriftFormats
import DriftGPU

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare trained models, and ways to draw from them: quality, time and what drawing takes, in one table.",
        discussion: """
            A row is a run's folder and how it is drawn from: out/digits-mar,rounds=4,cfg=1.5. Options are those of driftgpu sample \
            without the dashes: rounds, order, parallel, tolerance, guess, head-steps, sampler, temperature, cfg-schedule, cfg, weights, \
            speculative and what goes with it; name=TEXT calls the row something else. Its speed is compared with that of the first row \
            of the same kind of stage, or of the one that baseline=NAME or baseline=NUMBER names.

            Writes compare.txt, compare.json and compare.html to the output folder, and keeps there what was computed: a second call \
            computes only what is new, or of weights that have changed.
            """)

    @ArgumentParser.Argument(help: ArgumentHelp("RUN,option=value,...", valueName: "row")) var rows: [String]
    @Option(name: [.short, .long], help: "Folder to write to.") var output: String = "out/compare"
    @Option(help: ArgumentHelp(
        "A classifier that driftgpu eval --fit-classifier wrote, to judge by. Default: one is fitted and kept in the output folder.", valueName: "file"))
    var classifier: String?
    @Option(help: ArgumentHelp("Steps of a classifier that is fitted.", valueName: "n")) var classifierSteps: Int?
    @Option(help: ArgumentHelp("Where the real images are, if not where the runs were trained.", valueName: "path")) var data: String?
    @Option(help: "Images of each label that are judged.") var perLabel: Int = Comparison.Settings().perLabel
    @Option(help: "Seed of their noise.") var seed: UInt64 = 0
    @Option(help: ArgumentHelp("Times that one image of a row is drawn at least; more where they take less than n tenths of a second, fewer, but 3, once a minute has passed.", valueName: "n"))
    var repetitions: Int = Comparison.Settings().repetitions
    @Flag(help: "Compute everything again, whatever the output folder keeps.") var anew = false
    @OptionGroup(title: "Autoencoder of models that draw latents") var vaeOptions: VAEOptions
    @OptionGroup var deviceOptions: DeviceOptions

    func validate() throws {
        if perLabel < 2 { throw ValidationError("--per-label \(perLabel): take 2 or more") }
        if repetitions < 1 || repetitions > 10_000 { throw ValidationError("--repetitions \(repetitions): take 1 to 10000") }
        if let classifierSteps {
            if classifierSteps < 1 { throw ValidationError("--classifier-steps \(classifierSteps): take 1 or more") }
            if classifier != nil { throw ValidationError("--classifier and --classifier-steps exclude each other") }
        }
    }

    func run() throws {
        try reporting {
            let given = try rows.map { try CompareRow($0) }
            let opened = try given.map { try $0.opened() }
            let baselines = try ComparedRow.baselines(of: opened, wanted: given.map(\.options.baseline))
            for row in opened.dropFirst() { try row.requireData(of: opened[0], isElsewhere: data != nil) }
            let known = try classifier.map { try FittedClassifier($0) }
            let vae = try vaeOptions.weights()
            let kept = output + "/kept"
            try Files.makeFolder(kept)
            let settings = opened[0].model.configuration
            let path = data ?? settings.data.path
            let source = try images(settings, vae)
            let device = try deviceOptions.open()
            let judge: RowJudge
            if let known, let classifier {
                judge = try RowJudge(source, at: path, classifier: known, file: classifier)
            } else {
                let file = RowJudge.classifierPath(in: kept, for: source, at: path, steps: classifierSteps ?? ClassifierTraining().steps)
                judge = try RowJudge(source, at: path, classifier: fitted(source, file, device), file: file)
            }
            var asked = Comparison.Settings()
            (asked.perLabel, asked.seed, asked.repetitions, asked.isAnew, asked.vae) = (perLabel, seed, repetitions, anew, vae)
            asked.program = "program \(try InputFile.fingerprint(of: ChildProgram.ownPath))"
            let comparison = try Comparison(opened, baselines: baselines, judge: judge, on: device, keptIn: kept, asked)
            try comparison.run(openProfiling: { try deviceOptions.open(profiling: true) }, progress: ProgressLine.remark) {
                try comparison.table.write(to: output)
            }
            let counts = comparison.counts
            ProgressLine.remark("\(counted(counts.computed, "figure")) computed, \(counts.kept) kept before")
            Output.line(comparison.table.text + "\n" + output + "/" + ComparisonTable.File.page)
        }
    }

    /// The real images, in the form in which models of these settings draw them.
    private func images(_ settings: Configuration, _ vae: VAEWeights?) throws -> DataSource {
        guard settings.data.areLatents else {
            guard vae == nil else { throw ConfigurationError("--vae: the runs draw pixels, which need no decoding; leave it out") }
            return try DataSource.open(settings, path: data)
        }
        guard let vae, let data else {
            throw ConfigurationError("\(rows[0].printable): draws latents; name their autoencoder by --vae and the pictures they were made of by --data")
        }
        let shape = vae.vae.shape
        var options = DataSource.Options()
        (options.height, options.width) = (settings.data.height * shape.factor, settings.data.width * shape.factor)
        (options.channels, options.holdOut) = (shape.imageChannels, settings.data.holdOut)
        let source = try DataSource.open(data, options)
        let (own, names) = (settings.data.classNames, source.training.classNames)
        guard own.isEmpty || own == names else {
            throw ConfigurationError(
                "--data \(data): has the classes \(names.prefix(3).joined(separator: ", ")), ..., the latents \(own.prefix(3).joined(separator: ", ")), ...; name the pictures they were made of")
        }
        return source
    }

    /// The classifier that is kept in a file; one is fitted and written there where there is none.
    private func fitted(_ source: DataSource, _ file: String, _ device: Device) throws -> FittedClassifier {
        if !anew, Files.exists(file) { return try FittedClassifier(file) }
        var training = ClassifierTraining()
        if let classifierSteps { training.steps = classifierSteps }
        let (fitted, line) = try training.fit(source, on: device, to: file)
        ProgressLine.remark(line)
        return fitted
    }
}
