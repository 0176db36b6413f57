import DriftFormats

extension Configuration {
    /// Most elements of a tensor. No device holds more, and the products and sums of sizes below it stay inside 64 bits.
    static let largestTensor = 17_179_869_184.0

    /// Tokens that a feature encoder makes of an image, and the elements of its largest tensor.
    private var encodedRows: Double { Double(data.height / encoder.patch) * Double(data.width / encoder.patch) }
    private var encodedValues: Double { encodedRows * Double(encoder.embed) * Double(max(encoder.mlpRatio, 3)) }

    /// Elements of the largest tensors these settings ask for, where each is in range. Floating point: nothing here may overflow.
    func tensorSizes() -> [(name: String, elements: Double)] {
        let tokens = Double(data.height / data.patch) * Double(data.width / data.patch)
        let tokenWidth = Double(data.channels) * Double(data.patch) * Double(data.patch)
        let embed = Double(network.embed)
        let hidden = embed * Double(max(network.mlpRatio, 6))
        let images = Double(labelsInStep) * Double(run.samplesPerLabel)
        let label = stage.label
        let (encoderDepth, draftDepth, buffer) = (label?.encoderDepth ?? 0, label?.draftDepth ?? 0, label?.buffer ?? 0)
        var blocks = 3 * Double(encoderDepth) + Double(draftDepth) + 4 * Double(head.depth) + 2
        if let mar = stage.mar { blocks += Double(mar.encoderDepth) + Double(mar.decoderDepth) }
        if let mrar = stage.mrar { blocks += 2 * Double(mrar.encoderDepth) }
        if let causal = stage.causal { blocks += Double(causal.depth) + Double(causal.draftDepth) }
        let front = Double(max(buffer, stage.mar?.buffer ?? 0, stage.mrar?.buffer ?? 0, stage.causal?.classTokens ?? 0))
        let labels = (Double(data.classes) + 1) * Double(stage.causal?.classTokens ?? 1)
        var sizes = [
            (
                "parameters",
                blocks * (6 * embed + 2 * hidden) * embed
                    + (labels + 2 * tokens + Double(buffer) + 8 * tokenWidth) * embed
            ),
            ("activations of a step", images * (tokens + front) * max(hidden, tokenWidth)),
        ]
        if let own = head.own as? any TokenHeadKind {
            let (width, rows) = (Double(own.width), images * tokens)
            sizes.append(("parameters of the head", (5 * Double(own.depth) + 5) * width * width + (2 * embed + 3 * tokenWidth) * width))
            let activations = max(Double(own.made) * max(width, tokenWidth), Double(own.modulated) * 3 * width)
            sizes.append(("activations of the head", rows * activations))
        }
        if let drift = head.drift {
            let samples = images * tokens * Double(drift.noises)
            sizes.append(("forces of a step", samples * Double(drift.radii.count) * tokenWidth))
            sizes.append(("distances of a step", samples * (Double(drift.noises) + 1)))
        }
        if let noises = head.flowDecoder?.noises {
            sizes.append(("activations of a step", images * Double(noises) * tokens * hidden))
        }
        if stage.mar != nil || stage.causal != nil || head.flowDecoder != nil || head.autoencoder != nil || head.maskedAutoencoder != nil {
            sizes.append(("real images of a step", images * tokens * tokenWidth))
            if head.autoencoder != nil, loss.features == .encoder { sizes.append(("features of a step", images * encodedValues)) }
        } else if loss.groups == .samples {
            let unconditional = Double(head.own.makeHead(self).needs.unconditionalImages)
            let real = Double(labelsInStep) * (Double(loss.positives) + unconditional)
            let group = Double(run.samplesPerLabel) + Double(loss.positives) + unconditional
            sizes.append(("real images of a step", real * tokens * max(tokenWidth, loss.features == .pixels ? 1 : hidden)))
            sizes.append(("distances of a step", images * group * (loss.features == .pixels ? 1 : tokens)))
            if loss.features == .encoder {
                sizes.append(("features of a step", max(images, real) * encodedValues))
                sizes.append(("distances of a step", images * group * encodedRows))
            }
        } else {
            let compared = Double(loss.positives) + Double(loss.negatives) + 1
            sizes.append(("features of a step", images * compared * tokens * embed))
            sizes.append(("distances of a step", images * compared * tokens * tokens))
            sizes.append(("positive-bank", Double(data.classes) * Double(loss.positiveBank) * tokens * (loss.bankContents == .tokens ? tokenWidth : embed)))
            sizes.append(("negative-bank", Double(loss.negativeBank) * tokens * embed))
        }
        return sizes
    }

    /// Throws for settings no device has the memory for, before anything is counted in integers or allocated.
    func validateSizes() throws {
        for (name, elements) in tensorSizes() where !(elements <= Self.largestTensor) {
            throw ConfigurationError(
                "settings: \(name): about \(elements.formattedCount) numbers are more than any device holds; choose smaller sizes")
        }
        let judged = Double(data.classes) * Double(run.onlineEvalImages) * Double(data.channels) * Double(data.height) * Double(data.width)
        guard run.onlineEval == 0 || judged <= Double(Int32.max) else {
            throw ConfigurationError(
                "online-eval-images \(run.onlineEvalImages): too many to hold for each of \(data.classes) classes; take fewer")
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
