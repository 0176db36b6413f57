import DriftGPU

/// What a process asks for after a step; what one of them asks, all do.
public struct RunWishes: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// To save and stop.
    public static let stop = RunWishes(rawValue: 1)
    /// To save and go on.
    public static let save = RunWishes(rawValue: 2)
}

/// What happens between the parts of a step and its update where several processes share the parts.
package protocol GradientExchange: AnyObject {
    /// This process's number, and how many there are.
    var rank: Int { get }
    var processes: Int { get }

    /// What any of the processes wishes. Every process comes here once a step, with an error where it failed: then all throw.
    func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes
    /// Makes each sum that over all processes, the same bits in every one of them. The storages are of float32; what their sums are
    /// divided by is the update's.
    func sum(_ storages: [Storage], in memory: DeviceMemory) throws
}

/// One process: there is nobody to exchange with.
package final class SingleProcess: GradientExchange {
    package let rank = 0
    package let processes = 1

    package init() {}

    package func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes {
        if let failure { throw failure }
        return wishes
    }
    package func sum(_ storages: [Storage], in memory: DeviceMemory) {}
}
