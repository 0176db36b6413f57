import DriftFormats

/// What a process has of a training step's parts. The parts of a step (`run.accumulate`) are numbered from 0; each of the processes
/// that share it takes equally many that follow one another, in the order of their ranks. What a part draws follows from its number
/// alone, so it does not matter who takes it.
package struct StepShare: Sendable, Equatable {
    /// This process among those that share a step.
    package let rank: Int
    package let processes: Int
    /// Parts of this process.
    package let parts: Int

    /// Throws where the processes cannot share the parts equally.
    package init(_ configuration: Configuration, rank: Int = 0, processes: Int = 1) throws {
        let all = configuration.run.accumulate
        guard all.isMultiple(of: processes) else {
            throw ConfigurationError(
                "accumulate \(all): \(processes) processes cannot share the parts of a step equally; take a multiple of \(processes), or another number of processes")
        }
        (self.rank, self.processes, parts) = (rank, processes, all / processes)
    }

    /// N, parts of a step in all.
    var total: Int { parts * processes }

    /// The number, over all steps and processes, of this process's part `turn`, counted over all steps.
    func number(_ turn: Int) -> Int { turn / parts &* total &+ rank &* parts &+ turn % parts }

    /// Whether the gradients' sum has the bits that any other number of processes gives. They are added in pairs, pairs of pairs and so
    /// on (`PartSums`): a process's own sum is one of these where it has one part, two, four ..., or all of them.
    package var sumsAlike: Bool { processes == 1 || parts & (parts - 1) == 0 }
}
