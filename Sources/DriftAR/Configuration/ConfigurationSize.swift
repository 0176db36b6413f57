import DriftFormats

extension Configuration {
    /// Most elements of a tensor. No device holds more, and the products and sums of sizes below it stay inside 64 bits.
    static let largestTensor = 17_179_869_184.0

    /// Elements of the largest tensors these settings ask for. Floating point: nothing here may overflow, whatever is set.
    func tensorSizes() -> [(name: String, elements: Double)] {
        let tokens = Double(height / patch) * Double(width / patch)
        let tokenWidth = Double(channels) * Double(patch) * Double(patch)
        let embed = Double(embed)
        let hidden = embed * Double(max(mlpRatio, 6))
        let images = Double(labelsInStep) * Double(samplesPerLabel)
        let blocks = 3 * Double(encoderDepth) + Double(draftDepth) + 4 * Double(decoderDepth) + 2
        var sizes = [
            (
                "parameters",
                blocks * (6 * embed + 2 * hidden) * embed
                    + (Double(classes) + 2 * tokens + Double(buffer) + 8 * tokenWidth) * embed
            ),
            ("activations of a step", images * (tokens + Double(buffer)) * max(hidden, tokenWidth)),
        ]
        if groups == .samples {
            let real = Double(labelsInStep) * (Double(positives) + Double(unconditionalImages))
            let group = Double(samplesPerLabel) + Double(positives) + Double(unconditionalImages)
            sizes.append(("real images of a step", real * tokens * max(tokenWidth, features == .pixels ? 1 : hidden)))
            sizes.append(("distances of a step", images * group * (features == .pixels ? 1 : tokens)))
        } else {
            let compared = Double(positives) + Double(negatives) + 1
            sizes.append(("features of a step", images * compared * tokens * embed))
            sizes.append(("distances of a step", images * compared * tokens * tokens))
            sizes.append(("positive-bank", Double(classes) * Double(positiveBank) * tokens * (bankContents == .tokens ? tokenWidth : embed)))
            sizes.append(("negative-bank", Double(negativeBank) * tokens * embed))
        }
        return sizes
    }

    /// Throws for settings no device has the memory for, before anything is counted in integers or allocated.
    func validateSizes() throws {
        for (name, elements) in tensorSizes() where !(elements <= Self.largestTensor) {
            throw ConfigurationError(
                "settings: \(name): about \(elements.formattedCount) numbers are more than any device holds; choose smaller sizes")
        }
        let judged = Double(classes) * Double(onlineEvalImages) * Double(channels) * Double(height) * Double(width)
        guard onlineEval == 0 || judged <= Double(Int32.max) else {
            throw ConfigurationError(
                "online-eval-images \(onlineEvalImages): too many to hold for each of \(classes) classes; take fewer")
        }
    }
}

extension Double {
    /// Two digits and a power of ten.
    fileprivate var formattedCount: String {
        var (value, exponent) = (self, 0)
        while value >= 10, exponent < 400 { (value, exponent) = (value / 10, exponent + 1) }
        return "\((value * 10).rounded() / 10)e\(exponent)"
    }
}
