import DriftMPI
import Foundation

/// Ranks that are threads of this process. One runs at a time, until it meets the others, so they can share a device.
final class ThreadRanks: @unchecked Sendable {
    struct Left: Error {}
    struct Mismatch: Error {}

    private let turn = NSCondition()
    private let count: Int
    /// Ranks of a machine; nil where all are alike.
    private let perMachine: Int?
    private var deposits: [Int: [UInt8]] = [:]
    private var results: [[UInt8]] = []
    private var meetings = 0
    private var left: Set<Int> = []

    private init(_ count: Int, perMachine: Int?) { (self.count, self.perMachine) = (count, perMachine) }

    private final class Member: RankGroup {
        let rank: Int
        let group: ThreadRanks
        var count: Int { group.count }
        var machines: RankMachines? {
            group.perMachine.map { RankMachines(local: Part(self, { $0 / $1 }, $0), across: Part(self, { $0 % $1 }, $0)) }
        }

        init(_ rank: Int, _ group: ThreadRanks) { (self.rank, self.group) = (rank, group) }

        func allgather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws {
            all.copyBytes(from: try group.meet(rank, Array(mine)).joined())
        }

        func alltoall(_ mine: UnsafeRawBufferPointer, into theirs: UnsafeMutableRawBufferPointer) throws {
            let size = mine.count / count
            theirs.copyBytes(from: try group.meet(rank, Array(mine)).map { $0[(rank * size)..<((rank + 1) * size)] }.joined())
        }

        func broadcast(_ data: UnsafeMutableRawBufferPointer, from root: Int) throws {
            data.copyBytes(from: try group.meet(rank, Array(data))[root])
        }
    }

    /// Those ranks of which `color` says the same. All parts meet at once.
    private final class Part: RankGroup {
        private let member: Member
        private let members: [Int]
        let rank: Int
        var count: Int { members.count }

        init(_ member: Member, _ color: (Int, Int) -> Int, _ perMachine: Int) {
            self.member = member
            members = (0..<member.count).filter { color($0, perMachine) == color(member.rank, perMachine) }
            rank = members.firstIndex(of: member.rank) ?? 0
        }

        private func meet(_ bytes: [UInt8]) throws -> [[UInt8]] {
            let all = try member.group.meet(member.rank, bytes)
            return members.map { all[$0] }
        }

        func allgather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws {
            all.copyBytes(from: try meet(Array(mine)).joined())
        }

        func alltoall(_ mine: UnsafeRawBufferPointer, into theirs: UnsafeMutableRawBufferPointer) throws {
            let size = mine.count / count
            theirs.copyBytes(from: try meet(Array(mine)).map { $0[(rank * size)..<((rank + 1) * size)] }.joined())
        }

        func broadcast(_ data: UnsafeMutableRawBufferPointer, from root: Int) throws {
            data.copyBytes(from: try meet(Array(data))[root])
        }
    }

    /// What every rank has brought, once all have. Throws where they bring different sizes, or one will never come.
    private func meet(_ rank: Int, _ bytes: [UInt8]) throws -> [[UInt8]] {
        deposits[rank] = bytes
        let meeting = meetings
        if deposits.count == count {
            results = (0..<count).map { deposits[$0] ?? [] }
            deposits = [:]
            meetings += 1
            turn.broadcast()
        }
        while meetings == meeting {
            guard left.isEmpty else { throw Left() }
            turn.wait()
        }
        guard Set(results.map(\.count)).count == 1 else { throw Mismatch() }
        return results
    }

    private struct Box<Value>: @unchecked Sendable { var value: Value }

    /// Runs `body` in each of `count` ranks and returns what it returns or throws, in their order.
    static func run<Value>(_ count: Int, perMachine: Int? = nil, _ body: @escaping (any RankGroup) throws -> Value) -> [Result<Value, any Error>] {
        let group = ThreadRanks(count, perMachine: perMachine)
        let ended = DispatchSemaphore(value: 0)
        let storage = UnsafeMutablePointer<Result<Value, any Error>?>.allocate(capacity: count)
        storage.initialize(repeating: nil, count: count)
        defer { storage.deinitialize(count: count).deallocate() }
        let (work, results) = (Box(value: body), Box(value: storage))
        for rank in 0..<count {
            let thread = Thread {
                group.turn.lock()
                results.value[rank] = Result { try work.value(Member(rank, group)) }
                group.left.insert(rank)
                group.turn.broadcast()
                group.turn.unlock()
                ended.signal()
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
        for _ in 0..<count { ended.wait() }
        return (0..<count).compactMap { results.value[$0] }
    }
}
