import DriftGPU
import DriftMPI

/// The exchange of processes that can send each other bytes.
///
/// A sum goes in two plain collectives: each process gets its shard of everybody's values and adds them in the order of the ranks, then
/// everybody gets all shards. Nothing is left to how an MPI library adds, so the bits are the same with every one, and those of one
/// process that takes all parts (`PartSums`). A process sends and receives 2 (R - 1) / R of the bytes of the sums, R being the number
/// of processes.
package final class RankExchange: GradientExchange {
    package let ranks: any RankGroup
    /// Most values of a message to one process, which bounds the memory for them.
    private let shardLimit: Int
    private var rooms: Rooms?

    /// Host memory of a bucket: what goes to the device and comes from it, and what the others sent.
    private struct Rooms {
        let own: TransferRoom
        let others: UnsafeMutableBufferPointer<Float>
    }

    package var rank: Int { ranks.rank }
    package var processes: Int { ranks.count }

    /// `shardLimit`: 4 Mi values, 16 MiB.
    package init(_ ranks: any RankGroup, shardLimit: Int = 4 << 20) {
        (self.ranks, self.shardLimit) = (ranks, shardLimit)
    }

    deinit { rooms?.others.deallocate() }

    package func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes {
        try ranks.agree(on: failure)
        return try ranks.allgather(wishes.rawValue).reduce(into: RunWishes()) { $0.formUnion(RunWishes(rawValue: $1)) }
    }

    package func sum(_ storages: [Storage], in memory: DeviceMemory) throws {
        let largest = storages.map(\.count).max() ?? 0
        let shard = min(shardLimit, (largest + processes - 1) / processes)
        let rooms = rooms(shard, memory)
        for storage in storages {
            for start in stride(from: 0, to: storage.count, by: shard * processes) {
                try sum(start..<min(start + shard * processes, storage.count), of: storage, rooms, memory)
            }
        }
    }

    private func rooms(_ shard: Int, _ memory: DeviceMemory) -> Rooms {
        if let rooms, rooms.others.count >= shard * processes { return rooms }
        rooms?.others.deallocate()
        let made = Rooms(own: memory.room(shard * processes), others: .allocate(capacity: shard * processes))
        made.others.initialize(repeating: 0)
        rooms = made
        return made
    }

    private func sum(_ range: Range<Int>, of storage: Storage, _ rooms: Rooms, _ memory: DeviceMemory) throws {
        let shard = (range.count + processes - 1) / processes
        try rooms.own.wait(0)
        try memory.receive(range, of: storage, into: rooms.own)
        let (own, others) = (rooms.own.values, rooms.others)
        guard let ours = own.baseAddress, let theirs = others.baseAddress else { return }
        // The last shard may be shorter; what stands behind it is summed with it, and not sent back.
        let bytes = shard * processes * MemoryLayout<Float>.stride
        try ranks.alltoall(UnsafeRawBufferPointer(start: ours, count: bytes), into: UnsafeMutableRawBufferPointer(start: theirs, count: bytes))
        PartSums.sum((0..<processes).map { theirs + $0 * shard }, count: shard)
        try ranks.allgather(
            UnsafeRawBufferPointer(start: theirs, count: shard * MemoryLayout<Float>.stride),
            into: UnsafeMutableRawBufferPointer(start: ours, count: bytes))
        try memory.send(0..<range.count, of: rooms.own, to: storage, at: range.lowerBound)
    }
}
