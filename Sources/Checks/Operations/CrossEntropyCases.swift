import DriftGPU
import Foundation

/// The mean cross entropy of a softmax; some labels are out of range.
enum CrossEntropyCases: OperationCases {
    static let families = [
        OperationFamily(
            "cross_entropy", all,
            untimed: "the training of the classifier, which is no size of the benchmark")
    ]

    /// Every case.
    static let all = [(1, 2, 1.0), (5, 3, 1), (7, 10, 3), (130, 10, 1), (3, 16, 2), (9, 50, 20), (2, 1037, 1)].map {
        make($0, $1, spread: $2)
    }

    static func make(_ rows: Int, _ n: Int, spread: Double) -> OperationCase {
        let labels = (0..<rows).map { row -> Int32 in
            switch row % 6 {
            case 3: -1
            case 4: Int32(n)
            default: Int32((row * 7 + n - 1) % n)
            }
        }
        return OperationCase(
            name: "cross_entropy \(rows) x \(n), spread \(spread)",
            inputs: [.init(shape: [rows, n], values: .normal(spread)), .init(shape: [rows], values: .integers(labels))],
            build: { graph, x in [try graph.crossEntropy(x[0], labels: x[1])] },
            reference: { x in
                let losses = labels.enumerated().map { row, label -> Double in
                    guard label >= 0, label < n else { return 0 }
                    let logits = x[0][(row * n)..<((row + 1) * n)]
                    let top = logits.max() ?? 0
                    return top + log(logits.reduce(0) { $0 + exp($1 - top) }) - x[0][row * n + Int(label)]
                }
                return [[losses.reduce(0, +) / Double(rows)]]
            })
    }
}
