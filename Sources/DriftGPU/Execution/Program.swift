/// Graphs that run one after the other, some of them many times, without the host in between: the steps and rounds of a loop.
///
/// What changes from one run to the next lies on the device: a `Counter` that a graph advances at its end, rows of tables
/// that it picks, noise that it numbers. Graphs hand each other tensors through storages; outputs in the workspace are lost
/// when the next graph runs.
public final class Program {
    private var entries: [(executor: Executor, times: Int)] = []

    public init() {}

    /// Runs of graphs that one `run` issues.
    public var runs: Int { entries.reduce(0) { $0 + $1.times } }

    /// Kernel launches and library calls of one `run`.
    public var launches: Int { entries.reduce(0) { $0 + $1.times * $1.executor.schedule.launches } }

    /// Has a run go on with `times` runs of `executor`. Throws where there are less than none, or where it is bound to other
    /// memory than those before it.
    public func append(_ executor: Executor, times: Int = 1) throws {
        guard times >= 0 else { throw GraphError("program: \(times) runs of a graph; give 0 or more") }
        if let first = entries.first?.executor, first.memory !== executor.memory {
            throw GraphError("program: its graphs are bound to different memories; bind all of them to one DeviceMemory")
        }
        entries.append((executor, times))
    }

    /// Issues everything once. Returns before the device is done: whoever reads a result waits for it.
    public func run() throws {
        for entry in entries {
            for _ in 0..<entry.times { try entry.executor.run() }
        }
    }
}
