import ArgumentParser
import DriftAR

extension Configuration.DiTSize: ExpressibleByArgument {}
extension Configuration.Groups: ExpressibleByArgument {}
extension Configuration.Features: ExpressibleByArgument {}
extension Configuration.Model: ExpressibleByArgument {}
extension Configuration.LearningRateSchedule: ExpressibleByArgument {}
extension Configuration.BankContents: ExpressibleByArgument {}
extension Configuration.DraftStart: ExpressibleByArgument {}
extension Configuration.Weights: ExpressibleByArgument {}

/// Every setting of a run but its precision (a device option) as a flag. What is not given comes from `--config`, then from the preset.
struct Hyperparameters: ParsableArguments {
    @Option(help: ArgumentHelp("Colour channels of the images.", valueName: "n")) var channels: Int?
    @Option(help: ArgumentHelp("Height of the images.", valueName: "n")) var height: Int?
    @Option(help: ArgumentHelp("Width of the images.", valueName: "n")) var width: Int?
    @Option(help: ArgumentHelp("Side of the patch that makes a token.", valueName: "n")) var patch: Int?
    @Option(help: ArgumentHelp("Number of classes.", valueName: "n")) var classes: Int?
    @Option(help: ArgumentHelp("Width of encoder and decoder.", valueName: "n")) var embed: Int?
    @Option(help: ArgumentHelp("Attention heads.", valueName: "n")) var heads: Int?
    @Option(help: ArgumentHelp("Half the number of encoder blocks.", valueName: "n")) var encoderDepth: Int?
    @Option(help: ArgumentHelp("Decoder blocks; of dit, all blocks.", valueName: "n")) var decoderDepth: Int?
    @Option(help: "The model: drift-ar, or dit, which maps noise to an image without an encoder.") var model: Configuration.Model?
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
    @Option(help: "Groups of the drift loss: samples of a label, or tokens of an image (the reference).") var driftGroups: Configuration.Groups?
    @Option(help: "Features of samples groups: pixels, phi or both.") var features: Configuration.Features?
    @Option(help: ArgumentHelp("Radii of the drift field, separated by commas.", valueName: "r,...")) var radii: String?
    @Option(help: ArgumentHelp("Labels in a step; 0: all.", valueName: "n")) var labelsPerStep: Int?
    @Option(help: ArgumentHelp("Generated images of each label in a step.", valueName: "n")) var samplesPerLabel: Int?
    @Option(help: ArgumentHelp("Generated images in a step, all labels together; a multiple of the labels in a step.", valueName: "n")) var batch: Int?
    @Option(help: ArgumentHelp("Real images each group is drawn to.", valueName: "n")) var positives: Int?
    @Option(help: ArgumentHelp("Extra negatives: earlier generated images (tokens groups), or of dit real images of any class.", valueName: "n")) var negatives: Int?
    @Option(help: ArgumentHelp("Real images kept for each class (tokens groups).", valueName: "n")) var positiveBank: Int?
    @Option(help: ArgumentHelp("Generated images kept (tokens groups).", valueName: "n")) var negativeBank: Int?
    @Option(help: "What the ring of real images holds: features as the reference, or the smaller image tokens (tokens groups).") var bankContents: Configuration.BankContents?
    @Option(help: ArgumentHelp("Encode each distinct label once (true), or every image as the reference does (false).", valueName: "bool")) var encodeOnce: Bool?
    @Option(help: ArgumentHelp("Position the draft learns, relative to its own: 0, or 1 as the reference.", valueName: "n")) var draftShift: Int?
    @Option(help: "How the draft starts: as a copy of the encoder, or random.") var draftInit: Configuration.DraftStart?
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
    @Option(name: [.customLong("lr-schedule")], help: "Learning rate after the warm-up.") var schedule: Configuration.LearningRateSchedule?
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
    @Option(help: "Weights that samples and evaluations while training are drawn from: ema or model.") var evalWeights: Configuration.Weights?

    func validate() throws {
        if blr != nil && learningRate != nil { throw ValidationError("--blr and --lr exclude each other") }
        if epochs != nil && steps != nil { throw ValidationError("--epochs and --steps exclude each other") }
        if warmupEpochs != nil && warmupSteps != nil { throw ValidationError("--warmup-epochs and --warmup-steps exclude each other") }
    }

    func apply(to configuration: inout Configuration) throws {
        func set<Value>(_ path: WritableKeyPath<Configuration, Value>, _ value: Value?) {
            if let value { configuration[keyPath: path] = value }
        }
        set(\.model, model); set(\.rope, rope); set(\.qkNorm, qkNorm); set(\.swiglu, swiglu)
        set(\.guidanceMax, guidanceMax)
        if let ditSize { configuration.adopt(ditSize) }
        set(\.channels, channels); set(\.height, height); set(\.width, width); set(\.patch, patch)
        set(\.classes, classes); set(\.embed, embed); set(\.heads, heads); set(\.encoderDepth, encoderDepth)
        set(\.decoderDepth, decoderDepth); set(\.draftDepth, draftDepth); set(\.buffer, buffer)
        set(\.mlpRatio, mlpRatio); set(\.layerNormEpsilon, layerNormEpsilon); set(\.dropout, dropout)
        set(\.labelDrop, labelDrop); set(\.sigmaMax, sigmaMax); set(\.sigmaTau, sigmaTau)
        set(\.lastLayerDeviation, lastLayerDeviation); set(\.groups, driftGroups); set(\.features, features)
        set(\.labelsPerStep, labelsPerStep); set(\.samplesPerLabel, samplesPerLabel); set(\.positives, positives)
        set(\.negatives, negatives); set(\.positiveBank, positiveBank); set(\.negativeBank, negativeBank)
        set(\.encodeOnce, encodeOnce); set(\.draftShift, draftShift); set(\.steps, steps)
        set(\.learningRate, learningRate); set(\.minimumLearningRate, minimumLearningRate)
        set(\.warmupSteps, warmupSteps); set(\.schedule, schedule); set(\.decayFraction, decayFraction)
        set(\.beta1, beta1); set(\.beta2, beta2); set(\.adamEpsilon, adamEpsilon); set(\.weightDecay, weightDecay)
        set(\.clip, clip); set(\.ema, ema); set(\.alpha0, alpha0); set(\.freezeFraction, freezeFraction)
        set(\.seed, seed); set(\.logEvery, logEvery); set(\.sampleEvery, sampleEvery)
        set(\.checkpointEvery, checkpointEvery); set(\.keepCheckpoints, keepCheckpoints)
        set(\.stopAfterSkipped, stopAfterSkipped)
        set(\.bankContents, bankContents); set(\.draftInit, draftInit); set(\.accumulate, accumulate)
        set(\.gradCheckpointing, gradCheckpointing); set(\.onlineEval, onlineEval)
        set(\.onlineEvalImages, onlineEvalImages); set(\.evalWeights, evalWeights)
        if let radii {
            configuration.radii = try radii.split(separator: ",").map { part in
                guard let radius = Float(part) else {
                    throw ValidationError("--radii \(radii): '\(part)' is no number; write them like 0.02,0.05,0.2")
                }
                return radius
            }
        }
    }

    /// `--batch`, once the classes are known.
    func applyBatch(to configuration: inout Configuration) throws {
        guard let batch else { return }
        let labels = configuration.labelsInStep
        guard labels > 0, batch > 0, batch % labels == 0 else {
            throw ValidationError("--batch \(batch): must be a multiple of the \(labels) labels in a step")
        }
        configuration.samplesPerLabel = batch / labels
    }

    /// What depends on the data: turns the batch into images of each label, epochs into steps and a rate for 256 images into
    /// the learning rate, where they were asked for, once images and classes are known.
    func applyData(to configuration: inout Configuration, imageCount: Int) throws {
        try applyBatch(to: &configuration)
        if let blr { configuration.learningRate = configuration.learningRate(per256Images: blr) }
        if let epochs { configuration.steps = try configuration.steps(inEpochs: epochs, imageCount: imageCount) }
        if let warmupEpochs {
            configuration.warmupSteps = try configuration.steps(inEpochs: warmupEpochs, imageCount: imageCount)
        }
    }
}
