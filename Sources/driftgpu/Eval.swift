import ArgumentParser
import DriftAR
import DriftGPU

struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judge a model's samples, or other images, against real images.",
        discussion: """
            Class accuracy: part of the samples whose nearest real training image has their label. Diversity: mean pairwise \
            distance within a class over that of real images. With --features: Frechet and kernel distance, precision and \
            recall between generated and real training images in that feature space; with a classifier, class accuracy and \
            Inception Score by it. Held-out real images, judged the same way, show what can be reached.

            --fit-classifier trains a classifier on the training images and writes it to --output.
            """)

    enum Features: String, ExpressibleByArgument, CaseIterable { case pixels, phi, classifier }

    @Option(help: "The model: a run's folder, a checkpoint's folder, or a .safetensors file.") var checkpoint: String?
    @Option(help: ArgumentHelp(
        "Judge these images instead of samples: a folder that driftgpu sample wrote, or an array [N, C, H, W] with labels.npy beside it.",
        valueName: "path")) var images: String?
    @Option(help: "Feature space: pixels, phi (the model's own) or classifier.") var features: Features?
    @Option(help: ArgumentHelp("A classifier that --fit-classifier wrote; its hidden layer becomes the feature space.", valueName: "file"))
    var classifier: String?
    @Flag(help: "Train a classifier and stop.") var fitClassifier = false
    @Option(help: ArgumentHelp("Steps of --fit-classifier.", valueName: "n")) var steps: Int = ClassifierTraining().steps
    @Option(name: [.short, .long], help: ArgumentHelp("File that --fit-classifier writes.", valueName: "file"))
    var output: String = "classifier.safetensors"
    @Option(help: ArgumentHelp("Write the figures to this file, too.", valueName: "file")) var json: String?
    @Option(help: "Images of each label.") var perLabel: Int = 100
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 1
    @Option(help: "Seed of the noise, or of --fit-classifier.") var seed: UInt64 = 0
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @OptionGroup var deviceOptions: DeviceOptions

    func validate() throws {
        if fitClassifier {
            if checkpoint != nil || images != nil || classifier != nil {
                throw ValidationError("--fit-classifier takes --data and --output, and judges nothing")
            }
        } else if checkpoint == nil, images == nil {
            throw ValidationError("give a model by --checkpoint, images by --images, or --fit-classifier")
        }
        if features == .phi, checkpoint == nil { throw ValidationError("--features phi: phi is a model's; give one by --checkpoint") }
        if features == .classifier, classifier == nil {
            throw ValidationError("--features classifier: give one by --classifier; --fit-classifier trains one")
        }
        if classifier != nil, features != nil, features != .classifier {
            throw ValidationError("--classifier gives the features; leave out --features")
        }
    }

    func run() throws {
        try reporting {
            let (training, heldOut) = try OptDigits.split()
            if fitClassifier {
                try fit(training: training, heldOut: heldOut)
                return
            }
            guard perLabel > 1 else { throw ConfigurationError("per-label \(perLabel): take 2 or more") }
            let saved = try checkpoint.map { try SavedModel($0, weights: weights) }
            let known = try classifier.map { try FittedClassifier($0) }
            if let configuration = saved?.configuration {
                guard configuration.classes == training.classCount,
                    [configuration.channels, configuration.height, configuration.width] == training.shape[1...]
                else {
                    throw ConfigurationError("\(checkpoint ?? ""): the model was not trained on the digits, the only data to judge by")
                }
            }
            let device = try deviceOptions.open()
            let state = try saved?.load(into: DeviceMemory(device))
            let space: (any FeatureSpace)?
            if let known {
                space = ClassifierFeatures(known, on: device)
            } else if let features, features == .phi, let state, let saved {
                space = PhiFeatures(state, saved.configuration)
            } else {
                space = features == nil ? nil : PixelFeatures()
            }
            let generated: Dataset
            if let images {
                generated = try Dataset(samples: images, classNames: training.classNames)
            } else if let state, let saved {
                generated = try samples(of: state, saved.configuration, classNames: training.classNames)
            } else {
                return
            }
            let evaluation = try Evaluation(generated: generated, training: training, heldOut: heldOut, space: space)
            if let json { try AtomicFile.write(text: evaluation.json.text + "\n", to: json) }
            Output.line(evaluation.description)
        }
    }

    private func samples(of state: ModelState, _ configuration: Configuration, classNames: [String]) throws -> Dataset {
        let labels = Array(0..<classNames.count)
        let tokens = try Sampler(state.model, memory: state.memory)
            .tokens(labels: labels, perLabel: perLabel, cfg: cfg, seed: seed)
        return try SampleSet(tokens: tokens, labels: labels, perLabel: perLabel, configuration: configuration)
            .dataset(classNames: classNames)
    }

    private func fit(training: Dataset, heldOut: Dataset) throws {
        var settings = ClassifierTraining()
        (settings.steps, settings.seed) = (steps, seed)
        let device = try deviceOptions.open()
        let progress = ProgressLine(total: steps)
        let fitted = try settings.fit(training: training, heldOut: heldOut, on: device) { step, loss in
            progress.update(step: step, losses: [("loss", loss)], images: settings.batch)
        }
        progress.finish()
        try fitted.write(to: output)
        let percent = (fitted.accuracy * 1000).rounded() / 10
        Output.line("\(output): \(percent) % of \(heldOut.count) held-out images classified correctly")
    }
}
