/// Times of repetitions of the same work, in seconds.
public struct Timing: Codable, Sendable, Equatable {
    public let median: Double
    public let minimum: Double
    /// A quarter of the repetitions were faster than this, and a quarter slower than `upperQuartile`.
    public let lowerQuartile: Double
    public let upperQuartile: Double
    public let repetitions: Int

    public init(_ seconds: [Double]) {
        let sorted = seconds.sorted()
        func quantile(_ part: Double) -> Double {
            guard let last = sorted.indices.last else { return 0 }
            let place = part * Double(last)
            let low = Int(place)
            let high = min(low + 1, last)
            return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
        }
        median = quantile(0.5)
        minimum = sorted.first ?? 0
        lowerQuartile = quantile(0.25)
        upperQuartile = quantile(0.75)
        repetitions = sorted.count
    }

    /// Times a body `repetitions` times, or fewer, but no less than three times, once `patience` seconds have passed: a large
    /// model on a small device still gives a figure. The body gives the seconds that count.
    init(repetitions: Int, patience: Double = 20, _ body: () throws -> Double) rethrows {
        var times: [Double] = []
        let start = ContinuousClock.now
        while times.count < repetitions, times.count < 3 || ContinuousClock.now - start < .seconds(patience) {
            times.append(try body())
        }
        self.init(times)
    }

    /// Distance of the quartiles in parts of the median.
    public var spread: Double { median > 0 ? (upperQuartile - lowerQuartile) / median : 0 }
}

/// Runs a body until what the first runs do besides is over: they build kernels, touch memory for the first time and wake the
/// device's threads.
func warmUp(_ body: () throws -> Void) rethrows {
    guard try seconds(body) < 5 else { return }
    let begun = ContinuousClock.now
    repeat { try body() } while ContinuousClock.now - begun < .milliseconds(250)
}

/// Runs a body with numbers from 0 on, `repetitions` times at least and for a tenth of a second each: of what takes
/// milliseconds, the machine's other work is in some and not in others. No more than three times once `patience` seconds have passed.
func measure(repetitions: Int, patience: Double = 60, _ body: (Int) throws -> Void) rethrows {
    let begun = ContinuousClock.now
    var number = 0
    while true {
        let passed = (ContinuousClock.now - begun) / .seconds(1)
        let isEnough = number >= repetitions && passed >= 0.1 * Double(repetitions)
        if isEnough || number >= 3 && passed >= patience { return }
        try body(number)
        number += 1
    }
}

/// Seconds `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
    let (seconds, attoseconds) = try ContinuousClock().measure(body).components
    return Double(seconds) + Double(attoseconds) * 1e-18
}
