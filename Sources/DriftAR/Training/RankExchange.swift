import DriftGPU
import DriftMPI

/// What gradients are sent as.
public enum Wire: String, Sendable, CaseIterable {
    /// As they are.
    case fp32
    /// Rounded to 8 bits of precision: half the bytes. Each process's gradient is rounded once and the sum once more, by 2^-8 of
    /// itself at most; what is added is added in fp32. On several machines it is each machine's sum that is rounded.
    case bf16
}

/// The exchange of processes that can send each other bytes.
///
/// A sum goes in two plain collectives: each process gets its shard of everybody's values and adds them in the order of the ranks, then
/// everybody gets all shards. Nothing is left to how an MPI library adds, so the bits are the same with every one, and those of one
/// process that takes all parts (`PartSums`). A process sends and receives 2 (R - 1) / R of the bytes of the sums, R being the number
/// of processes. On several machines those of each sum among themselves first (`RankMachines`): a machine of any number of processes
/// then sends and receives what one process would.
///
/// Sums go in buckets. A bucket of gradients can go while the device still computes those before it: the buckets follow in the order of
/// the backward pass, the last parameters first, and each waits only for its own values. One thread calls MPI, and blocks.
package final class RankExchange: GradientExchange {
    package let ranks: any RankGroup
    private let wire: Wire
    package let overlaps: Bool
    /// Most values of a message to one process, which bounds the memory for them.
    package let shardLimit: Int
    private var transfers: Transfers?

    /// Host memory of two buckets, so that one is on its way from the device while another is exchanged.
    private struct Transfers {
        let memory: DeviceMemory
        let stream: TransferStream
        let rooms: [TransferRoom]
        let messages: RankMessages
    }

    package var rank: Int { ranks.rank }
    package var processes: Int { ranks.count }

    /// `shardLimit`: by default buckets of 8 Mi values, 32 MiB, in messages of no fewer than 64 Ki. `overlaps`: not where the device is the CPU, whose cores a process that waits
    /// for the others' messages would take away from those that compute.
    package init(_ ranks: any RankGroup, wire: Wire = .fp32, overlaps: Bool, shardLimit: Int? = nil) {
        (self.ranks, self.wire, self.overlaps) = (ranks, wire, overlaps)
        self.shardLimit = shardLimit ?? max(1 << 16, (8 << 20) / ranks.count)
    }

    package func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes {
        try ranks.agree(on: failure)
        return try ranks.allgather(wishes.rawValue).reduce(into: RunWishes()) { $0.formUnion(RunWishes(rawValue: $1)) }
    }

    package func buckets(_ storages: [Storage]) -> [ExchangeBucket] {
        storages.flatMap { storage in
            stride(from: 0, to: storage.count, by: shardLimit * processes).map { start in
                ExchangeBucket(storage: storage, range: start..<min(start + shardLimit * processes, storage.count))
            }.reversed()
        }
    }

    package func sum(_ buckets: [ExchangeBucket], ready marks: [DeviceEvent?], in memory: DeviceMemory) throws {
        do { try exchange(buckets, ready: marks, in: memory) } catch { throw BrokenExchange(description: "\(error)") }
    }

    private func exchange(_ buckets: [ExchangeBucket], ready marks: [DeviceEvent?], in memory: DeviceMemory) throws {
        let transfers = try transfers(memory, largest: buckets.map(\.range.count).max() ?? 0)
        let stream = transfers.stream
        let end = try memory.mark()
        var (arriving, leaving): ([DeviceEvent?], [DeviceEvent?]) = ([nil, nil], [nil, nil])
        func fetch(_ index: Int) throws {
            guard index < buckets.count else { return }
            try leaving[index % 2]?.wait()
            let bucket = buckets[index]
            arriving[index % 2] = try stream.receive(
                bucket.range, of: bucket.storage, into: transfers.rooms[index % 2], at: 0, after: marks[index] ?? end)
        }
        try fetch(0)
        for (index, bucket) in buckets.enumerated() {
            try fetch(index + 1)
            try arriving[index % 2]?.wait()
            let room = transfers.rooms[index % 2]
            // What is logged comes behind the gradients, and is not rounded.
            try transfers.messages.sum(
                room.values, count: bucket.range.count, exactly: bucket.storage.name != buckets.first?.storage.name)
            leaving[index % 2] = try stream.send(bucket.range, of: bucket.storage, from: room, at: 0)
            try stream.join([leaving[index % 2]].compactMap { $0 })
        }
    }

    private func transfers(_ memory: DeviceMemory, largest: Int) throws -> Transfers {
        let shard = (largest + processes - 1) / processes
        if let transfers, transfers.memory === memory, transfers.messages.shard >= shard { return transfers }
        let made = Transfers(
            memory: memory, stream: try TransferStream(memory), rooms: (0..<2).map { _ in memory.room(byteCount: shard * processes * MemoryLayout<Float>.stride) },
            messages: RankMessages(ranks, wire: wire, shard: shard))
        transfers = made
        return made
    }
}
