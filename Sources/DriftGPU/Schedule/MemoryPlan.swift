/// Where every intermediate tensor and scratch block lies in the one arena of a schedule.
///
/// Lifetimes come from the order of the steps; blocks whose lifetimes do not meet share memory. Blocks are placed from the
/// largest down, each at the lowest offset that is free during its life.
public struct MemoryPlan: Sendable {
    /// Byte offset of a tensor, by id. Views and parts have the offset of what they lie in.
    public private(set) var offsets: [Int: Int] = [:]
    /// Byte offsets of each step's scratch tensors.
    public private(set) var scratchOffsets: [[Int]] = []
    /// By the id of a view or a part: the value in whose memory it lies.
    public private(set) var viewSources: [Int: Int] = [:]
    /// Elements of that value before the first of a part, by the part's id.
    public private(set) var partOffsets: [Int: Int] = [:]
    public private(set) var arenaBytes = 0
    /// What the arena would take with a block for every tensor.
    public private(set) var bytesWithoutReuse = 0
    /// Guarded stretches, as byte ranges of the arena that nothing may write to.
    public private(set) var guards: [Range<Int>] = []

    private struct Block {
        var bytes: Int
        var first: Int
        var last: Int
        var offset = 0
    }

    init(steps: [Schedule.Step], parts: TensorParts, stored: Set<Int>, kept: Set<Int>, reuse: Bool, guardBytes: Int) {
        for step in steps where step.node.operation.isView {
            let source = step.node.inputs[0].id
            viewSources[step.node.outputs[0].id] = viewSources[source] ?? source
        }
        for (id, part) in parts.parts {
            viewSources[id] = viewSources[part.whole] ?? part.whole
            partOffsets[id] = part.offset
        }
        func root(_ id: Int) -> Int { viewSources[id] ?? id }

        var lastUse: [Int: Int] = [:]
        for (time, step) in steps.enumerated() {
            for tensor in step.node.inputs + step.node.outputs { lastUse[root(tensor.id)] = time }
        }
        let keptRoots = Set(kept.map(root))
        for id in keptRoots { lastUse[id] = steps.count }

        var blocks: [Block] = []
        var blockOf: [Int: Int] = [:]
        var scratchBlocks: [[Int]] = []
        for (time, step) in steps.enumerated() {
            let node = step.node
            var taken: Set<Int> = []
            if !node.operation.isView {
                for (position, output) in node.outputs.enumerated() where !stored.contains(root(output.id)) {
                    if let part = parts.parts[output.id] {
                        // The first part that is written begins the life of the whole.
                        if blockOf[part.whole] == nil {
                            bytesWithoutReuse += Self.aligned(part.wholeBytes)
                            blockOf[part.whole] = blocks.count
                            blocks.append(Block(bytes: part.wholeBytes, first: time, last: lastUse[part.whole] ?? time))
                        }
                        continue
                    }
                    bytesWithoutReuse += Self.aligned(output.type.byteCount)
                    let donor = node.operation.inPlace.lazy.filter { $0.output == position }.map { node.inputs[$0.input] }
                        .first { input in
                            let source = root(input.id)
                            return reuse && lastUse[source] == time && blockOf[source] != nil
                                && parts.parts[input.id] == nil && !taken.contains(source) && !keptRoots.contains(source)
                                && input.type.byteCount == output.type.byteCount
                                && node.inputs.filter { root($0.id) == source }.count == 1
                        }
                    if let donor, let block = blockOf[root(donor.id)] {
                        taken.insert(root(donor.id))
                        blockOf[output.id] = block
                        blocks[block].last = max(blocks[block].last, lastUse[output.id] ?? time)
                    } else {
                        blockOf[output.id] = blocks.count
                        blocks.append(Block(bytes: output.type.byteCount, first: time, last: lastUse[output.id] ?? time))
                    }
                }
            }
            scratchBlocks.append(
                step.scratch.map { type in
                    bytesWithoutReuse += Self.aligned(type.byteCount)
                    blocks.append(Block(bytes: type.byteCount, first: time, last: time))
                    return blocks.count - 1
                })
        }
        place(&blocks, reuse: reuse, guardBytes: guardBytes)
        for (id, block) in blockOf { offsets[id] = blocks[block].offset }
        for (view, source) in viewSources { offsets[view] = offsets[source] }
        scratchOffsets = scratchBlocks.map { $0.map { blocks[$0].offset } }
    }

    /// Offsets are multiples of 256 bytes: a cache line, a vector and a GPU transaction all divide it.
    private static func aligned(_ bytes: Int) -> Int { (max(bytes, 4) + 255) & ~255 }

    private mutating func place(_ blocks: inout [Block], reuse: Bool, guardBytes: Int) {
        let margin = Self.aligned(guardBytes)
        let order = blocks.indices.sorted {
            (blocks[$0].bytes, -$0) > (blocks[$1].bytes, -$1)
        }
        // Placed blocks by offset.
        var placed: [Int] = []
        for index in order {
            let block = blocks[index]
            let size = Self.aligned(block.bytes) + (guardBytes > 0 ? 2 * margin : 0)
            var offset = 0
            for other in placed {
                let taken = blocks[other]
                if reuse && (taken.last < block.first || block.last < taken.first) { continue }
                let start = taken.offset - (guardBytes > 0 ? margin : 0)
                let end = taken.offset + Self.aligned(taken.bytes) + (guardBytes > 0 ? margin : 0)
                if offset + size <= start { break }
                offset = max(offset, end)
            }
            blocks[index].offset = offset + (guardBytes > 0 ? margin : 0)
            arenaBytes = max(arenaBytes, offset + size)
            let position = placed.firstIndex { blocks[$0].offset > blocks[index].offset } ?? placed.count
            placed.insert(index, at: position)
        }
        guard guardBytes > 0 else { return }
        // With guards nothing is reused, so the stretches between blocks belong to nobody.
        var end = 0
        for index in placed {
            guards.append(end..<blocks[index].offset)
            end = blocks[index].offset + ((blocks[index].bytes + 3) & ~3)
        }
        guards.append(end..<arenaBytes)
    }
}
