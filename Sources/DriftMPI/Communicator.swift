import CMPI
import Foundation

/// The processes of an MPI job. MPI is found and loaded when the program runs: one program serves every MPI library, and needs none
/// where it runs alone.
public final class Communicator: RankGroup {
    public let rank: Int
    public let count: Int
    /// This process's number among those of its machine.
    public let localRank: Int
    /// How many of the processes its machine has.
    public let localCount: Int
    /// The library, in a line.
    public let library: String
    private let all: Channel
    public let machines: RankMachines?

    /// Environment variable that names the MPI library's file.
    public static let fileVariable = "DRIFTGPU_MPI"

    /// Loads MPI and starts it for the job that `launch` tells of. To be called once. Throws one line where there is no library,
    /// or where MPI sees other processes than the launcher has started: each would train the same run alone.
    public init(_ launch: RankLaunch, environment: [String: String]) throws {
        let chosen = environment[Self.fileVariable].flatMap { $0.isEmpty ? nil : $0 }
        let timeout = try MessageWatch.seconds(environment)
        let file = try Self.load(chosen.map { [$0] } ?? launch.libraries, isChosen: chosen != nil, launch)
        let version = Self.text { cmpi_library_version($0, $1) }
        let library = version.isEmpty ? file : "\(version) (\(file))"
        self.library = library
        // Before it is started: some libraries end the process where they do not know the launcher.
        if let isOpenMPI = launch.isOpenMPI, isOpenMPI != (cmpi_library_abi() == CMPI_OPEN_MPI || version.contains("Open MPI")) {
            throw Self.mismatch(launch, "this process has loaded \(library)")
        }
        var world: cmpi_comm = 0
        var serialized: Int32 = 0
        try Self.check(cmpi_start(&world, &serialized), "start")
        guard serialized != 0 else {
            throw MPIError("MPI: \(library) allows calls from one thread only; use a library built with thread support")
        }
        var (rank, size): (Int32, Int32) = (0, 0)
        try Self.check(cmpi_rank(world, &rank), "rank")
        try Self.check(cmpi_size(world, &size), "size")
        (self.rank, count) = (Int(rank), Int(size))
        let own = self.rank
        let watch = MessageWatch(seconds: timeout) { seconds in
            let text = "error: rank \(own): MPI: nothing came from the others for \(seconds) s; look for a machine that is gone, and go on with --resume (\(MessageWatch.variable) changes the limit)\n"
            FileHandle.standardError.write(Data(text.utf8))
            _exit(1)
        }
        all = Channel(handle: world, rank: own, count: count, watch)
        guard count == launch.count else {
            throw Self.mismatch(launch, "\(library) sees \(count)")
        }
        var shared: cmpi_comm = 0
        try Self.check(cmpi_split_shared(world, &shared), "processes of this machine")
        try Self.check(cmpi_rank(shared, &rank), "rank on this machine")
        try Self.check(cmpi_size(shared, &size), "processes of this machine")
        (localRank, localCount) = (Int(rank), Int(size))
        let places = try all.allgather([Int32(localRank), Int32(localCount)])
        let isRegular = RankMachines.areRegular((0..<count).map { (Int(places[2 * $0]), Int(places[2 * $0 + 1])) })
        var across: cmpi_comm = 0
        try Self.check(cmpi_split(world, Int32(localRank), Int32(self.rank), &across), "processes of other machines")
        machines = isRegular
            ? RankMachines(
                local: Channel(handle: shared, rank: localRank, count: localCount, watch),
                across: Channel(handle: across, rank: own / localCount, count: count / localCount, watch)) : nil
    }

    private static func mismatch(_ launch: RankLaunch, _ what: String) -> MPIError {
        MPIError(
            "MPI: \(launch.launcher) started \(launch.count) processes, but \(what); take the launcher of that library, or name the launcher's library with \(fileVariable)=FILE")
    }

    /// Loads the first library that can be. Returns its file.
    private static func load(_ files: [String], isChosen: Bool, _ launch: RankLaunch) throws -> String {
        var reasons: [String] = []
        for file in files {
            var code: Int32 = 0
            let reason = text { code = cmpi_open(file, $0, $1) }
            if code == 0 { return file }
            reasons.append(reason)
        }
        throw MPIError(
            isChosen
                ? "MPI: \(fileVariable)=\(files[0]): \(reasons[0])"
                : "MPI: \(launch.launcher) started \(launch.count) processes, but no library \(files.joined(separator: " or ")) can be loaded (\(reasons.joined(separator: "; "))); install its MPI (Debian: openmpi-bin or mpich), or name the library with \(fileVariable)=FILE")
    }

    /// A line that a function of C writes.
    private static func text(_ write: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String {
        let bytes = [UInt8](unsafeUninitializedCapacity: 1024) { buffer, count in
            buffer.initialize(repeating: 0)
            buffer.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { write($0, buffer.count) } }
            count = buffer.firstIndex(of: 0) ?? buffer.count
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    fileprivate static func check(_ code: Int32, _ subject: String) throws {
        if code == 0 { return }
        throw MPIError("MPI: \(subject): \(text { cmpi_error_text(code, $0, $1) })")
    }

    /// Messages have fewer bytes than MPI's counts can say.
    fileprivate static func count(_ bytes: Int) throws -> Int32 {
        guard let count = Int32(exactly: bytes) else { throw MPIError("MPI: a message of \(bytes) bytes is too long") }
        return count
    }

    public func allgather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws {
        try self.all.allgather(mine, into: all)
    }

    public func alltoall(_ mine: UnsafeRawBufferPointer, into theirs: UnsafeMutableRawBufferPointer) throws {
        try all.alltoall(mine, into: theirs)
    }

    public func broadcast(_ data: UnsafeMutableRawBufferPointer, from root: Int) throws { try all.broadcast(data, from: root) }

    /// Ends MPI. Every process must call it.
    public func finish() throws { try Self.check(cmpi_finish(), "end") }

    /// Ends all processes of the job at once.
    public func abort(_ code: Int32) -> Never { cmpi_abort(code) }
}

/// Some processes of the job, which MPI calls a communicator.
private final class Channel: RankGroup {
    let rank: Int
    let count: Int
    private let handle: cmpi_comm
    private let watch: MessageWatch

    init(handle: cmpi_comm, rank: Int, count: Int, _ watch: MessageWatch) {
        (self.handle, self.rank, self.count, self.watch) = (handle, rank, count, watch)
    }

    func allgather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws {
        let size = try Communicator.count(mine.count)
        try Communicator.check(
            watch.during { cmpi_allgather(mine.baseAddress, size, all.baseAddress, handle) }, "gathering \(mine.count) bytes")
    }

    func alltoall(_ mine: UnsafeRawBufferPointer, into theirs: UnsafeMutableRawBufferPointer) throws {
        let size = try Communicator.count(mine.count / count)
        try Communicator.check(
            watch.during { cmpi_alltoall(mine.baseAddress, size, theirs.baseAddress, handle) },
            "exchanging \(mine.count) bytes")
    }

    func broadcast(_ data: UnsafeMutableRawBufferPointer, from root: Int) throws {
        let size = try Communicator.count(data.count)
        try Communicator.check(
            watch.during { cmpi_broadcast(data.baseAddress, size, Int32(root), handle) }, "sending \(data.count) bytes")
    }
}
