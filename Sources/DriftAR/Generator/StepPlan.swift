import DriftData

/// What a training step takes from the data: a pure function of the settings, the labels and the step. So it is known ahead,
/// and a resumed run takes the same.
package struct StepPlan: Sendable {
    /// The step's number; of a part of a step, its own.
    package let step: Int
    /// Whether the process that takes it has taken none before: what it keeps of earlier steps is empty.
    package let isFirst: Bool
    /// Distinct labels of the step.
    package let labels: [Int]
    /// For each label whether it is trained as unconditional.
    package let drops: [Bool]
    /// Strength of guidance of each label; 1 is none.
    package let strengths: [Float]
    /// Tokens that are hidden of each real image; nil where a step hides none.
    package let masked: Int?
    /// Real images of each label, label by label; then, label by label, the unconditional ones.
    let images: [DrawnImage]
    let random: Philox

    /// Images a step of so many labels takes.
    static func imageCount(_ needs: StepNeeds, labels: Int) -> Int { labels * (needs.imagesPerLabel + needs.unconditionalImages) }

    init(
        _ configuration: Configuration, _ needs: StepNeeds, _ index: LabelIndex, _ augmentation: ImageSet.Augmentation, step: Int,
        isFirst: Bool? = nil
    ) throws {
        self.step = step
        self.isFirst = isFirst ?? (step == 0)
        let random = Philox(seed: configuration.run.seed)
        self.random = random
        masked = needs.masking.map { Self.masked($0, random, step: step) }
        labels = index.drawLabels(configuration.labelsInStep, seed: configuration.run.seed, step: step)
        let drops = labels.indices.map { position in
            configuration.run.labelDrop > 0
                && random.uniform(stream: Stream.drop, tensor: step, element: position) < Double(configuration.run.labelDrop)
        }
        self.drops = drops
        strengths = drops.indices.map { position in
            guard needs.largestStrength > 1, !drops[position] else { return 1 }
            // Density proportional to strength^-3 from 1 to the largest: mostly little guidance, as in the paper.
            let u = Float(random.uniform(stream: Stream.strength, tensor: step, element: position))
            let least = 1 / (needs.largestStrength * needs.largestStrength)
            return 1 / (1 - u * (1 - least)).squareRoot()
        }
        let perLabel = needs.imagesPerLabel
        func anyImage(_ element: Int) -> Int {
            let u = random.uniform(stream: Stream.any, tensor: step, element: element)
            return min(Int(u * Double(index.count)), index.count - 1)
        }
        var indices = try index.draw(labels: labels, perLabel: perLabel, seed: configuration.run.seed, step: step)
        // The unconditional image is drawn to the whole data set, not to one class. A label has fewer than 2^20 images in a step,
        // so no two draws have one number.
        for (position, isDropped) in drops.enumerated() where isDropped && needs.dropsImages {
            for k in 0..<perLabel { indices[position * perLabel + k] = anyImage((position << 20) + k) }
        }
        for k in 0..<(labels.count * needs.unconditionalImages) { indices.append(anyImage((1 << 40) + k)) }
        images = indices.enumerated().map { element, i in
            DrawnImage(index: i, variant: augmentation.variant(random, step: step, element: element))
        }
    }

    enum Stream {
        static let drop: UInt32 = 0x2002_0000
        static let any: UInt32 = 0x2003_0000
        static let strength: UInt32 = 0x2009_0000
        static let rate: UInt32 = 0x2013_0000
        static let order: UInt32 = 0x2014_0000
        static let imageDrop: UInt32 = 0x2015_0000
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
