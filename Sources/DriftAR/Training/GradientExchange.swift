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
    /// Whether buckets go while the device still computes others.
    var overlaps: Bool { get }

    /// What any of the processes wishes. Every process comes here once a step, with an error where it failed: then all throw.
    func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes
    /// The pieces that storages of float32 are summed in, in the order in which they go: the same in every process.
    func buckets(_ storages: [Storage]) -> [ExchangeBucket]
    /// Makes each bucket the sum of that over all processes, the same bits in every one of them. What sums are divided by is the
    /// update's. `marks`: from where on a bucket's values are there; nil: behind all work issued so far.
    func sum(_ buckets: [ExchangeBucket], ready marks: [DeviceEvent?], in memory: DeviceMemory) throws
}

/// What went wrong in the middle of an exchange. The other processes are in it, and cannot be told: the job has to be ended.
package struct BrokenExchange: Error, CustomStringConvertible {
    package let description: String
}

/// A part of a storage that goes at once.
package struct ExchangeBucket {
    package let storage: Storage
    package let range: Range<Int>
}

/// One process: there is nobody to exchange with.
package final class SingleProcess: GradientExchange {
    package let rank = 0
    package let processes = 1
    package let overlaps = false

    package init() {}

    package func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes {
        if let failure { throw failure }
        return wishes
    }
    package func buckets(_ storages: [Storage]) -> [ExchangeBucket] { [] }
    package func sum(_ buckets: [ExchangeBucket], ready marks: [DeviceEvent?], in memory: DeviceMemory) {}
}
