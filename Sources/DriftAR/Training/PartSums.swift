import DriftGPU

/// Sums of what the parts of a step leave, added as a binary counter counts: neighbours first, then pairs, then pairs of pairs. So parts
/// that several processes share can be summed in each of them first, and have the bits of one process that takes all.
///
/// Level k holds the sum of the last 2^k parts that are complete. Part i adds to level 0, which begins again at even i; then the levels
/// whose pair it completes are carried up. The last part is followed by what is left at lower levels.
struct PartSums {
    /// Level l added to level l + 1.
    private struct Carry {
        let restart: Tensor
        let executor: Executor
    }

    private let parts: Int
    private let carries: [Carry]

    /// Levels above 0 that `parts` parts need.
    static func levels(_ parts: Int) -> Int { parts <= 2 ? 0 : Int.bitWidth - (parts - 1).leadingZeroBitCount - 1 }

    /// Where level `level` of `storage` lies, which is level 0.
    static func level(_ level: Int, of storage: Storage) -> Storage {
        level == 0 ? storage : Storage("\(storage.name)_\(level)", count: storage.count, lifetime: .run)
    }

    /// Where the sum over `parts` parts lies in the end.
    static func top(_ storage: Storage, parts: Int) -> Storage { level(levels(parts), of: storage) }

    /// The graphs that carry `storages`, lowest level first.
    static func graphs(_ storages: [Storage], parts: Int) throws -> [(graph: Graph, restart: Tensor)] {
        try (0..<levels(parts)).map { level in
            let graph = Graph()
            let restart = try graph.input("sum_restart_\(level)", [1])
            for storage in storages {
                let count = storage.count
                try graph.accumulate(
                    graph.stored([count], in: Self.level(level, of: storage)),
                    into: graph.stored([count], in: Self.level(level + 1, of: storage)), restart: restart)
            }
            return (graph, restart)
        }
    }

    init(_ storages: [Storage], parts: Int, executor: (Graph) throws -> Executor) throws {
        self.parts = parts
        carries = try Self.graphs(storages, parts: parts).map { Carry(restart: $0.restart, executor: try executor($0.graph)) }
    }

    var executors: [Executor] { carries.map(\.executor) }

    /// Whether part `part` begins level 0 again.
    static func restarts(_ part: Int) -> Bool { part.isMultiple(of: 2) }

    /// The additions that follow part `part` of `parts`: from which level, and whether the level above begins again with them.
    static func additions(after part: Int, of parts: Int) -> [(level: Int, restarts: Bool)] {
        var steps: [(level: Int, restarts: Bool)] = []
        // Levels that are complete with this part.
        var level = 0
        while level < levels(parts), part >> level & 1 == 1 {
            steps.append((level, part >> (level + 1) & 1 == 0))
            level += 1
        }
        guard part == parts - 1 else { return steps }
        // What is left, from the lowest: a level without a sum of its own takes that of the one below.
        while level < levels(parts) {
            steps.append((level, parts >> (level + 1) & 1 == 0))
            level += 1
        }
        return steps
    }

    /// To be called after each part has added to level 0.
    func add(after part: Int) throws {
        for step in Self.additions(after: part, of: parts) {
            let carry = carries[step.level]
            try carry.executor.write([Float(step.restarts ? 1 : 0)], to: carry.restart)
            try carry.executor.run()
        }
    }

    /// The same sum of values at hand, one for each of `parts` parts or blocks of parts: into the first of them.
    static func sum(_ values: [UnsafeMutablePointer<Float>], count: Int) {
        // Blocks that are complete: how many parts each has, as a power of two, and where its sum lies.
        var blocks: [(level: Int, sum: UnsafeMutablePointer<Float>)] = []
        func merge() {
            let (last, before) = (blocks.removeLast(), blocks[blocks.count - 1])
            // As level 0 begins, at 0: of two values of -0 that makes 0.
            for i in 0..<count { before.sum[i] = (0 + before.sum[i]) + last.sum[i] }
            blocks[blocks.count - 1].level += 1
        }
        for value in values {
            blocks.append((0, value))
            while blocks.count > 1, blocks[blocks.count - 1].level == blocks[blocks.count - 2].level { merge() }
        }
        while blocks.count > 1 { merge() }
    }
}
