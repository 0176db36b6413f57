/// What a training step takes from the data: a pure function of the settings, the labels and the step. So it is known ahead,
/// and a resumed run takes the same.
struct StepDraw: Sendable {
    /// Distinct labels of the step.
    let labels: [Int]
    /// For each label whether it is trained as unconditional.
    let drops: [Bool]
    /// Real images of each label, label by label.
    let images: [DrawnImage]

    /// Images a step takes.
    static func imageCount(_ configuration: Configuration) -> Int {
        configuration.labelsInStep
            * (configuration.groups == .samples ? configuration.positives : configuration.samplesPerLabel)
    }

    init(_ configuration: Configuration, _ index: LabelIndex, _ augmentation: ImageSet.Augmentation, step: Int) throws {
        let random = Philox(seed: configuration.seed)
        labels = index.drawLabels(configuration.labelsInStep, seed: configuration.seed, step: step)
        drops = labels.indices.map { position in
            configuration.labelDrop > 0
                && random.uniform(stream: Stream.drop, tensor: step, element: position) < Double(configuration.labelDrop)
        }
        let isSamples = configuration.groups == .samples
        let perLabel = isSamples ? configuration.positives : configuration.samplesPerLabel
        var indices = try index.draw(labels: labels, perLabel: perLabel, seed: configuration.seed, step: step)
        // The unconditional image is drawn to the whole data set, not to one class.
        for (position, isDropped) in drops.enumerated() where isDropped && isSamples {
            for k in 0..<perLabel {
                let u = random.uniform(stream: Stream.any, tensor: step, element: position << 20 + k)
                indices[position * perLabel + k] = min(Int(u * Double(index.count)), index.count - 1)
            }
        }
        images = indices.enumerated().map { element, i in
            DrawnImage(index: i, variant: augmentation.variant(random, step: step, element: element))
        }
    }

    private enum Stream {
        static let drop: UInt32 = 0x2002_0000
        static let any: UInt32 = 0x2003_0000
    }
}

extension ImageSet.Augmentation {
    private static let stream: UInt32 = 0x2005_0000

    /// How the image at place `element` of a step is taken.
    func variant(_ random: Philox, step: Int, element: Int) -> ImageVariant {
        if self == ImageSet.Augmentation() { return .plain }
        let step = UInt64(truncatingIfNeeded: step)
        let words = random.words(
            UInt32(truncatingIfNeeded: element), Self.stream, UInt32(truncatingIfNeeded: step),
            UInt32(truncatingIfNeeded: step >> 32))
        return ImageVariant(
            isFlipped: flip && words[0] >> 31 == 1,
            crop: crop == .random ? ImageVariant.CropDraw(size: words[1], y: words[2], x: words[3]) : nil)
    }
}
