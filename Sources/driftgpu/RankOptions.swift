import ArgumentParser
import DriftAR
import DriftFormats
import DriftGPU
import DriftMPI
import Foundation
import Synchronization

/// The processes that share a command's work.
struct RankOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Processes that share the work on this machine, a device each: starts them with mpirun. 1: this process alone, whatever has started it. Default: those that mpirun or srun has started.", valueName: "n"))
    var ranks: Int?
    @Flag(help: "Let several processes share a GPU.") var shareDevice = false

    func validate() throws {
        if let ranks, !(1...100_000).contains(ranks) { throw ValidationError("--ranks \(ranks): take 1 to 100000") }
    }

    /// The device of this process among those of a job; nil for the one that `choice` names.
    func device(_ choice: String?, _ ranks: any RankGroup) throws -> DeviceDescription? {
        try (ranks as? Communicator).map { try RankDevice.choose(choice, $0, sharing: shareDevice) }
    }

    /// Whether `start` starts the other processes and waits for them: it then takes the signals by itself.
    var startsOthers: Bool {
        ranks ?? 1 > 1 && !(RankLaunch(ProcessInfo.processInfo.environment).map { $0.count > 1 } ?? false)
    }

    /// The job that this process belongs to. Does not return where it has to start the others: it then waits for them. `folder`: where a
    /// file asks them to stop; nil where signals end them.
    func start(folder: String?) throws -> any RankGroup {
        let environment = ProcessInfo.processInfo.environment
        guard ranks != 1 else { return SingleRank() }
        guard let launch = RankLaunch(environment), launch.count > 1 else {
            if let ranks { try RankLauncher(ranks, folder: folder).run() }
            return SingleRank()
        }
        if let ranks, ranks != launch.count {
            throw ValidationError("--ranks \(ranks): \(launch.launcher) has started \(launch.count) processes already; leave --ranks out")
        }
        RankDevice.shareCores(launch)
        let communicator = try Communicator(launch, environment: environment)
        Job.begin(communicator)
        return communicator
    }
}

/// The MPI job of this process, for its end.
enum Job {
    private static let current = Mutex<Communicator?>(nil)

    static func begin(_ communicator: Communicator) { current.withLock { $0 = communicator } }

    /// What has started this process; nil where it works alone.
    private static let launch: RankLaunch? = {
        let arguments = CommandLine.arguments
        let isAlone = arguments.contains("--ranks=1") || zip(arguments, arguments.dropFirst()).contains { $0 == ("--ranks", "1") }
        return isAlone ? nil : RankLaunch(ProcessInfo.processInfo.environment)
    }()

    /// Whether this is the first process of its job, or works alone.
    static let isFirst = launch?.isFirst ?? true

    /// Whether this process says what it and the others see alike, before they can talk to each other: the first of them, and the
    /// first on each other machine, where something may be missing.
    static let speaks = launch.map { $0.isFirst || $0.localRank == 0 } ?? true

    /// This process's number; nil where it works alone.
    static var rank: Int? { current.withLock { $0?.rank } }

    /// Waits for the other processes, which end too.
    static func finish() {
        guard let communicator = take() else { return }
        try? communicator.finish()
    }

    /// Ends the other processes, which know of nothing.
    static func abort(_ code: ExitCode) {
        guard let communicator = take() else { return }
        communicator.abort(code.rawValue)
    }

    private static func take() -> Communicator? {
        current.withLock { current in
            defer { current = nil }
            return current
        }
    }
}
