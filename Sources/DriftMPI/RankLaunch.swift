/// What the program that started this process says of the job: how many processes it has started, and which of them this is. Known
/// from the environment, before any MPI library is loaded.
public struct RankLaunch: Sendable, Equatable {
    /// What started it, for messages: `mpirun of Open MPI`.
    public let launcher: String
    public let rank: Int
    public let count: Int
    /// This process's number among those of its machine; nil where the launcher does not say.
    public let localRank: Int?
    /// How many processes the machine has.
    public let localCount: Int?
    /// MPI libraries that go with the launcher, the likeliest first.
    public let libraries: [String]
    /// True: its processes need Open MPI. False: they need another MPI. Nil: either will do.
    let isOpenMPI: Bool?

    /// Whether this is the process that prints what all of them would print.
    public var isFirst: Bool { rank == 0 }

    private static let openMPI = ["libmpi.so.40", "libmpi_abi.so.1"]
    private static let mpich = ["libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1"]

    /// Nil where no launcher did.
    public init?(_ environment: [String: String]) {
        func number(_ names: String...) -> Int? { names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first }
        if let count = number("OMPI_COMM_WORLD_SIZE"), let rank = number("OMPI_COMM_WORLD_RANK") {
            (launcher, self.rank, self.count, libraries, isOpenMPI) = ("mpirun of Open MPI", rank, count, Self.openMPI, true)
            (localRank, localCount) = (number("OMPI_COMM_WORLD_LOCAL_RANK"), number("OMPI_COMM_WORLD_LOCAL_SIZE"))
        } else if let count = number("SLURM_STEP_NUM_TASKS"), let rank = number("SLURM_PROCID") {
            // Its own variables are in a batch script, too, which is one process: those of a step are not.
            (launcher, self.rank, self.count, libraries, isOpenMPI) = ("srun of SLURM", rank, count, Self.openMPI + Self.mpich, nil)
            // Of the first machine: `4(x3)` are four on each of three.
            let tasks = environment["SLURM_STEP_TASKS_PER_NODE"].flatMap { Int($0.prefix { $0.isNumber }) }
            (localRank, localCount) = (number("SLURM_LOCALID"), tasks)
        } else if let count = number("PMI_SIZE"), let rank = number("PMI_RANK") {
            (launcher, self.rank, self.count, libraries, isOpenMPI) = ("mpiexec of MPICH", rank, count, Self.mpich, false)
            (localRank, localCount) = (
                number("MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK"), number("MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE")
            )
        } else {
            return nil
        }
    }
}
