import DriftData

/// What a training step takes from the data: a pure function of the settings, the labels and the step. So it is known ahead,
/// and a resumed run takes the same.
struct StepDraw: Sendable {
    /// Distinct labels of the step.
    let labels: [Int]
    /// For each label whether it is trained as unconditional.
    let drops: [Bool]
    /// Strength of guidance of each label; 1 is none.
    let strengths: [Float]
    /// Real images of each label, label by label; then, label by label, the unconditional ones.
    let images: [DrawnImage]

    /// Images a step takes.
    static func imageCount(_ configuration: Configuration) -> Int {
        configuration.labelsInStep
            * ((configuration.groups == .samples ? configuration.positives : configuration.samplesPerLabel)
                + configuration.unconditionalImages)
    }

    init(_ configuration: Configuration, _ index: LabelIndex, _ augmentation: ImageSet.Augmentation, step: Int) throws {
        let random = Philox(seed: configuration.seed)
        labels = index.drawLabels(configuration.labelsInStep, seed: configuration.seed, step: step)
        let drops = labels.indices.map { position in
            configuration.labelDrop > 0
                && random.uniform(stream: Stream.drop, tensor: step, element: position) < Double(configuration.labelDrop)
        }
        self.drops = drops
        strengths = drops.indices.map { position in
            guard configuration.guidanceMax > 1, !drops[position] else { return 1 }
            // Density proportional to strength^-3 from 1 to the largest: mostly little guidance, as in the paper.
            let u = Float(random.uniform(stream: Stream.strength, tensor: step, element: position))
            let least = 1 / (configuration.guidanceMax * configuration.guidanceMax)
            return 1 / (1 - u * (1 - least)).squareRoot()
        }
        let isSamples = configuration.groups == .samples
        let perLabel = isSamples ? configuration.positives : configuration.samplesPerLabel
        func anyImage(_ element: Int) -> Int {
            let u = random.uniform(stream: Stream.any, tensor: step, element: element)
            return min(Int(u * Double(index.count)), index.count - 1)
        }
        var indices = try index.draw(labels: labels, perLabel: perLabel, seed: configuration.seed, step: step)
        // The unconditional image is drawn to the whole data set, not to one class.
        for (position, isDropped) in drops.enumerated() where isDropped && isSamples {
            for k in 0..<perLabel { indices[position * perLabel + k] = anyImage(position << 20 + k) }
        }
        for k in 0..<(labels.count * configuration.unconditionalImages) { indices.append(anyImage(1 << 40 + k)) }
        images = indices.enumerated().map { element, i in
            DrawnImage(index: i, variant: augmentation.variant(random, step: step, element: element))
        }
    }

    /// What each unconditional image weighs among a label's negatives [L, N]: all together as much as (strength - 1) times
    /// the other samples of the group.
    func unconditionalWeights(_ configuration: Configuration) -> [Float] {
        let count = configuration.unconditionalImages
        return strengths.flatMap { strength in
            let total = (strength - 1) * Float(configuration.samplesPerLabel - 1)
            return [Float](repeating: total / Float(max(count, 1)), count: count)
        }
    }

    private enum Stream {
        static let drop: UInt32 = 0x2002_0000
        static let any: UInt32 = 0x2003_0000
        static let strength: UInt32 = 0x2009_0000
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
