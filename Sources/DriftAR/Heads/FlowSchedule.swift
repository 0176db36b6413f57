import DriftGPU

/// The steps from noise to data along a flow, Euler-Maruyama. Where time is 0 at noise and 1 at data: from x with velocity v at time t over
/// dt, x += ((1 + t) v - x) dt + sqrt(2 (1 - t) dt) noise. Where it is 1 at noise and falls: x += ((2 - t) v + x) dt + sqrt(2 t |dt|) noise.
public struct FlowSchedule: Sendable, Hashable {
    /// How the steps end.
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
    package init(_ ending: Ending, steps: Int, shift: Double) {
        let count = max(steps, 2)
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

    /// Steps of falling time, which the network is told in units of 1 / `levels`: equal ones from 1 to 0.04, in which what is not noise is
    /// multiplied by `driftScale` and noise by `noiseScale`, then one of 0.04 with neither noise nor factor (TransDiff's scale_0, scale_1).
    package init(fromNoise steps: Int, levels: Int, driftScale: Double = 1, noiseScale: Double = 1) {
        let count = max(steps, 2)
        let dt = (1 - Self.lastStep) / Double(count - 1)
        let falling = (0..<count).map { $0 == count - 1 ? Self.lastStep : 1 - Double($0) * dt }
        times = falling.map { $0 * Double(levels) }
        numbers = falling.enumerated().map { step, t in
            if step == count - 1 { return FlowStepNumbers(x: 1 - t, velocity: -(2 - t) * t, noise: 0) }
            return FlowStepNumbers(
                x: 1 - driftScale * dt, velocity: -driftScale * (2 - t) * dt, noise: noiseScale * (2 * t * dt).squareRoot())
        }
    }
}
