import DriftFormats

extension Configuration {
    /// Images of the data set that a step draws, its parts together: what counts towards an epoch. Of each label these are as many
    /// as the head needs. Only for settings that are in range.
    public var imagesPerStep: Double {
        Double(labelsInStep) * Double(head.own.makeHead(self).needs.imagesPerLabel) * Double(run.accumulate)
    }

    /// Steps of `epochs` epochs, rounded up. An epoch has passed when as many images were drawn as the data set has; they are
    /// drawn at random, so not every one of them has been seen then. Throws unless the number is one that can be trained for.
    public func steps(inEpochs epochs: Double, imageCount: Int) throws -> Int {
        let steps = (epochs * Double(imageCount) / imagesPerStep).rounded(.up)
        guard epochs >= 0, steps >= 0, steps < 1e15 else {
            throw ConfigurationError("\(epochs) epochs of \(imageCount) images: take a number from 0 to some thousands")
        }
        return Int(steps)
    }

    /// The peak learning rate for a rate per 256 images: `rate` * effective batch / 256.
    public func learningRate(per256Images rate: Double) -> Double {
        rate * Double(labelsInStep) * Double(run.samplesPerLabel) * Double(run.accumulate) / 256
    }
}
