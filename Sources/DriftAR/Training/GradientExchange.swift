import DriftGPU

/// What happens between the parts of a step and its update where several processes share the work: each sum becomes that over all
/// processes, the same in every one of them. The update divides by the parts of one process; whoever exchanges divides by the
/// number of processes.
package protocol GradientExchange {
    /// Storages of float32 that the parts have written, in the order of `UpdateGraph.exchanged`.
    func sum(_ storages: [Storage], in memory: DeviceMemory) throws
}

/// One process: there is nobody to exchange with.
package struct SingleProcess: GradientExchange {
    package init() {}
    package func sum(_ storages: [Storage], in memory: DeviceMemory) {}
}
