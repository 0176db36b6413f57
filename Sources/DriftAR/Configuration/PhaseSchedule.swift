/// The weight of the regression and entropy losses (Eq. 9) and the phase (Eq. 10).
public struct PhaseSchedule: Sendable {
    public var alpha0: Double
    /// Time after which the encoder is frozen.
    public var freeze: Double

    /// `freezeFraction` of `total` is phase I.
    public init(alpha0: Double, freezeFraction: Double, total: Double) {
        self.alpha0 = alpha0
        freeze = freezeFraction * total
    }

    /// alpha0 (1 - t / freeze) up to the freeze, then 0; 0 throughout when there is no phase I.
    public func alpha(_ time: Double) -> Double { freeze > 0 && time <= freeze ? alpha0 * (1 - time / freeze) : 0 }

    /// Phase II begins after the freeze, not at it; without a phase I it is always phase II.
    public func isSecondPhase(_ time: Double) -> Bool { freeze <= 0 || time > freeze }
}
