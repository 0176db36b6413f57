/// When a run writes its checkpoints, and when older ones may go.
///
/// A checkpoint that is due waits while steps are skipped. One that was written counts as good when a later step has counted:
/// weights that no step gets on from must not take the place of others.
struct CheckpointTurns {
    /// A checkpoint from which no step has been seen to go on.
    private(set) var unconfirmed: Int?
    private var isSaved: Bool
    private var isDue = false
    private var isLast = false

    /// - Parameter isSaved: the run stands at a checkpoint.
    init(isSaved: Bool) {
        self.isSaved = isSaved
    }

    /// A step was done. `isLast`: the run ends with it.
    mutating func step(isDue: Bool, isLast: Bool) {
        isSaved = false
        self.isDue = self.isDue || isDue || isLast
        self.isLast = isLast
    }

    /// Whether it matters if the step counted.
    var needsCount: Bool { isDue || unconfirmed != nil }

    /// Whether to write a checkpoint after this step. At its end a run leaves one even where its last steps were skipped.
    func isTurn(afterSkipped: Bool) -> Bool { isDue && !isSaved && (isLast || !afterSkipped) }

    /// To be called when a step counted. Returns the checkpoint that this confirms, if one waited: older ones may now be removed.
    mutating func confirm() -> Int? {
        defer { unconfirmed = nil }
        return unconfirmed
    }

    /// A checkpoint was written; `isGood`: its step counted. Returns its step where older ones may be removed at once. That is so for a run's
    /// last checkpoint alone, since no later step can confirm it.
    mutating func saved(_ step: Int, isGood: Bool) -> Int? {
        (isSaved, isDue) = (true, false)
        guard isLast else {
            unconfirmed = step
            return nil
        }
        return isGood ? step : nil
    }
}
