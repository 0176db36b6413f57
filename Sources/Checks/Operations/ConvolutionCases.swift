import DriftGPU

/// Convolutions: strides, uneven padding, ragged edges of every kind, what fuses into them, and their gradients.
enum ConvolutionCases: OperationCases {
    static let families = [OperationFamily("convolution", all)]

    /// One convolution. Extents of the input are those before it is enlarged.
    struct Layer: Sendable {
        var batch = 1
        var height: Int
        var width: Int
        var channels: Int
        var outputs: Int
        var kernel: (height: Int, width: Int) = (3, 3)
        var stride = 1
        var padding = Padding(1)
        var hasBias = true
        var upsample = 1
        var hasResidual = false

        var outHeight: Int { (height * upsample + padding.top + padding.bottom - kernel.height) / stride + 1 }
        var outWidth: Int { (width * upsample + padding.left + padding.right - kernel.width) / stride + 1 }
        var name: String {
            "\(batch) x \(height) x \(width) x \(channels) to \(outputs), \(kernel.height) x \(kernel.width)"
                + (stride > 1 ? " by \(stride)" : "") + (upsample > 1 ? ", enlarged \(upsample)" : "")
                + (hasResidual ? ", residual" : "")
        }

        /// By the definition, in double precision: x [B, H, W, C], weight [O, C, kh, kw] -> [B, OH, OW, O].
        func callAsFunction(_ x: [Double], _ weight: [Double], _ bias: [Double]) -> [Double] {
            var y = [Double](repeating: 0, count: batch * outHeight * outWidth * outputs)
            for b in 0..<batch {
                for oy in 0..<outHeight {
                    for ox in 0..<outWidth {
                        for o in 0..<outputs {
                            var sum = bias.isEmpty ? 0 : bias[o]
                            for ky in 0..<kernel.height {
                                for kx in 0..<kernel.width {
                                    let (iy, ix) = (oy * stride + ky - padding.top, ox * stride + kx - padding.left)
                                    guard iy >= 0, ix >= 0, iy < height * upsample, ix < width * upsample else { continue }
                                    let pixel = (b * height + iy / upsample) * width + ix / upsample
                                    for c in 0..<channels {
                                        sum += x[pixel * channels + c]
                                            * weight[((o * channels + c) * kernel.height + ky) * kernel.width + kx]
                                    }
                                }
                            }
                            y[((b * outHeight + oy) * outWidth + ox) * outputs + o] = sum
                        }
                    }
                }
            }
            return y
        }

        func operationCase(_ suffix: String = "", isDifferentiable: Bool = true) -> OperationCase {
            var inputs: [OperationCase.Input] = [
                .init(shape: [batch, height, width, channels], isDifferentiable: isDifferentiable),
                .init(
                    shape: [outputs, channels, kernel.height, kernel.width], values: .normal(0.3),
                    isDifferentiable: isDifferentiable),
            ]
            if hasBias { inputs.append(.init(shape: [outputs], isDifferentiable: isDifferentiable)) }
            if hasResidual {
                inputs.append(.init(shape: [batch, outHeight, outWidth, outputs], isDifferentiable: isDifferentiable))
            }
            return OperationCase(
                name: name + suffix, inputs: inputs,
                build: { graph, x in
                    let input = upsample > 1 ? try graph.upsample(x[0], factor: upsample) : x[0]
                    let y = try graph.convolution(
                        input, weight: x[1], bias: hasBias ? x[2] : nil, stride: stride, padding: padding)
                    guard hasResidual, let residual = x.last else { return [y] }
                    return [try graph.add(residual, y)]
                },
                reference: { x in
                    let y = self(x[0], x[1], hasBias ? x[2] : [])
                    guard hasResidual, let residual = x.last else { return [y] }
                    return [zip(y, residual).map(+)]
                })
        }
    }

    /// Every case.
    static let all: [OperationCase] = [
        Layer(height: 5, width: 7, channels: 3, outputs: 5),
        Layer(height: 4, width: 9, channels: 5, outputs: 4, kernel: (1, 1), padding: Padding(0)),
        Layer(height: 5, width: 6, channels: 3, outputs: 4, kernel: (1, 1), stride: 2, padding: Padding(0)),
        Layer(
            batch: 2, height: 6, width: 6, channels: 4, outputs: 33, stride: 2,
            padding: Padding(top: 0, left: 0, bottom: 1, right: 1)),
        Layer(height: 6, width: 7, channels: 2, outputs: 3, stride: 2),
        Layer(height: 7, width: 5, channels: 3, outputs: 2, kernel: (2, 4), stride: 3, padding: Padding(2), hasBias: false),
        Layer(height: 3, width: 24, channels: 9, outputs: 32),
        Layer(height: 2, width: 13, channels: 20, outputs: 17, hasResidual: true),
        Layer(batch: 2, height: 3, width: 4, channels: 6, outputs: 5, upsample: 2),
        Layer(
            batch: 2, height: 6, width: 7, channels: 18, outputs: 17, stride: 2,
            padding: Padding(top: 0, left: 0, bottom: 1, right: 1)),
    ].map { $0.operationCase() } + fused

    /// Without gradients, which keep a convolution from taking up its neighbours; with more channels than are taken at once,
    /// more pixels than a strip has, and large tiles.
    static let fused: [OperationCase] = [
        Layer(batch: 2, height: 3, width: 4, channels: 6, outputs: 5, upsample: 2),
        Layer(height: 2, width: 5, channels: 7, outputs: 16, upsample: 3, hasResidual: true),
        Layer(height: 3, width: 9, channels: 150, outputs: 34, hasResidual: true),
        Layer(height: 9, width: 21, channels: 16, outputs: 50, stride: 2),
        Layer(height: 11, width: 70, channels: 4, outputs: 64),
        Layer(height: 10, width: 13, channels: 2, outputs: 66),
    ].map { $0.operationCase(", fused", isDifferentiable: false) }
}
