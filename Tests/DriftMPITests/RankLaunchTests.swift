import Foundation
import Synchronization
import Testing

@testable import DriftMPI

@Suite struct RankLaunchTests {
    @Test("launchers are known by their environment")
    func launchers() throws {
        let open = try #require(
            RankLaunch([
                "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1",
            ]))
        #expect(open.launcher == "mpirun of Open MPI" && open.libraries.first == "libmpi.so.40")
        #expect((open.rank, open.count) == (3, 4) && open.localRank == 1 && open.localCount == 2)
        let mpich = try #require(RankLaunch(["PMI_SIZE": "2", "PMI_RANK": "0", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2"]))
        #expect(mpich.launcher == "mpiexec of MPICH" && mpich.count == 2 && mpich.localCount == 2)
        let slurm = try #require(
            RankLaunch(["SLURM_STEP_NUM_TASKS": "12", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x3)"]))
        #expect(slurm.launcher == "srun of SLURM" && (slurm.rank, slurm.count) == (5, 12))
        #expect(slurm.localRank == 1 && slurm.localCount == 4)
    }

    @Test("a batch script and a plain shell have started no job")
    func none() {
        #expect(RankLaunch([:]) == nil)
        #expect(RankLaunch(["SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"]) == nil)
        #expect(RankLaunch(["OMPI_COMM_WORLD_SIZE": "four", "OMPI_COMM_WORLD_RANK": "0"]) == nil)
    }

    @Test("a library that is none is refused in a line")
    func noLibrary() throws {
        let launch = try #require(RankLaunch(["PMI_SIZE": "2", "PMI_RANK": "0"]))
        for file in ["/nowhere/libmpi.so", "libm.so.6"] {
            let error = try #require(throws: MPIError.self) {
                try Communicator(launch, environment: [Communicator.fileVariable: file])
            }
            #expect(error.description.hasPrefix("MPI: DRIFTGPU_MPI=\(file): ") && !error.description.contains("\n"))
        }
    }

    @Test("machines are taken one by one where they have equally many processes, a power of two, in the order of the ranks")
    func machines() {
        func places(_ numbers: [Int], _ counts: [Int]) -> Bool { RankMachines.areRegular(zip(numbers, counts).map { ($0, $1) }) }
        #expect(places([0, 1, 0, 1], [2, 2, 2, 2]) && places([0, 1, 2, 3, 0, 1, 2, 3], [Int](repeating: 4, count: 8)))
        // One machine; one process on each; three on each; other numbers; spread in turns.
        #expect(!places([0, 1], [2, 2]) && !places([0, 0], [1, 1]) && !places([0, 1, 2, 0, 1, 2], [3, 3, 3, 3, 3, 3]))
        #expect(!places([0, 1, 0], [2, 2, 1]) && !places([0, 0, 1, 1], [2, 2, 2, 2]) && !places([], []))
    }

    @Test("a message that takes too long is given up, one that does not is not")
    func watch() throws {
        let given = Atomic<Int>(0)
        let watch = MessageWatch(seconds: 1) { given.store($0, ordering: .relaxed) }
        watch.during { Thread.sleep(forTimeInterval: 0.2) }
        Thread.sleep(forTimeInterval: 2.5)
        #expect(given.load(ordering: .relaxed) == 0)
        watch.during { Thread.sleep(forTimeInterval: 3.5) }
        #expect(given.load(ordering: .relaxed) == 1)
        #expect(try MessageWatch.seconds([:]) == 1800 && MessageWatch.seconds(["DRIFTGPU_MPI_TIMEOUT": "7"]) == 7)
        #expect(throws: MPIError.self) { try MessageWatch.seconds(["DRIFTGPU_MPI_TIMEOUT": "soon"]) }
    }

    @Test("one process alone is a group, and throws its own errors")
    func single() throws {
        let group = SingleRank()
        #expect(try group.allgather([1, 2]) == [1, 2] && group.allgather(text: "ä") == ["ä"] && group.broadcast(7) == 7)
        struct Own: Error {}
        #expect(throws: Own.self) { try group.together { throw Own() } }
    }
}
