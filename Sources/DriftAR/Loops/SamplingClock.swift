/// Where the time of drawing images goes. Phases may be nested: a phase does not count what runs inside it as another.
public final class SamplingClock {
    /// A kind of work.
    public enum Phase: String, CaseIterable, Sendable {
        /// Graphs, their memory and kernels; on some devices the first launches of a kernel compile it, which counts there.
        case prepare
        /// Labels to z and entropy, with what the host does around it.
        case encode
        /// Draft model, verification and rounds of the speculative loop.
        case draft
        /// Random numbers, which the host draws.
        case noise
        /// Noise and z to tokens.
        case decode
        /// Tokens to pixels, with an autoencoder where there is one.
        case render
        /// Results from the device.
        case readBack = "read-back"
        /// Files.
        case write
    }

    private var times: [Phase: Double] = [:]
    /// Seconds of the phases inside the present one.
    private var inner = 0.0

    /// Seconds since some moment.
    private let now: () -> Double

    public init() {
        let start = ContinuousClock.now
        now = {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            return Double(seconds) + Double(attoseconds) * 1e-18
        }
    }

    /// A clock that takes the time from `now`.
    init(now: @escaping () -> Double) { self.now = now }

    /// Seconds a phase has taken.
    public func seconds(_ phase: Phase) -> Double { times[phase] ?? 0 }

    /// Seconds of all phases.
    public var total: Double { times.values.reduce(0, +) }

    /// Seconds of the drawing itself: all phases but `prepare`, which comes once, and `write`, which is the disk's.
    public var drawing: Double { total - seconds(.prepare) - seconds(.write) }

    /// Runs `body` as a part of `phase`.
    public func measure<Result>(_ phase: Phase, _ body: () throws -> Result) rethrows -> Result {
        let outer = inner
        inner = 0
        let start = now()
        defer {
            let elapsed = now() - start
            times[phase, default: 0] += elapsed - inner
            inner = outer + elapsed
        }
        return try body()
    }
}
