import DriftFormats

/// Names and shapes of the tensors of an LDM KL autoencoder, from what a file shows of its sizes.
struct AutoencoderLayout {
    private let headers: [String: TensorHeader]
    private(set) var parameters: [(name: String, shape: [Int])] = []

    private static let levelLimit = 16

    /// Throws where `headers` show no such model: names alone, without the prefix that an LDM checkpoint has.
    init(_ headers: [String: TensorHeader], path: String) throws {
        self.headers = headers
        let remedy = "check --key and --kind; see driftgpu inspect"
        let levels = max(count("encoder.down."), count("decoder.up."))
        let blocks = (0..<min(levels, Self.levelLimit)).map { count("encoder.down.\($0).block.") }.max() ?? 0
        guard (1...Self.levelLimit).contains(levels), (1...Self.levelLimit).contains(blocks) else {
            throw DataError("no KL autoencoder: \(levels) levels of \(blocks) blocks", at: path, fix: remedy)
        }
        let firstWidth = try dimension("encoder.conv_in.weight", 0, path)
        let colours = try dimension("encoder.conv_in.weight", 1, path)
        let latent = try dimension("decoder.conv_in.weight", 1, path)
        let embed = try dimension("post_quant_conv.weight", 1, path)
        var widths: [Int] = []
        for level in 0..<levels {
            let known = ["conv1", "conv2"].lazy.compactMap { headers["encoder.down.\(level).block.0.\($0).weight"]?.shape.first }
            widths.append(known.first ?? widths.last ?? firstWidth)
        }
        addEncoder(colours: colours, firstWidth: firstWidth, widths: widths, blocks: blocks, latent: latent)
        addDecoder(colours: colours, widths: widths, blocks: blocks, latent: latent)
        convolution("quant_conv", 2 * latent, 2 * embed, 1)
        convolution("post_quant_conv", embed, latent, 1)
    }

    /// One more than the largest number behind the prefix.
    private func count(_ prefix: String) -> Int {
        let numbers = headers.keys.compactMap { name in
            name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count).prefix { $0 != "." }) : nil
        }
        return max(0, min(numbers.max() ?? -1, 1000) + 1)
    }

    private func dimension(_ name: String, _ axis: Int, _ path: String) throws -> Int {
        guard let shape = headers[name]?.shape, shape.count == 4, (1...(1 << 24)).contains(shape[axis]) else {
            throw DataError("no convolution '\(name)', which says how large the model is", at: path,
                            fix: "check --key and --kind; see driftgpu inspect")
        }
        return shape[axis]
    }

    private func hasAttention(_ prefix: String) -> Bool {
        headers.keys.contains { $0.hasPrefix(prefix + "attn.") }
    }

    private mutating func addEncoder(colours: Int, firstWidth: Int, widths: [Int], blocks: Int, latent: Int) {
        convolution("encoder.conv_in", colours, firstWidth, 3)
        var width = firstWidth
        for (level, next) in widths.enumerated() {
            let prefix = "encoder.down.\(level)."
            width = addLevel(prefix, width, next, blocks: blocks)
            if level < widths.count - 1 { convolution(prefix + "downsample.conv", width, width, 3) }
        }
        addMiddle("encoder.", width)
        norm("encoder.norm_out", width)
        convolution("encoder.conv_out", width, 2 * latent, 3)
    }

    private mutating func addDecoder(colours: Int, widths: [Int], blocks: Int, latent: Int) {
        var width = widths.last ?? 1
        convolution("decoder.conv_in", latent, width, 3)
        addMiddle("decoder.", width)
        for (level, next) in widths.enumerated().reversed() {
            let prefix = "decoder.up.\(level)."
            width = addLevel(prefix, width, next, blocks: blocks + 1)
            if level > 0 { convolution(prefix + "upsample.conv", width, width, 3) }
        }
        norm("decoder.norm_out", width)
        convolution("decoder.conv_out", width, colours, 3)
    }

    private mutating func addLevel(_ prefix: String, _ input: Int, _ output: Int, blocks: Int) -> Int {
        var width = input
        for block in 0..<blocks {
            residual("\(prefix)block.\(block).", width, output)
            width = output
        }
        if hasAttention(prefix) {
            for block in 0..<blocks { attention("\(prefix)attn.\(block).", width) }
        }
        return width
    }

    private mutating func addMiddle(_ prefix: String, _ width: Int) {
        residual(prefix + "mid.block_1.", width, width)
        attention(prefix + "mid.attn_1.", width)
        residual(prefix + "mid.block_2.", width, width)
    }

    private mutating func residual(_ prefix: String, _ input: Int, _ output: Int) {
        norm(prefix + "norm1", input)
        convolution(prefix + "conv1", input, output, 3)
        norm(prefix + "norm2", output)
        convolution(prefix + "conv2", output, output, 3)
        if input != output { convolution(prefix + "nin_shortcut", input, output, 1) }
    }

    private mutating func attention(_ prefix: String, _ width: Int) {
        norm(prefix + "norm", width)
        for name in ["q", "k", "v", "proj_out"] { convolution(prefix + name, width, width, 1) }
    }

    private mutating func norm(_ name: String, _ width: Int) {
        parameters += [(name + ".weight", [width]), (name + ".bias", [width])]
    }

    private mutating func convolution(_ name: String, _ input: Int, _ output: Int, _ kernel: Int) {
        parameters += [(name + ".weight", [output, input, kernel, kernel]), (name + ".bias", [output])]
    }
}
