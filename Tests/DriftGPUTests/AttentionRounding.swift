import Foundation

@testable import Checks

/// How far attention by mma may be from its formulas, element by element, where these take the rounded inputs. What remains
/// is a rounding of the weights before they meet values or dout, and one of the gradients of the scores, each by `unit` of
/// the value at most; and single precision's share, `single`, of the size of what is added up.
struct AttentionRounding {
    private(set) var out: [Double]
    private(set) var dquery: [Double]
    private(set) var dkey: [Double]
    private(set) var dvalue: [Double]
    /// Not a bound: the logarithm of each row's sum of exponentials [B, H, N].
    private(set) var logsumexp: [Double] = []

    /// `values` are rounded query, key, value and dout; `kept` dropout factors [B, H, N, M].
    init(_ size: AttentionReference, _ values: [[Double]], kept: [Double]?, unit: Double, single: Double = 1e-5) {
        let (query, key, value, dout) = (values[0], values[1], values[2], values[3])
        (out, dquery, dkey, dvalue) = (
            [Double](repeating: 1e-12, count: query.count), [Double](repeating: 1e-12, count: query.count),
            [Double](repeating: 1e-12, count: key.count), [Double](repeating: 1e-12, count: key.count)
        )
        let columns = 0..<size.headDim
        for b in 0..<size.batch {
            for h in 0..<size.heads {
                for i in 0..<size.queries {
                    let own = ((b * size.queries + i) * size.heads + h) * size.headDim
                    let rows = (0..<size.keys).map { ((b / size.group * size.keys + $0) * size.heads + h) * size.headDim }
                    let p = size.weights(query, key, b, h, i)
                    // Every query sees key 0: its weight is exp(score - logsumexp).
                    logsumexp.append(size.scale * columns.reduce(0) { $0 + query[own + $1] * key[rows[0] + $1] } - log(p[0]))
                    let z = rows.indices.map { kept?[((b * size.heads + h) * size.queries + i) * size.keys + $0] ?? 1 }
                    let dp = rows.indices.map { j in z[j] * columns.reduce(0) { $0 + dout[own + $1] * value[rows[j] + $1] } }
                    let dpSize = rows.indices.map { j in
                        z[j] * columns.reduce(0) { $0 + abs(dout[own + $1] * value[rows[j] + $1]) }
                    }
                    let delta = rows.indices.reduce(0) { $0 + p[$1] * dp[$1] }
                    let deltaSize = rows.indices.reduce(0) { $0 + p[$1] * dpSize[$1] }
                    // The output, of rounded weights, is in delta.
                    let deltaError = rows.indices.reduce(single * deltaSize) { $0 + unit * p[$1] * abs(dp[$1]) }
                    for j in rows.indices where p[j] != 0 {
                        let ds = size.scale * p[j] * (dp[j] - delta)
                        let dsError =
                            (unit + single) * abs(ds)
                            + size.scale * p[j] * ((1 + unit) * deltaError + single * (dpSize[j] + deltaSize))
                        for d in columns {
                            out[own + d] += (unit + single) * z[j] * p[j] * abs(value[rows[j] + d])
                            dquery[own + d] += dsError * abs(key[rows[j] + d])
                            dkey[rows[j] + d] += dsError * abs(query[own + d])
                            dvalue[rows[j] + d] += (unit + single) * z[j] * p[j] * abs(dout[own + d])
                        }
                    }
                }
            }
        }
    }
}
