import ArgumentParser
import DriftAR
import DriftFormats
import Foundation

extension Configuration.DiTSize: ExpressibleByArgument {}
extension Configuration.Model: ExpressibleByArgument {}

/// The settings of a run that have a flag of their own, and `--set` for all. What is not given comes from `--config`, then from the
/// preset. A property is called like the setting it goes to.
struct Hyperparameters: ParsableArguments {
    @Option(help: ArgumentHelp("Any setting by its group and name, as config.json of a run has them; may be repeated.", valueName: "group.setting=value"))
    var set: [String] = []
    @Option(help: ArgumentHelp("Colour channels of the images.", valueName: "n")) var channels: Int?
    @Option(help: ArgumentHelp("Height of the images.", valueName: "n")) var height: Int?
    @Option(help: ArgumentHelp("Width of the images.", valueName: "n")) var width: Int?
    @Option(help: ArgumentHelp("Side of the patch that makes a token.", valueName: "n")) var patch: Int?
    @Option(help: ArgumentHelp("Number of classes.", valueName: "n")) var classes: Int?
    @Option(help: ArgumentHelp("Width of encoder and decoder.", valueName: "n")) var embed: Int?
    @Option(help: ArgumentHelp("Attention heads.", valueName: "n")) var heads: Int?
    @Option(help: ArgumentHelp("Half the number of encoder blocks.", valueName: "n")) var encoderDepth: Int?
    @Option(help: ArgumentHelp("Decoder blocks; of dit, all blocks.", valueName: "n")) var decoderDepth: Int?
    @Option(help: "A stage and a head by the name that they have together, like drift-ar or mar-drift.") var model: Configuration.Model?
    @Option(help: "Width, heads and depth of dit: tiny, small or base.") var ditSize: Configuration.DiTSize?
    @Option(help: ArgumentHelp("Rotary position embedding of dit.", valueName: "bool")) var rope: Bool?
    @Option(help: ArgumentHelp("Normalise queries and keys of dit.", valueName: "bool")) var qkNorm: Bool?
    @Option(help: ArgumentHelp("MLPs of dit with a gate.", valueName: "bool")) var swiglu: Bool?
    @Option(help: ArgumentHelp("Largest strength of guidance dit is trained for; 1: none.", valueName: "x")) var guidanceMax: Float?
    @Option(help: ArgumentHelp("Draft blocks.", valueName: "n")) var draftDepth: Int?
    @Option(help: ArgumentHelp("Buffer tokens in front of the content.", valueName: "n")) var buffer: Int?
    @Option(help: ArgumentHelp("Hidden width of the MLPs over the width.", valueName: "x")) var mlpRatio: Float?
    @Option(help: ArgumentHelp("Epsilon of LayerNorm.", valueName: "x")) var layerNormEpsilon: Float?
    @Option(help: ArgumentHelp("Dropout on attention weights and projections.", valueName: "p")) var dropout: Float?
    @Option(help: ArgumentHelp("Part of the labels trained as unconditional.", valueName: "p")) var labelDrop: Float?
    @Option(help: ArgumentHelp("Largest deviation of the prior.", valueName: "x")) var sigmaMax: Float?
    @Option(help: ArgumentHelp("Temperature of entropy to deviation.", valueName: "x")) var sigmaTau: Float?
    @Option(help: ArgumentHelp("Deviation of the last layer's first weights; 0 is the reference's.", valueName: "x")) var lastLayerDeviation: Float?
    @Option(help: "Groups of the drift loss: samples of a label, or tokens of an image (the reference).") var driftGroups: LossSettings.Groups?
    @Option(help: ArgumentHelp("What images are compared by: pixels, phi, both, or pixels and a run of driftgpu features train (vae train: such a run alone).", valueName: "pixels|phi|both|run")) var features: String?
    @Option(help: ArgumentHelp("Radii of the drift field, separated by commas.", valueName: "r,...")) var radii: String?
    @Option(help: ArgumentHelp("Labels in a step; 0: all.", valueName: "n")) var labelsPerStep: Int?
    @Option(help: ArgumentHelp("Generated images of each label in a step.", valueName: "n")) var samplesPerLabel: Int?
    @Option(help: ArgumentHelp("Generated images in a step, all labels together; a multiple of the labels in a step.", valueName: "n")) var batch: Int?
    @Option(help: ArgumentHelp("Real images each group is drawn to.", valueName: "n")) var positives: Int?
    @Option(help: ArgumentHelp("Extra negatives: earlier generated images (tokens groups), or of dit real images of any class.", valueName: "n")) var negatives: Int?
    @Option(help: ArgumentHelp("Real images kept for each class (tokens groups).", valueName: "n")) var positiveBank: Int?
    @Option(help: ArgumentHelp("Generated images kept (tokens groups).", valueName: "n")) var negativeBank: Int?
    @Option(help: "What the ring of real images holds: features as the reference, or the smaller image tokens (tokens groups).") var bankContents: LossSettings.BankContents?
    @Option(help: ArgumentHelp("Encode each distinct label once (true), or every image as the reference does (false).", valueName: "bool")) var encodeOnce: Bool?
    @Option(help: ArgumentHelp("Position the draft learns, relative to its own: 0, or 1 as the reference.", valueName: "n")) var draftShift: Int?
    @Option(help: "How the draft starts: as a copy of the encoder, or random.") var draftInit: LabelStageSettings.DraftStart?
    @Option(help: ArgumentHelp("Steps to train.", valueName: "n")) var steps: Int?
    @Option(help: ArgumentHelp("Epochs to train, instead of --steps; one has passed when as many real images were drawn as there are.", valueName: "x")) var epochs: Double?
    @Option(help: ArgumentHelp("Parts of a step whose gradients are averaged; the reference adds them.", valueName: "n")) var accumulate: Int?
    @Flag(inversion: .prefixedNo, help: "Compute the transformer blocks again in the backward pass: less memory, about a third more work, the same result.")
    var gradCheckpointing: Bool?
    @Option(name: [.customLong("lr")], help: ArgumentHelp("Peak learning rate.", valueName: "x")) var learningRate: Double?
    @Option(help: ArgumentHelp("Peak learning rate for 256 images, instead of --lr: times batch and accumulated parts over 256.", valueName: "x")) var blr: Double?
    @Option(name: [.customLong("min-lr")], help: ArgumentHelp("Learning rate at the end of a decay.", valueName: "x")) var minimumLearningRate: Double?
    @Option(help: ArgumentHelp("Steps of linear warm-up.", valueName: "n")) var warmupSteps: Int?
    @Option(help: ArgumentHelp("Epochs of linear warm-up, instead of --warmup-steps.", valueName: "x")) var warmupEpochs: Double?
    @Option(name: [.customLong("lr-schedule")], help: "Learning rate after the warm-up.") var schedule: OptimizerSettings.Schedule?
    @Option(help: ArgumentHelp("Part of the steps over which the linear schedule falls.", valueName: "p")) var decayFraction: Double?
    @Option(help: ArgumentHelp("First AdamW beta.", valueName: "x")) var beta1: Double?
    @Option(help: ArgumentHelp("Second AdamW beta.", valueName: "x")) var beta2: Double?
    @Option(help: ArgumentHelp("AdamW epsilon.", valueName: "x")) var adamEpsilon: Double?
    @Option(help: ArgumentHelp("Weight decay.", valueName: "x")) var weightDecay: Double?
    @Option(help: ArgumentHelp("Largest gradient norm; 0: no clipping.", valueName: "x")) var clip: Double?
    @Option(help: ArgumentHelp("Decay of the weights' moving average.", valueName: "x")) var ema: Double?
    @Option(help: ArgumentHelp("First weight of regression and entropy loss.", valueName: "x")) var alpha0: Double?
    @Option(help: ArgumentHelp("Part of the steps before the encoder is frozen.", valueName: "p")) var freezeFraction: Double?
    @Option(help: ArgumentHelp("Seed of everything random.", valueName: "seed")) var seed: UInt64?
    @Option(help: ArgumentHelp("Steps between lines of metrics.jsonl.", valueName: "n")) var logEvery: Int?
    @Option(help: ArgumentHelp("Steps between sample grids; 0: only at the end.", valueName: "n")) var sampleEvery: Int?
    @Option(help: ArgumentHelp("Steps between checkpoints; 0: only at the end.", valueName: "n")) var checkpointEvery: Int?
    @Option(help: ArgumentHelp("Checkpoints to keep.", valueName: "n")) var keepCheckpoints: Int?
    @Option(help: ArgumentHelp("Skipped steps in a row (their loss not finite) after which the run ends as diverged; 0: never.", valueName: "n")) var stopAfterSkipped: Int?
    @Option(help: ArgumentHelp("Steps between evaluations of samples against the training data; 0: none.", valueName: "n")) var onlineEval: Int?
    @Option(help: ArgumentHelp("Images of each label in such an evaluation.", valueName: "n")) var onlineEvalImages: Int?
    @Option(help: "Weights that samples and evaluations while training are drawn from: ema or model.") var evalWeights: RunSettings.Weights?

    func validate() throws {
        if blr != nil && learningRate != nil { throw ValidationError("--blr and --lr exclude each other") }
        if epochs != nil && steps != nil { throw ValidationError("--epochs and --steps exclude each other") }
        if warmupEpochs != nil && warmupSteps != nil { throw ValidationError("--warmup-epochs and --warmup-steps exclude each other") }
    }

    /// Settings that are written by other means than their name alone.
    private static let others: Set<String> = ["model", "ditSize", "features", "radii", "batch", "epochs", "blr", "warmupEpochs", "set"]
    /// Flags that are not called like their setting.
    private static let paths = ["decoderDepth": "head.depth", "driftGroups": "loss.groups"]
    /// Flags that are not spelled like their property.
    private static let spellings = ["learningRate": "lr", "minimumLearningRate": "min-lr", "schedule": "lr-schedule"]

    /// Lays the flags that were given over a configuration. A flag goes to the setting of its name, whatever group that is in.
    func apply(to configuration: inout Configuration) throws {
        if let model { configuration.adopt(model) }
        if let ditSize { configuration.adopt(ditSize) }
        for child in Mirror(reflecting: self).children {
            // The label of a property wrapper's storage begins with an underscore.
            guard let name = child.label?.dropFirst(), !Self.others.contains(String(name)),
                let value = (child.value as? any GivenFlag)?.settingText
            else { continue }
            let flag = "--" + Self.flag(String(name))
            guard let path = Self.paths[String(name)] ?? configuration.path(of: String(name)) else {
                throw ConfigurationError("\(flag): no setting of \(configuration.generatorName)\(Self.owner(of: String(name)))")
            }
            // JSON has no other numbers.
            guard !["nan", "inf", "-inf"].contains(value) else {
                throw ConfigurationError("\(flag) \(value): take a finite number")
            }
            configuration = try configuration.setting(path, to: value, from: flag)
        }
        if let features {
            if let known = LossSettings.Features(rawValue: features), known != .encoder {
                configuration.loss.features = known
            } else {
                guard Files.exists(features) else {
                    throw ConfigurationError("--features \(features): take pixels, phi, both, or the folder of a run of driftgpu features train; there is no such folder")
                }
                try configuration.encoder.take(SavedModel(features).configuration, at: URL(fileURLWithPath: features).standardizedFileURL.path)
                configuration.loss.features = .encoder
            }
        }
        if let radii {
            configuration.loss.radii = try radii.split(separator: ",").map { part in
                guard let radius = Float(part) else {
                    throw ValidationError("--radii \(radii): '\(part)' is no number; write them like 0.02,0.05,0.2")
                }
                return radius
            }
        }
        for assignment in set {
            guard let equals = assignment.firstIndex(of: "=") else {
                throw ValidationError("--set \(assignment): write GROUP.SETTING=VALUE, like head.depth=4")
            }
            configuration = try configuration.setting(
                String(assignment[..<equals]), to: String(assignment[assignment.index(after: equals)...]), from: "--set")
        }
    }

    /// fooBar -> foo-bar.
    private static func flag(_ name: String) -> String {
        spellings[name] ?? name.reduce(into: "") { $0 += $1.isUppercase ? "-" + $1.lowercased() : String($1) }
    }

    /// The named pair that has the setting, as words to end an error with.
    private static func owner(of name: String) -> String {
        let models = Configuration.Model.allCases.filter { model in
            var other = Configuration()
            other.adopt(model)
            return other.path(of: name) != nil
        }
        return models.isEmpty ? "" : "; it is one of --model \(models.map(\.rawValue).joined(separator: " or "))"
    }

    /// `--batch`, once the classes are known.
    func applyBatch(to configuration: inout Configuration) throws {
        guard let batch else { return }
        let labels = configuration.labelsInStep
        guard labels > 0, batch > 0, batch % labels == 0 else {
            throw ValidationError("--batch \(batch): must be a multiple of the \(labels) labels in a step")
        }
        configuration.run.samplesPerLabel = batch / labels
    }

    /// Whether a flag says how many images a step has.
    var hasBatch: Bool { labelsPerStep != nil || samplesPerLabel != nil || batch != nil }

    /// What depends on the data: turns the batch into images of each label, epochs into steps and a rate for 256 images into
    /// the learning rate, where they were asked for, once images and classes are known.
    func applyData(to configuration: inout Configuration, imageCount: Int) throws {
        try applyBatch(to: &configuration)
        if let blr { configuration.optimizer.learningRate = configuration.learningRate(per256Images: blr) }
        if let epochs { configuration.run.steps = try configuration.steps(inEpochs: epochs, imageCount: imageCount) }
        if let warmupEpochs {
            configuration.optimizer.warmupSteps = try configuration.steps(inEpochs: warmupEpochs, imageCount: imageCount)
        }
    }
}
