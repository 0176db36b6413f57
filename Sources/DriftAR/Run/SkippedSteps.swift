/// How many steps in a row changed nothing because their loss or gradient was not finite.
///
/// A step does not wait for the device, so this is told of some steps only; the number is one that is certain.
struct SkippedSteps {
    /// At least so many of the last steps were skipped.
    private(set) var inARow = 0
    /// Whether any step has counted since the beginning.
    private(set) var hasCounted = false
    private var step: Int
    private var counted: Int

    /// Begins after `step` steps, `counted` of which counted.
    init(step: Int, counted: Int) {
        (self.step, self.counted) = (step, counted)
    }

    /// After `step` steps, `counted` of which counted, the last one if `last` says so.
    mutating func observe(step: Int, counted: Int, last: Bool) {
        if counted != self.counted { hasCounted = true }
        if last {
            inARow = 0
        } else if counted == self.counted {
            inARow += step - self.step
        } else {
            inARow = 1
        }
        (self.step, self.counted) = (step, counted)
    }

    /// Whether the run has diverged, `limit` skipped steps in a row being taken for that; 0: never. At the run's end, where no
    /// more can come, fewer are enough.
    func isDiverged(limit: Int, atEnd: Bool) -> Bool {
        guard limit > 0, inARow > 0 else { return false }
        return inARow >= limit || atEnd && (inARow >= min(limit, 10) || !hasCounted)
    }
}
