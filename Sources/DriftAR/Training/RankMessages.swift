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
        guard wire == .bf16, !exactly, let sent = narrow.baseAddress else {
            try ranks.alltoall(Self.bytes(own, all), into: Self.mutableBytes(theirs, all))
            PartSums.sum((0..<ranks.count).map { theirs + $0 * shard }, count: shard)
            try ranks.allgather(Self.bytes(theirs, shard), into: Self.mutableBytes(own, all))
            return
        }
        let received = sent + all
        BrainFloat.narrow(own, sent, all)
        try ranks.alltoall(Self.bytes(sent, all), into: Self.mutableBytes(received, all))
        BrainFloat.widen(received, theirs, all)
        PartSums.sum((0..<ranks.count).map { theirs + $0 * shard }, count: shard)
        BrainFloat.narrow(theirs, sent, shard)
        try ranks.allgather(Self.bytes(sent, shard), into: Self.mutableBytes(received, all))
        BrainFloat.widen(received, own, all)
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
