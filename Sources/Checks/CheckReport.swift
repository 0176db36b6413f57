/// What a check found: every disagreement in words, and how near the worst value came to what is allowed.
public struct CheckReport: Sendable {
    /// One line for each disagreement.
    public private(set) var failures: [String] = []
    /// The largest error as a share of its tolerance; above 1 it is a failure, infinite where there is no number.
    public private(set) var worst = 0.0
    /// How many tensors were compared.
    public private(set) var comparisons = 0
    /// How many cases were left out, as too large for the depth of the check.
    public private(set) var skipped = 0

    public init() {}

    /// Takes up what another check found.
    public mutating func add(_ other: CheckReport) {
        failures += other.failures
        worst = max(worst, other.worst)
        comparisons += other.comparisons
        skipped += other.skipped
    }

    /// Notes that a case was left out.
    public mutating func skip() { skipped += 1 }

    /// Notes a failure.
    public mutating func fail(_ what: String) { failures.append(what) }

    /// Notes a failure unless `condition` holds.
    public mutating func expect(_ condition: Bool, _ what: @autoclosure () -> String) {
        if !condition { fail(what()) }
    }

    /// Compares element by element, |got - want| <= `allowed`, leaving out the elements `skipping`.
    public mutating func compare<Value: BinaryFloatingPoint>(
        _ got: [Value], _ want: [Value], allowed: Value, skipping: Range<Int> = 0..<0, _ what: String
    ) {
        comparisons += 1
        guard got.count == want.count else {
            fail("\(what): \(got.count) values, \(want.count) expected")
            return
        }
        var outside = 0
        var largest: (error: Value, index: Int) = (0, 0)
        for index in got.indices where !skipping.contains(index) {
            let difference = abs(got[index] - want[index])
            let error = difference.isNaN ? Value.infinity : difference
            // Infinity is outside even where the scale of the tolerance is infinite too.
            if !(error <= allowed && error.isFinite) { outside += 1 }
            if error > largest.error { largest = (error, index) }
        }
        if largest.error > 0 { worst = max(worst, largest.error.isFinite ? Double(largest.error / allowed) : .infinity) }
        if outside > 0 {
            fail(
                "\(what): \(outside) of \(got.count) values are off by more than \(allowed); element \(largest.index) is \(got[largest.index]), expected \(want[largest.index])")
        }
    }

    /// Compares integers, which must be equal.
    public mutating func compare(_ got: [Int32], _ want: [Int32], _ what: String) {
        comparisons += 1
        expect(got == want, "\(what): \(got), expected \(want)")
    }
}
