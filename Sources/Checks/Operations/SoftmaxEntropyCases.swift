import DriftGPU
import Foundation

/// The entropy of the attention weights, computed without writing them.
enum SoftmaxEntropyCases: OperationCases {
    static let families = [OperationFamily("softmax_entropy", all)]

    /// Every case.
    static let all = sizes.map { size in
        OperationCase(
            name: "softmax_entropy \(size.name)",
            inputs: [.init(shape: [size.batch, size.length, 3 * size.heads * size.headDim], values: .normal(size.spread))],
            build: { graph, x in
                [
                    size.isCausal
                        ? try graph.softmaxEntropy(x[0], heads: size.heads, buffer: size.buffer)
                        : try graph.fullSoftmaxEntropy(x[0], heads: size.heads, buffer: size.buffer)
                ]
            },
            reference: { [entropy($0[0], size)] }, tolerance: 1e-5)
    }

    struct Size: Sendable {
        let batch: Int, buffer: Int, content: Int, heads: Int, headDim: Int
        /// Standard deviation of qkv: large ones bring columns under the floor.
        var spread = 1.0
        var isCausal = true
        var length: Int { buffer + content }
        var attention: AttentionReference {
            AttentionReference(batch: batch, queries: length, keys: length, heads: heads, headDim: headDim, prefix: isCausal ? buffer : nil)
        }
        var name: String { "\(batch) x (\(buffer) + \(content)), \(heads) heads of \(headDim), spread \(spread)\(isCausal ? "" : ", full")" }
    }

    /// Eq. 4 from packed qkv.
    static func entropy(_ qkv: [Double], _ size: Size) -> [Double] {
        let reference = size.attention
        let points = AttentionReference.unpack(qkv, width: reference.width)
        return (0..<(size.batch * size.content)).map { index in
            let (b, r) = (index / size.content, index % size.content)
            let seen = size.isCausal ? r + 1 : size.content
            guard seen > 1 else { return 0 }
            var mean = [Double](repeating: 0, count: size.content)
            for h in 0..<size.heads {
                let row = reference.weights(points[0], points[1], b, h, size.buffer + r)[size.buffer...]
                let divisor = max(row.reduce(0, +), 1e-8)
                for (c, weight) in row.enumerated() { mean[c] += weight / divisor / Double(size.heads) }
            }
            let sum = mean.map { max($0, 1e-8) }.reduce(0) { $0 - $1 * log($1) }
            return min(max(sum / log(Double(seen)), 0), 1)
        }
    }

    static let sizes: [Size] = [
        Size(batch: 2, buffer: 2, content: 5, heads: 2, headDim: 12), Size(batch: 1, buffer: 0, content: 1, heads: 1, headDim: 12),
        Size(batch: 1, buffer: 0, content: 18, heads: 1, headDim: 12), Size(batch: 1, buffer: 5, content: 35, heads: 1, headDim: 12),
        Size(batch: 1, buffer: 70, content: 9, heads: 1, headDim: 12), Size(batch: 1, buffer: 4, content: 16, heads: 2, headDim: 16),
        Size(batch: 1, buffer: 3, content: 12, heads: 2, headDim: 12, spread: 3),
        Size(batch: 2, buffer: 2, content: 5, heads: 2, headDim: 12, isCausal: false),
        Size(batch: 1, buffer: 0, content: 1, heads: 1, headDim: 12, isCausal: false),
        Size(batch: 1, buffer: 5, content: 35, heads: 1, headDim: 12, isCausal: false),
        Size(batch: 1, buffer: 4, content: 16, heads: 2, headDim: 16, spread: 3, isCausal: false),
    ]
}
