/// Searches parameters of CLBlast's GEMM kernels for one device and a model's products. Only parameter sets under which every
/// product comes out right can win.
public final class Tuner {
    /// A size, how often it occurs, and the milliseconds it takes with CLBlast's own parameters and with those found.
    public struct Row: Sendable {
        public let shape: GEMMShape
        public let count: Int
        public let before: Double
        public let after: Double
    }

    /// What came out; `tuning` is nil when nothing is at least 2% faster over all products.
    public struct Result: Sendable {
        public let rows: [Row]
        public let tuning: Tuning?
        /// How many parameter sets were tried, and how many of them failed or gave wrong products.
        public let tried: Int
        public let rejected: Int
    }

    private let device: Device
    private let bench: TuningBench
    private let counts: [Int]
    private var tried = 0
    private var rejected = 0
    private let report: (String) -> Void

    /// Prepares the products. The device must multiply with CLBlast. `report` receives a line now and then.
    public init(_ device: Device, shapes: [GEMMShape: Int], report: @escaping (String) -> Void) throws {
        guard device.gemm is CLBlastGEMM else { throw DeviceError("\(device.about.name) does not multiply with CLBlast") }
        self.device = device
        self.report = report
        // The most expensive first: a slow parameter set is given up early.
        let sorted = shapes.sorted { left, right in
            let (a, b) = (left.key.flops * Double(left.value), right.key.flops * Double(right.value))
            return (b, left.key.description) < (a, right.key.description)
        }
        counts = sorted.map(\.value)
        bench = try TuningBench(sorted.map(\.key), device: device)
    }

    /// Searches for `seconds`, which the last parameter set may exceed. CLBlast's parameters are whatever came last
    /// afterwards: open the device in a new process.
    public func run(seconds: Double) throws -> Result {
        let clock = ContinuousClock()
        let start = clock.now
        let before: [Double]
        switch bench.measure(counts) {
        case .times(let found): before = found
        case .wrong(let reason): throw DeviceError("\(device.about.name): CLBlast's own parameters do not work: \(reason); use --gemm native")
        case .slow: throw DeviceError("\(device.about.name): there was no time to measure CLBlast's own parameters; give it more seconds")
        }
        report("CLBlast's own parameters: \(milliseconds(total(before)))")
        var kernels: [String: [String: Int]] = [:]
        var best: [CLBlastKernel: [Double]] = [:]
        for (kernel, share) in [(CLBlastKernel.direct, 0.5), (.indirect, 1)] {
            // All products the one way, then all the other way: which way is better for which follows below.
            let threshold = kernel == .direct ? 1 << 20 : 1
            try CLBlastKernel.selection.override(["XGEMM_MIN_INDIRECT_SIZE": threshold], on: device.about)
            let measured = bench.measure(counts)
            guard case .times(let times) = measured else {
                if case .wrong(let reason) = measured { report("\(kernel.rawValue) left out: \(reason)") }
                continue
            }
            report("\(kernel.rawValue) for all, CLBlast's own: \(milliseconds(total(times)))")
            let found = search(kernel, from: times) { clock.now - start < .seconds(seconds * share) }
            best[kernel] = found?.times ?? times
            kernels[kernel.rawValue] = found?.parameters
        }
        let (after, threshold) = choose(best, otherwise: before)
        if let threshold { kernels[CLBlastKernel.selection.rawValue] = ["XGEMM_MIN_INDIRECT_SIZE": threshold] }
        let isFaster = total(after) < 0.98 * total(before)
        let rows = bench.shapes.indices.map {
            Row(shape: bench.shapes[$0], count: counts[$0], before: before[$0], after: isFaster ? after[$0] : before[$0])
        }
        return Result(
            rows: rows, tuning: isFaster ? Tuning(device.about, kernels: kernels) : nil, tried: tried, rejected: rejected)
    }

    private func total(_ times: [Double]) -> Double { zip(times, counts).reduce(0) { $0 + $1.0 * Double($1.1) } }

    private func milliseconds(_ value: Double) -> String { "\((value * 1000).rounded() / 1000) ms for all products" }

    /// Tries parameter sets while `hasTime`. Returns what beats `times`.
    private func search(
        _ kernel: CLBlastKernel, from times: [Double], while hasTime: () -> Bool
    ) -> (parameters: [String: Int], times: [Double])? {
        var best: (parameters: [String: Int], times: [Double])?
        var limit = total(times)
        var search = ParameterSearch(
            kernel, workGroup: device.about.maxWorkGroupSize, localMemory: device.about.localMemory)
        while hasTime(), let parameters = search.next(best: best?.parameters) {
            guard let times = judge(kernel, parameters, limit: limit, while: hasTime), total(times) < limit else { continue }
            limit = total(times)
            best = (parameters, times)
            let text = parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            report("\(kernel.rawValue) \(tried): \(milliseconds(limit)) with \(text)")
        }
        return best
    }

    /// The slower of two measurements, since a lucky one does not come twice; nil when the parameters are of no use.
    private func judge(
        _ kernel: CLBlastKernel, _ parameters: [String: Int], limit: Double, while hasTime: () -> Bool
    ) -> [Double]? {
        tried += 1
        guard (try? kernel.override(parameters, on: device.about)) != nil else {
            rejected += 1
            return nil
        }
        var times = [Double](repeating: 0, count: counts.count)
        for _ in 0..<2 {
            switch bench.measure(counts, limit: limit, while: hasTime) {
            case .times(let found): times = zip(times, found).map { max($0, $1) }
            case .slow: return nil
            case .wrong:
                rejected += 1
                return nil
            }
        }
        return times
    }

    /// The threshold between the two ways that makes the sum least, and the times that follow.
    private func choose(_ best: [CLBlastKernel: [Double]], otherwise before: [Double]) -> (times: [Double], threshold: Int?) {
        guard let direct = best[.direct], let indirect = best[.indirect] else { return (before, nil) }
        let sizes = bench.shapes.map { Double($0.m) * Double($0.n) * Double($0.k) }
        var chosen: (times: [Double], threshold: Int?) = (before, nil)
        for threshold in [1] + sizes.map({ Int($0.cubeRoot) + 1 }) {
            let cube = Double(threshold) * Double(threshold) * Double(threshold)
            let times = sizes.indices.map { sizes[$0] < cube ? direct[$0] : indirect[$0] }
            if total(times) < total(chosen.times) { chosen = (times, threshold) }
        }
        return chosen
    }
}

extension Double {
    fileprivate var cubeRoot: Double {
        var root = Swift.max(1, squareRoot())
        // Newton's steps; the start is above the root.
        for _ in 0..<64 { root = (2 * root + self / (root * root)) / 3 }
        return root
    }
}
