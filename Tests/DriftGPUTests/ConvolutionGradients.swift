@testable import Checks

extension ConvolutionCases.Layer {
    /// The gradients of the input and of the weight from values of both and from dy, in double precision, by their definition: of a
    /// layer that enlarges nothing.
    func gradients(_ x: [Double], _ weight: [Double], _ dy: [Double]) -> (x: [Double], weight: [Double]) {
        var (dx, dweight) = ([Double](repeating: 0, count: x.count), [Double](repeating: 0, count: weight.count))
        let taps = kernel.height * kernel.width
        for pixel in 0..<batch * outHeight * outWidth {
            let (line, ox) = (pixel / outWidth, pixel % outWidth)
            let (b, oy) = (line / outHeight, line % outHeight)
            for tap in 0..<taps {
                let iy = oy * stride + tap / kernel.width - padding.top
                let ix = ox * stride + tap % kernel.width - padding.left
                guard iy >= 0, ix >= 0, iy < height, ix < width else { continue }
                let first = ((b * height + iy) * width + ix) * channels
                for o in 0..<outputs {
                    let gradient = dy[pixel * outputs + o]
                    for c in 0..<channels {
                        let place = (o * channels + c) * taps + tap
                        dx[first + c] += gradient * weight[place]
                        dweight[place] += gradient * x[first + c]
                    }
                }
            }
        }
        return (dx, dweight)
    }
}
