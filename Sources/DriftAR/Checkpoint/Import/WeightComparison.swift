/// How the tensors of a file go together with those a model needs.
public struct WeightComparison: Sendable {
    /// A tensor that is there in another shape.
    public struct Misshapen: Sendable, Equatable {
        public let name: String
        public let found: [Int]
        public let needed: [Int]
    }

    /// What becomes of a tensor of the file.
    enum Role: Equatable {
        /// It is the model's tensor of that name.
        case parameter(String)
        /// The model has nothing like it.
        case extra
        /// It belongs to something else that is no part of the model, like a loss.
        case ignored
    }

    /// Name in the set of weights of every tensor that fits, by its name in the model.
    public let matched: [String: String]
    public let missing: [String]
    public let extra: [String]
    public let misshapen: [Misshapen]
    /// Tensors of the model whose element type is not read, with that type.
    public let unread: [(name: String, type: String)]
    public let ignored: [String]

    init(_ weights: WeightSet, with expected: [(name: String, shape: [Int])], role: (String) -> Role = { .parameter($0) }) {
        let shapes = Dictionary(expected.map { ($0.name, $0.shape) }) { first, _ in first }
        var (matched, extra, misshapen, ignored): ([String: String], [String], [Misshapen], [String]) = ([:], [], [], [])
        for (name, header) in weights.headers.sorted(by: { $0.key < $1.key }) {
            switch role(name) {
            case .ignored: ignored.append(name)
            case .extra: extra.append(name)
            case .parameter(let target):
                if let needed = shapes[target] {
                    if header.shape == needed {
                        matched[target] = name
                    } else {
                        misshapen.append(Misshapen(name: target, found: header.shape, needed: needed))
                    }
                } else {
                    extra.append(name)
                }
            }
        }
        self.matched = matched
        self.extra = extra
        self.misshapen = misshapen
        self.ignored = ignored
        unread = weights.foreign.sorted { $0.key < $1.key }.compactMap { name, tensor in
            if case .parameter(let target) = role(name), shapes[target] != nil { (target, tensor.type) } else { nil }
        }
        let bad = Set(misshapen.map(\.name) + unread.map(\.name))
        missing = expected.map(\.name).filter { matched[$0] == nil && !bad.contains($0) }
    }

    /// Whether the file holds the model, the whole model, and nothing else.
    public var isExact: Bool { missing.isEmpty && extra.isEmpty && misshapen.isEmpty && unread.isEmpty }

    /// "3 missing, 1 misshapen, 20 extra"
    public var summary: String {
        [("missing", missing.count), ("misshapen", misshapen.count), ("unread", unread.count), ("extra", extra.count)]
            .filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" }.joined(separator: ", ")
    }

    /// Every tensor that does not fit, alike names on one line.
    public var listing: [String] {
        NameList.compact(missing).map { "missing    " + $0 }
            + misshapen.map { "misshapen  \($0.name): \($0.found), the model needs \($0.needed)" }
            + unread.map { "unread     \($0.name): the element type \($0.type)" }
            + NameList.compact(extra).map { "extra      " + $0 }
    }
}

/// Names with their numbers folded into ranges: `encoder_blocks.{0-3}.norm1.{bias,weight}`.
enum NameList {
    static func compact(_ names: [String]) -> [String] {
        var rows = names.map { $0.split(separator: ".", omittingEmptySubsequences: false).map(String.init) }
        let depth = rows.map(\.count).max() ?? 0
        for position in (0..<depth).reversed() {
            rows = fold(rows, at: position, where: { text in Int(text).map(String.init) == text }) { parts in ranges(parts.compactMap(Int.init)) }
        }
        rows = fold(rows, at: nil, where: { $0 == "weight" || $0 == "bias" }) { $0.sorted().joined(separator: ",") }
        return rows.map { $0.joined(separator: ".") }
    }

    /// Rows that differ in one component alone become one row, at the place of the first.
    private static func fold(
        _ rows: [[String]], at position: Int?, where folds: (String) -> Bool, _ joined: ([String]) -> String
    ) -> [[String]] {
        var order: [[String]] = []
        var groups: [[String]: [String]] = [:]
        for row in rows {
            let index = position ?? row.count - 1
            var frame = row
            var part: String?
            if row.indices.contains(index), folds(row[index]) {
                part = row[index]
                frame[index] = "\0"
            }
            if groups[frame] == nil { order.append(frame) }
            groups[frame, default: []] += part.map { [$0] } ?? []
        }
        return order.map { frame in
            let parts = groups[frame] ?? []
            let text = parts.count == 1 ? parts[0] : "{" + joined(parts) + "}"
            return frame.map { $0 == "\0" ? text : $0 }
        }
    }

    /// "0-3,7"
    private static func ranges(_ numbers: [Int]) -> String {
        var runs: [ClosedRange<Int>] = []
        for number in Set(numbers).sorted() {
            if let last = runs.last, last.upperBound &+ 1 == number {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }
}
