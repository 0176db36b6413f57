import DriftMPI

/// The messages by which processes sum values that lie in host memory, and room for them.
package final class RankMessages {
    private let ranks: any RankGroup
    /// Most values of a shard.
    package let shard: Int
    /// What the others sent for this process's shard.
    private let received: UnsafeMutableBufferPointer<Float>
    /// What is sent, and what is received, in 16 bits; empty where all goes in 32.
    private let narrow: UnsafeMutableBufferPointer<UInt16>
    private let wire: Wire

    package init(_ ranks: any RankGroup, wire: Wire, shard: Int) {
        (self.ranks, self.wire, self.shard) = (ranks, wire, shard)
        received = .allocate(capacity: max(1, shard * ranks.count))
        received.initialize(repeating: 0)
        narrow = .allocate(capacity: wire == .bf16 ? 2 * max(1, shard * ranks.count) : 0)
        narrow.initialize(repeating: 0)
    }

    deinit {
        received.deallocate()
        narrow.deallocate()
    }

    /// The first `count` of `values` become their sums over all processes, the same bits in all of them. `values` has room for shards
    /// of equal size, the last of which may have values behind `count` that mean nothing. `exactly`: in 32 bits in any case.
    package func sum(_ values: UnsafeMutableBufferPointer<Float>, count: Int, exactly: Bool = false) throws {
        let shard = (count + ranks.count - 1) / ranks.count
        guard shard <= self.shard, values.count >= shard * ranks.count, let own = values.baseAddress, let theirs = received.baseAddress
        else { throw RankFailure(rank: ranks.rank, reason: "\(count) values do not fit the room for messages") }
        let all = shard * ranks.count
        guard let machines = ranks.machines else {
            return try sum(own, all, theirs, over: ranks, wire: exactly ? .fp32 : wire)
        }
        // Inside of the machine, then between machines, then back: a machine sends and receives what one process would.
        let (local, part) = (machines.local, all / machines.local.count)
        try local.alltoall(Self.bytes(own, all), into: Self.mutableBytes(theirs, all))
        PartSums.sum((0..<local.count).map { theirs + $0 * part }, count: part)
        try sum(theirs, part, own, over: machines.across, wire: exactly ? .fp32 : wire)
        try local.allgather(Self.bytes(theirs, part), into: Self.mutableBytes(own, all))
    }

    /// The `count` values of `own`, a multiple of the number of processes, become their sums over `group`; `room` has room for as many.
    private func sum(
        _ own: UnsafeMutablePointer<Float>, _ count: Int, _ room: UnsafeMutablePointer<Float>, over group: any RankGroup, wire: Wire
    ) throws {
        let shard = count / group.count
        let shards = (0..<group.count).map { room + $0 * shard }
        guard wire == .bf16, let sent = narrow.baseAddress else {
            try group.alltoall(Self.bytes(own, count), into: Self.mutableBytes(room, count))
            PartSums.sum(shards, count: shard)
            return try group.allgather(Self.bytes(room, shard), into: Self.mutableBytes(own, count))
        }
        let received = sent + count
        BrainFloat.narrow(own, sent, count)
        try group.alltoall(Self.bytes(sent, count), into: Self.mutableBytes(received, count))
        BrainFloat.widen(received, room, count)
        PartSums.sum(shards, count: shard)
        BrainFloat.narrow(room, sent, shard)
        try group.allgather(Self.bytes(sent, shard), into: Self.mutableBytes(received, count))
        BrainFloat.widen(received, own, count)
    }

    private static func bytes<T>(_ start: UnsafeMutablePointer<T>, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start, count: count * MemoryLayout<T>.stride)
    }

    private static func mutableBytes<T>(_ start: UnsafeMutablePointer<T>, _ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: start, count: count * MemoryLayout<T>.stride)
    }
}

/// bfloat16: the upper half of a float32.
enum BrainFloat {
    /// Rounds to the nearest, ties to even; what is not a number stays none.
    static func narrow(_ values: UnsafePointer<Float>, _ result: UnsafeMutablePointer<UInt16>, _ count: Int) {
        for i in 0..<count {
            let bits = values[i].bitPattern
            let isNaN = bits & 0x7FFF_FFFF > 0x7F80_0000
            let rounded = (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16
            result[i] = UInt16(truncatingIfNeeded: isNaN ? bits >> 16 | 0x40 : rounded)
        }
    }

    static func widen(_ values: UnsafePointer<UInt16>, _ result: UnsafeMutablePointer<Float>, _ count: Int) {
        for i in 0..<count { result[i] = Float(bitPattern: UInt32(values[i]) << 16) }
    }
}
