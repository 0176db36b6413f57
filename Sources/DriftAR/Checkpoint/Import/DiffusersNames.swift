/// The names of diffusers' AutoencoderKL in the spelling of latent diffusion.
enum DiffusersNames {
    /// The weights under latent diffusion's names; as they are where they have no names of diffusers.
    static func translated(_ weights: WeightSet) -> WeightSet {
        let names = Array(weights.headers.keys) + weights.foreign.keys
        guard names.contains(where: { $0.hasPrefix("encoder.down_blocks.") || $0.hasPrefix("decoder.up_blocks.") }) else { return weights }
        // Levels count from the image inwards in latent diffusion, from the latents outwards in diffusers' decoder.
        let last = names.compactMap { name in
            name.hasPrefix("decoder.up_blocks.") ? Int(name.dropFirst("decoder.up_blocks.".count).prefix { $0 != "." }) : nil
        }.max() ?? 0
        return weights.renamed { name, shape in
            let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard parts.count > 2, parts[0] == "encoder" || parts[0] == "decoder" else { return (name, shape) }
            let isMiddle = parts[1] == "mid_block"
            let isAttention = parts.contains("attentions")
            var (result, index) = ([String](), 0)
            while index < parts.count {
                let part = parts[index]
                let number = index + 1 < parts.count ? Int(parts[index + 1]) : nil
                switch (part, number) {
                case ("down_blocks", let level?): result += ["down", String(level)]
                case ("up_blocks", let level?): result += ["up", String(last &- level)]
                case ("mid_block", _): result.append("mid")
                case ("resnets", let block?): result += isMiddle ? ["block_\(block &+ 1)"] : ["block", String(block)]
                case ("attentions", let block?): result += isMiddle ? ["attn_\(block &+ 1)"] : ["attn", String(block)]
                case ("downsamplers", .some): result.append("downsample")
                case ("upsamplers", .some): result.append("upsample")
                case ("to_out", .some): result.append("proj_out")
                default: result.append((isAttention ? attention[part] : nil) ?? plain[part] ?? part)
                }
                index += number == nil || part == "mid_block" ? 1 : 2
            }
            // Its attention multiplies by matrices where latent diffusion convolves with a kernel of 1 x 1.
            return (result.joined(separator: "."), isAttention && shape.count == 2 ? shape + [1, 1] : shape)
        }
    }

    private static let plain = ["conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out"]
    private static let attention = [
        "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "query": "q", "key": "k", "value": "v", "proj_attn": "proj_out",
    ]
}
