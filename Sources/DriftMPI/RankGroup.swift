/// Processes that work on the same job, and this one's place among them. Every process calls the same functions in the same order,
/// from one thread at a time; each returns when all have called it.
public protocol RankGroup: AnyObject, Sendable {
    /// This process's number, from 0.
    var rank: Int { get }
    /// Number of processes.
    var count: Int { get }
    /// The processes grouped by machine, for exchanges that add within a machine first; nil where that does not pay.
    var machines: RankMachines? { get }

    /// The bytes of every process, in the order of their ranks. `all` has `count` times the bytes of `mine`.
    func allgather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws
    /// `mine` has a part for each process, all of one size; `theirs` becomes what each process had for this one.
    func alltoall(_ mine: UnsafeRawBufferPointer, into theirs: UnsafeMutableRawBufferPointer) throws
    /// `data` becomes that of process `root`.
    func broadcast(_ data: UnsafeMutableRawBufferPointer, from root: Int) throws
}

/// A job on several machines with equally many processes each, a power of two. `local` is this machine's processes; `across` is, of every
/// machine, the process with this one's local number. Ranks go machine by machine, so a sum over `local` and then `across` adds in the
/// order of the ranks.
public struct RankMachines: Sendable {
    public let local: any RankGroup
    public let across: any RankGroup

    public init(local: any RankGroup, across: any RankGroup) { (self.local, self.across) = (local, across) }

    /// Whether processes are spread so. `places`: the number of each among those of its machine, and how many that has, in the order of
    /// the ranks.
    public static func areRegular(_ places: [(number: Int, count: Int)]) -> Bool {
        guard let count = places.first?.count, count > 1, count & (count - 1) == 0, places.count > count else { return false }
        return places.enumerated().allSatisfy { $1.count == count && $1.number == $0 % count }
    }
}

extension RankGroup {
    public var machines: RankMachines? { nil }
}

/// This process alone.
public final class SingleRank: RankGroup {
    public let rank = 0
    public let count = 1

    public init() {}

    public func allgather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) { all.copyMemory(from: mine) }
    public func alltoall(_ mine: UnsafeRawBufferPointer, into theirs: UnsafeMutableRawBufferPointer) { theirs.copyMemory(from: mine) }
    public func broadcast(_ data: UnsafeMutableRawBufferPointer, from root: Int) {}
}

/// What one process could not do. All processes throw it, so that they stop together; the one that failed says what was wrong.
public struct RankFailure: Error, CustomStringConvertible {
    /// Who failed.
    public let rank: Int
    public let reason: String

    public init(rank: Int, reason: String) { (self.rank, self.reason) = (rank, reason) }

    public var description: String { "rank \(rank) failed: \(reason)" }
}

extension RankGroup {
    /// Whether this process writes what all have made.
    public var isFirst: Bool { rank == 0 }

    /// The values of all processes, in the order of their ranks.
    public func allgather<T: BitwiseCopyable>(_ mine: T) throws -> [T] { try allgather([mine]) }

    /// The values of all processes, which have equally many, one process after the other.
    public func allgather<T: BitwiseCopyable>(_ mine: [T]) throws -> [T] {
        try [T](unsafeUninitializedCapacity: mine.count * count) { all, written in
            try mine.withUnsafeBytes { try allgather(pieces: $0, into: UnsafeMutableRawBufferPointer(all)) }
            written = mine.count * count
        }
    }

    /// `allgather` in messages that an MPI library can count.
    private func allgather(pieces mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws {
        let longest = 64 << 20
        if mine.count <= longest { return try allgather(mine, into: all) }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: longest * count, alignment: 64)
        defer { room.deallocate() }
        for start in stride(from: 0, to: mine.count, by: longest) {
            let piece = UnsafeRawBufferPointer(rebasing: mine[start..<min(start + longest, mine.count)])
            try allgather(piece, into: UnsafeMutableRawBufferPointer(rebasing: room[..<(piece.count * count)]))
            for rank in 0..<count {
                UnsafeMutableRawBufferPointer(rebasing: all[(rank * mine.count + start)..<(rank * mine.count + start + piece.count)])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: room[(rank * piece.count)..<((rank + 1) * piece.count)]))
            }
        }
    }

    /// The texts of all processes, in the order of their ranks.
    public func allgather(text: String) throws -> [String] {
        let bytes = Array(text.utf8)
        let lengths = try allgather(Int32(bytes.count)).map(Int.init)
        guard let longest = lengths.max(), longest > 0 else { return lengths.map { _ in "" } }
        let all = try allgather(bytes + [UInt8](repeating: 0, count: longest - bytes.count))
        return lengths.enumerated().map { String(decoding: all[($0 * longest)..<($0 * longest + $1)], as: UTF8.self) }
    }

    /// The value of process `root`.
    public func broadcast<T: BitwiseCopyable>(_ value: T, from root: Int = 0) throws -> T {
        var value = value
        try withUnsafeMutableBytes(of: &value) { try broadcast($0, from: root) }
        return value
    }

    /// Runs `body` in every process and returns when all have. Where it throws in one of them, all throw as `agree` says.
    ///
    /// A process that fails says so at the next of these meetings. So no process may come to another collective before it, while
    /// one of them may have failed since the last.
    @discardableResult
    public func together<Result>(_ body: () throws -> Result) throws -> Result {
        let result: Result
        do {
            result = try body()
        } catch let failure as RankFailure where count > 1 {
            // All have been told.
            throw failure
        } catch {
            try agree(on: error)
            throw error
        }
        try agree(on: nil)
        return result
    }

    /// Tells the others whether this process failed. Where one did, all throw a `RankFailure` that names the first; a process alone
    /// throws its own error.
    public func agree(on failure: (any Error)?) throws {
        if count > 1 {
            let states = try allgather(UInt8(failure == nil ? 0 : 1))
            guard let first = states.firstIndex(of: 1) else { return }
            throw RankFailure(rank: first, reason: try allgather(text: failure.map { "\($0)" } ?? "")[first])
        }
        if let failure { throw failure }
    }
}
