import DriftGPU

/// The steps from noise to data along a flow.
///
/// `sde`, Euler-Maruyama: where time is 0 at noise and 1 at data, from x with velocity v at time t over dt, x += ((1 + t) v - x) dt + sqrt(2 (1 - t)
/// dt) noise; where it is 1 at noise and falls, x += ((2 - t) v + x) dt + sqrt(2 t |dt|) noise. `ode`, Adams-Bashforth: x += ((1 + r / 2) v - r / 2
/// u) dt, u being the velocity of the step before and r = dt over that of the step before; the first step is Euler's.
public struct FlowSchedule: Sendable, Hashable {
    /// How the steps of `sde` end.
    public enum Ending: String, Codable, Sendable, CaseIterable {
        /// Equal steps up to 0.96, then 0.04 along the velocity without noise (NextStep-1 of August 2025).
        case quiet
        /// Equal steps up to 1, noise in each.
        case whole
    }

    /// The time of each evaluation of the network.
    package let times: [Double]
    package let numbers: [FlowStepNumbers]

    private static let lastStep = 0.04

    /// `steps` evaluations; `shift` above 1 gives more of them to the noisy end: t becomes t / (shift - (shift - 1) t).
    package init(_ ending: Ending, steps: Int, shift: Double, sampler: FlowSampler = .sde) {
        let count = max(steps, 2)
        guard sampler == .sde else {
            let shifted = (0...count).map { step -> Double in
                let t = Double(step) / Double(count)
                return t / (shift - (shift - 1) * t)
            }
            (times, numbers) = (shifted.dropLast(), Self.path(shifted))
            return
        }
        let spacing = ending == .whole ? 1 / Double(count) : (1 - Self.lastStep) / Double(count - 1)
        let times = (0..<count).map { step -> Double in
            let t = Double(step) * spacing
            return t / (shift - (shift - 1) * t)
        }
        self.times = times
        numbers = times.indices.map { step in
            let isLast = step == count - 1
            if isLast, ending == .quiet { return FlowStepNumbers(x: 1, velocity: Self.lastStep, noise: 0) }
            let (t, dt) = (times[step], (isLast ? 1 : times[step + 1]) - times[step])
            return FlowStepNumbers(x: 1 - dt, velocity: (1 + t) * dt, noise: (2 * (1 - t) * dt).squareRoot())
        }
    }

    /// Steps of falling time, which the network is told in units of 1 / `levels`. `sde`: equal ones from 1 to 0.04, in which what is not noise is
    /// multiplied by `driftScale` and noise by `noiseScale`, then one of 0.04 with neither noise nor factor (TransDiff's scale_0, scale_1).
    /// `ode`: equal ones from 1 to 0.
    package init(fromNoise steps: Int, levels: Int, sampler: FlowSampler = .sde, driftScale: Double = 1, noiseScale: Double = 1) {
        let count = max(steps, 2)
        guard sampler == .sde else {
            let equal = (0...count).map { 1 - Double($0) / Double(count) }
            times = equal.dropLast().map { $0 * Double(levels) }
            numbers = Self.path(equal)
            return
        }
        let dt = (1 - Self.lastStep) / Double(count - 1)
        let falling = (0..<count).map { $0 == count - 1 ? Self.lastStep : 1 - Double($0) * dt }
        times = falling.map { $0 * Double(levels) }
        numbers = falling.enumerated().map { step, t in
            if step == count - 1 { return FlowStepNumbers(x: 1 - t, velocity: -(2 - t) * t, noise: 0) }
            return FlowStepNumbers(
                x: 1 - driftScale * dt, velocity: -driftScale * (2 - t) * dt, noise: noiseScale * (2 * t * dt).squareRoot())
        }
    }

    /// The steps of `ode` from each of the times to the next.
    private static func path(_ times: [Double]) -> [FlowStepNumbers] {
        var before: Double?
        return zip(times, times.dropFirst()).map { from, to in
            let dt = to - from
            let half = before.map { dt / $0 / 2 } ?? 0
            before = dt
            return FlowStepNumbers(x: 1, velocity: (1 + half) * dt, before: -half * dt)
        }
    }
}
