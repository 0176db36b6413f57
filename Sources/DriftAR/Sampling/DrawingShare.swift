import DriftMPI

/// What a process draws of images that several processes draw together: some images of each label, or some of the labels where there
/// are fewer images of a label than processes.
public struct DrawingShare {
    public let labels: [Int]
    /// Numbers of the images of each label.
    public let images: Range<Int>
    private let all: (labels: Int, perLabel: Int)
    private let ranks: any RankGroup

    /// This process's of `perLabel` images of each of `labels`. The first process has some wherever there are any.
    public init(labels: [Int], perLabel: Int, ranks: any RankGroup) {
        self.ranks = ranks
        all = (labels.count, perLabel)
        self.labels = Array(labels[Self.labels(all, ranks.rank, ranks.count)])
        images = Self.images(all, ranks.rank, ranks.count)
    }

    private static func part(_ count: Int, _ rank: Int, _ ranks: Int) -> Range<Int> {
        func begin(_ rank: Int) -> Int { count / ranks * rank + min(rank, count % ranks) }
        return begin(rank)..<begin(rank + 1)
    }

    private static func images(_ all: (labels: Int, perLabel: Int), _ rank: Int, _ ranks: Int) -> Range<Int> {
        all.perLabel >= ranks ? part(all.perLabel, rank, ranks) : 0..<all.perLabel
    }

    private static func labels(_ all: (labels: Int, perLabel: Int), _ rank: Int, _ ranks: Int) -> Range<Int> {
        all.perLabel >= ranks ? 0..<all.labels : part(all.labels, rank, ranks)
    }

    /// The values of all images, label by label, as one process would have drawn them. `own`: this process's values, equally many for each
    /// image. Every process must call it.
    public func gather(_ own: [Float]) throws -> [Float] {
        guard ranks.count > 1 else { return own }
        let size = try ranks.broadcast(Int64(labels.isEmpty || images.isEmpty ? 0 : own.count / (labels.count * images.count)))
        let width = Int(size)
        let parts = (0..<ranks.count).map { (labels: Self.labels(all, $0, ranks.count), images: Self.images(all, $0, ranks.count)) }
        let longest = parts.map { $0.labels.count * $0.images.count * width }.max() ?? 0
        let gathered = try ranks.allgather(own + [Float](repeating: 0, count: longest - own.count))
        return [Float](unsafeUninitializedCapacity: all.labels * all.perLabel * width) { result, count in
            for (rank, part) in parts.enumerated() {
                for (row, label) in part.labels.enumerated() {
                    let from = rank * longest + row * part.images.count * width
                    let to = (label * all.perLabel + part.images.lowerBound) * width
                    for i in 0..<(part.images.count * width) { result[to + i] = gathered[from + i] }
                }
            }
            count = all.labels * all.perLabel * width
        }
    }
}
