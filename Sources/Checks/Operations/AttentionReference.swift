import Foundation

/// Attention and its gradients in double precision, head by head as the formulas stand.
struct AttentionReference: Sendable {
    var batch = 2
    var queries: Int
    var keys: Int
    var heads: Int
    var headDim: Int
    /// Query batches that share a key batch.
    var group = 1
    /// Keys that every query sees; nil: all.
    var prefix: Int?
    /// Positions behind the prefix that see one another.
    var block = 1
    /// Position of the first query.
    var first = 0

    var width: Int { heads * headDim }
    var scale: Double { 1 / Double(headDim).squareRoot() }

    /// Keys behind the prefix are seen by the positions of their own block, and by those of later ones.
    func sees(_ query: Int, _ key: Int) -> Bool {
        guard let prefix, key >= prefix else { return true }
        return first + query >= prefix && (key - prefix) / block <= (first + query - prefix) / block
    }

    /// Packed rows [rows, 3 D] as three tensors [rows, D].
    static func unpack(_ qkv: [Double], width: Int) -> [[Double]] {
        (0..<3).map { part in qkv.indices.filter { $0 / width % 3 == part }.map { qkv[$0] } }
    }

    /// Three tensors [rows, D] as packed rows.
    static func pack(_ parts: [[Double]], width: Int) -> [Double] {
        (0..<(3 * parts[0].count)).map { index in
            parts[index / width % 3][index / (3 * width) * width + index % width]
        }
    }

    /// Softmax weights of one query in one head over the keys of its batch; 0 where it does not see.
    func weights(_ query: [Double], _ key: [Double], _ b: Int, _ h: Int, _ i: Int) -> [Double] {
        let start = ((b * queries + i) * heads + h) * headDim
        let scores = (0..<keys).map { j -> Double in
            guard sees(i, j) else { return -.infinity }
            let row = ((b / group * keys + j) * heads + h) * headDim
            return scale * (0..<headDim).reduce(0) { $0 + query[start + $1] * key[row + $1] }
        }
        let top = scores.max() ?? 0
        let exponentials = scores.map { exp($0 - top) }
        let sum = exponentials.reduce(0, +)
        return exponentials.map { $0 / sum }
    }

    /// The output; and the gradients of query, key and value for the output's gradient `dout`. `kept` holds the dropout
    /// factors [B, H, N, M].
    func attention(
        _ query: [Double], _ key: [Double], _ value: [Double], dout: [Double]? = nil, kept: [Double]? = nil
    ) -> (out: [Double], gradients: [[Double]]) {
        var out = [Double](repeating: 0, count: query.count)
        var dquery = out
        var dkey = [Double](repeating: 0, count: key.count)
        var dvalue = dkey
        for b in 0..<batch {
            for h in 0..<heads {
                for i in 0..<queries {
                    let p = weights(query, key, b, h, i)
                    let z = (0..<keys).map { kept?[((b * heads + h) * queries + i) * keys + $0] ?? 1 }
                    let own = ((b * queries + i) * heads + h) * headDim
                    let rows = (0..<keys).map { ((b / group * keys + $0) * heads + h) * headDim }
                    for j in 0..<keys where p[j] != 0 {
                        for d in 0..<headDim { out[own + d] += z[j] * p[j] * value[rows[j] + d] }
                    }
                    guard let dout else { continue }
                    let dp = rows.enumerated().map { j, row in
                        z[j] * (0..<headDim).reduce(0) { $0 + dout[own + $1] * value[row + $1] }
                    }
                    let delta = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
                    for j in 0..<keys where p[j] != 0 {
                        let ds = scale * p[j] * (dp[j] - delta)
                        for d in 0..<headDim {
                            dvalue[rows[j] + d] += z[j] * p[j] * dout[own + d]
                            dquery[own + d] += ds * key[rows[j] + d]
                            dkey[rows[j] + d] += ds * query[own + d]
                        }
                    }
                }
            }
        }
        return (out, [dquery, dkey, dvalue])
    }
}
