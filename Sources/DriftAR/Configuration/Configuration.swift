import DriftData
import DriftFormats
import DriftGPU

/// Everything that defines a training run: model, loss, schedule, optimiser. Written to config.json of a run, read with
/// `--config`, and carried by checkpoints. Names in JSON are the property names.
public struct Configuration: Codable, Sendable, Equatable {
    /// Which settings there are; written with them. See `ConfigurationJSON.swift`.
    public internal(set) var version = Self.currentVersion

    // MARK: Data and model

    public var preset = "digits"
    /// Drift-AR, or DiT as a generator of one pass without an encoder.
    public enum Model: String, Codable, Sendable, CaseIterable {
        case driftAR = "drift-ar"
        case dit
    }
    public var model = Model.driftAR
    public var channels = 1
    public var height = 8
    public var width = 8
    /// Side of the square of pixels that makes one token.
    public var patch = 2
    public var classes = 10
    /// What the classes are called, by label; empty where the names are the labels or are not known.
    public var classNames: [String] = []
    /// D of encoder and decoder.
    public var embed = 64
    public var heads = 4
    /// The encoder has twice as many blocks.
    public var encoderDepth = 2
    /// Blocks of the decoder; of DiT, all blocks.
    public var decoderDepth = 3
    public var draftDepth = 2
    /// K, copies of the class embedding in front of the content tokens.
    public var buffer = 4
    public var mlpRatio: Float = 4
    public var layerNormEpsilon: Float = 1e-6
    public var dropout: Float = 0
    public var labelDrop: Float = 0.1
    public var sigmaMax: Float = 0.5
    public var sigmaTau: Float = 2
    /// Standard deviation of the decoder's last layer at the start; 0 is the reference's and collapses the classes.
    public var lastLayerDeviation: Float = 0.1

    // MARK: DiT

    /// Rotary position embedding (RoPE) instead of a learned one.
    public var rope = false
    /// Divides each head of queries and keys by its root mean square.
    public var qkNorm = false
    /// An MLP with a gate, silu(a) b, of about as many weights.
    public var swiglu = false
    /// Largest strength of guidance trained for, drawn for each label; 1: none.
    public var guidanceMax: Float = 1

    // MARK: Where the images come from

    /// Path of the data; empty: the digits that the program carries.
    public var data = ""
    public var dataForm = DataSource.Form.digits
    /// Mirrors every other image that is drawn.
    public var flip = false
    public var crop = ImageTransform.Crop.centre
    /// One image in so many of each class is held out where the data has no part for that; 0: none.
    public var holdOut = 5
    /// Whether all images stay on the device, or each step's are sent to it.
    public var resident = Residency.auto
    /// Factor from an autoencoder's latents to what the model is trained on; of latents alone.
    public var latentScale: Float = 0.2325

    // MARK: Drift loss

    /// What a group of the drift loss is: `samples` of one label, or the `tokens` of one image as in the reference.
    public enum Groups: String, Codable, Sendable, CaseIterable { case samples, tokens }
    /// What is compared in `samples` groups: whole images, phi of each location, or both losses added.
    public enum Features: String, Codable, Sendable, CaseIterable { case pixels, phi, both }

    public var groups = Groups.samples
    public var features = Features.pixels
    public var radii: [Float] = [0.02, 0.05, 0.2]
    /// Labels in a step; 0: all classes.
    public var labelsPerStep = 0
    /// G, generated images of each label in a step.
    public var samplesPerLabel = 16
    /// P, real images each group is drawn to.
    public var positives = 32
    /// Extra negatives: of Drift-AR from the ring of earlier generated features (`tokens` groups), of DiT real images of any
    /// class, which weigh what the strength of guidance says.
    public var negatives = 0
    /// Capacity of a class's ring of real features.
    public var positiveBank = 128
    /// Capacity of the ring of generated features.
    public var negativeBank = 1000
    /// What the ring of real images holds: their `features`, as in the reference, or the image `tokens`, usually much
    /// smaller, whose features are then computed anew in every step that draws them.
    public enum BankContents: String, Codable, Sendable, CaseIterable { case features, tokens }
    public var bankContents = BankContents.features
    /// Encodes each distinct label once and shares z among its images; false encodes every image, as the reference does.
    public var encodeOnce = true
    /// Position of z the draft at r is trained on, relative to r: 0 is what the speculative loop verifies, 1 the reference.
    public var draftShift = 0
    /// How the draft starts: as a copy of the encoder's first blocks and norm, or drawn like everything else.
    public enum DraftStart: String, Codable, Sendable, CaseIterable { case encoder, random }
    public var draftInit = DraftStart.encoder

    // MARK: Schedule and optimiser

    public enum LearningRateSchedule: String, Codable, Sendable, CaseIterable { case constant, cosine, linear }

    public var steps = 1000
    public var learningRate = 5e-4
    public var minimumLearningRate = 0.0
    public var warmupSteps = 50
    public var schedule = LearningRateSchedule.linear
    /// Part of the steps over which `linear` falls to the minimum, at the end.
    public var decayFraction = 0.3
    public var beta1 = 0.9
    public var beta2 = 0.95
    public var adamEpsilon = 1e-8
    public var weightDecay = 0.02
    /// Largest global gradient norm; 0 does not clip.
    public var clip = 2.0
    public var ema = 0.995
    public var alpha0 = 0.95
    /// Part of the steps after which the encoder is frozen (phase II).
    public var freezeFraction = 0.8
    /// Parts of a step, each with labels, images and noise of its own, whose gradients are averaged before the update.
    public var accumulate = 1
    /// Computes the transformer blocks again in the backward pass instead of keeping what is inside of them.
    public var gradCheckpointing = false
    public var seed: UInt64 = 0
    /// What the inputs of matrix products are rounded to in training; samples may be drawn in any other precision.
    public var precision = Precision.fp32

    // MARK: Artefacts

    public var logEvery = 10
    public var sampleEvery = 200
    public var checkpointEvery = 250
    public var keepCheckpoints = 3
    /// Skipped steps in a row (their loss or gradient not finite) after which the run ends as diverged; 0: never.
    public var stopAfterSkipped = 50
    /// Steps between evaluations of samples while training; 0: none.
    public var onlineEval = 0
    /// Images of each label in such an evaluation.
    public var onlineEvalImages = 10
    /// Weights that a run's samples and evaluations are drawn from.
    public enum Weights: String, Codable, Sendable, CaseIterable { case ema, model }
    public var evalWeights = Weights.ema

    public init() {}

    // MARK: Derived

    /// R, tokens of an image.
    public var tokens: Int { (height / patch) * (width / patch) }
    /// C, values of a token.
    public var tokenWidth: Int { channels * patch * patch }
    public var labelsInStep: Int { labelsPerStep == 0 ? classes : labelsPerStep }
    /// Generated images in a step, or in a part of one where gradients are accumulated.
    public var batch: Int { labelsInStep * samplesPerLabel }
    /// Generated images whose gradients make one update.
    public var effectiveBatch: Int { batch * accumulate }

    /// Whether images are latents of an autoencoder: those that `dataForm` calls so, and whatever has other channels than pictures.
    public var drawsLatents: Bool { dataForm == .latents || (channels != 1 && channels != 3) }

    /// Takes over what the data decides: form, shape and number of classes.
    public mutating func adopt(_ source: DataSource) {
        dataForm = source.form
        (channels, height, width) = (source.training.channels, source.training.height, source.training.width)
        classes = source.training.classCount
        adoptNames(of: source)
        if case .moments(let scale) = source.training.form { latentScale = scale }
    }

    /// Takes over what the data call the classes.
    public mutating func adoptNames(of source: DataSource) {
        let names = source.training.classNames
        classNames = ClassNames.areLabels(names) ? [] : names
    }

    /// Throws a one-line error that names the first setting out of range.
    public func validate() throws {
        func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
            if !condition { throw ConfigurationError(message()) }
        }
        try require(channels > 0 && channels <= 64, "channels \(channels): take 1 to 64")
        try require(height > 0 && width > 0 && height <= 4096 && width <= 4096, "image \(height)x\(width): take 1 to 4096")
        try require(patch > 0 && height % patch == 0 && width % patch == 0, "patch \(patch): must divide \(height)x\(width)")
        try require(classes > 0 && classes <= 1_000_000, "classes \(classes): take 1 to 1000000")
        try require(holdOut >= 0 && holdOut != 1, "hold-out \(holdOut): take 2 or more, or 0 for none")
        try require(!data.utf8.contains(0), "data: the path holds a zero byte")
        try require(latentScale > 0 && latentScale.isFinite, "latent-scale \(latentScale): must be above 0")
        try require(heads > 0 && embed > 0 && embed <= 16384 && embed % heads == 0, "embed \(embed): must be a multiple of heads (\(heads))")
        try require(embed / heads <= 128, "embed \(embed) / heads \(heads): head sizes go up to 128")
        try require(encoderDepth > 0 && encoderDepth <= 256, "encoder-depth \(encoderDepth): take 1 to 256")
        try require(decoderDepth > 0 && decoderDepth <= 256, "decoder-depth \(decoderDepth): take 1 to 256")
        try require(draftDepth > 0 && draftDepth <= 256, "draft-depth \(draftDepth): take 1 to 256")
        try require(buffer > 0 && buffer <= 4096, "buffer \(buffer): take 1 to 4096")
        try require(mlpRatio > 0 && mlpRatio <= 64, "mlp-ratio \(mlpRatio): take a number above 0, up to 64")
        try require(layerNormEpsilon > 0 && layerNormEpsilon.isFinite, "layer-norm-epsilon \(layerNormEpsilon): must be above 0")
        try require(dropout >= 0 && dropout < 1, "dropout \(dropout): take 0 up to, not including, 1")
        try require(labelDrop >= 0 && labelDrop < 1, "label-drop \(labelDrop): take 0 up to, not including, 1")
        try require(sigmaMax >= 0 && sigmaMax.isFinite, "sigma-max \(sigmaMax): must be 0 or more")
        try require(sigmaTau > 0 && sigmaTau.isFinite, "sigma-tau \(sigmaTau): must be above 0")
        try require(lastLayerDeviation >= 0 && lastLayerDeviation.isFinite, "last-layer-deviation \(lastLayerDeviation): must be 0 or more")
        try require(!radii.isEmpty && radii.count <= 8 && radii.allSatisfy { $0 > 0 && $0.isFinite }, "radii \(radii): take 1 to 8 numbers above 0")
        try require(labelsPerStep >= 0 && labelsPerStep <= classes, "labels-per-step \(labelsPerStep): take 1 to \(classes), or 0 for all")
        try require(samplesPerLabel > 0 && samplesPerLabel <= 1_000_000, "samples-per-label \(samplesPerLabel): take 1 to 1000000")
        try require(positives > 0 && positives <= 1_000_000, "positives \(positives): take 1 to 1000000")
        try require(negatives >= 0 && negatives <= 1_000_000, "negatives \(negatives): take 0 to 1000000")
        try require(positiveBank > 0 && negativeBank > 0, "banks: positive-bank and negative-bank must be above 0")
        try require(draftShift == 0 || draftShift == 1, "draft-shift \(draftShift): take 0 or 1")
        try require(draftShift < tokens, "draft-shift \(draftShift): an image of \(tokens) token has no next position")
        try require(steps > 0, "steps \(steps): take 1 or more")
        try require(learningRate >= 0 && learningRate.isFinite, "lr \(learningRate): must be 0 or more")
        try require(minimumLearningRate >= 0 && minimumLearningRate.isFinite, "min-lr \(minimumLearningRate): must be 0 or more")
        try require(warmupSteps >= 0, "warmup-steps \(warmupSteps): must be 0 or more")
        try require(decayFraction >= 0 && decayFraction <= 1, "decay-fraction \(decayFraction): take 0 to 1")
        try require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "betas \(beta1), \(beta2): take 0 up to, not including, 1")
        try require(adamEpsilon > 0 && adamEpsilon.isFinite, "adam-epsilon \(adamEpsilon): must be above 0")
        try require(weightDecay >= 0 && weightDecay.isFinite, "weight-decay \(weightDecay): must be 0 or more")
        try require(clip >= 0 && clip.isFinite, "clip \(clip): must be 0 (off) or more")
        try require(ema >= 0 && ema < 1, "ema \(ema): take 0 up to, not including, 1")
        try require(alpha0 >= 0 && alpha0 <= 1, "alpha0 \(alpha0): take 0 to 1")
        try require(freezeFraction >= 0 && freezeFraction <= 1, "freeze-fraction \(freezeFraction): take 0 to 1")
        try require(logEvery > 0 && sampleEvery >= 0 && checkpointEvery >= 0, "log-every must be above 0, sample-every and checkpoint-every 0 (never) or more")
        try require(keepCheckpoints > 0, "keep-checkpoints \(keepCheckpoints): take 1 or more")
        try require(stopAfterSkipped >= 0, "stop-after-skipped \(stopAfterSkipped): must be 0 (never) or more")
        try require(accumulate > 0 && accumulate <= 1_000_000, "accumulate \(accumulate): take 1 to 1000000")
        try require(onlineEval >= 0, "online-eval \(onlineEval): must be 0 (never) or more")
        try require(onlineEvalImages > 0 && onlineEvalImages <= 1_000_000, "online-eval-images \(onlineEvalImages): take 1 to 1000000")
        try validateModel()
        try validateSizes()
    }
}
