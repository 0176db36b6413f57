import DriftAR
import DriftFormats

/// A figure that a GPU is to reach, and what it was.
public struct VisitGoal: Sendable {
    public let name: String
    /// At least, or at most.
    public let bound: Double
    public let isLowerBound: Bool
    /// The worst of the measurements it is about; nil where there is none.
    public let value: Double?

    public var isMet: Bool? { value.map { isLowerBound ? $0 >= bound : $0 <= bound } }

    var json: JSON {
        .object([
            .init("name", .string(name)), .init(isLowerBound ? "at_least" : "at_most", .number(bound)),
            .init("value", value.map { .number($0) } ?? .null), .init("is_met", isMet.map { .bool($0) } ?? .null),
        ])
    }

    /// The model whose figures count.
    static let size = "base"

    /// All of them, for what a visit measured.
    static func all(of visit: Visit) -> [VisitGoal] {
        let comparisons = TorchComparison.all(of: visit).filter { $0.work.size == size }
        func ratio(_ kind: String, _ precision: String) -> Double? {
            comparisons.filter { $0.work.kind == kind && $0.work.precision == precision }.compactMap(\.ratio).min()
        }
        let selftests = visit.stages.filter { $0.name.hasPrefix("selftest") && $0.state != .skipped && $0.state != .running }
        let reports = visit.reports
        let memoryBound = reports.flatMap(\.kernels).filter { $0.size == size }.flatMap(\.cases).filter { $0.limit == .memory }
        let shares = memoryBound.map { (weight: $0.copy.median * Double($0.perStep), time: $0.timing.median * Double($0.perStep)) }
        let time = shares.reduce(0) { $0 + $1.time }
        let outside = reports.flatMap(\.step).filter { $0.size == size && $0.inKernels > 0 }
            .map { max(0, 1 - $0.inKernels / $0.timing.median) }
        return [
            VisitGoal(
                name: "self tests that passed, of those made", bound: 1, isLowerBound: true,
                value: selftests.isEmpty
                    ? nil : Double(selftests.filter { $0.state == .passed }.count) / Double(selftests.count)),
            VisitGoal(
                name: "\(size) step, fp32: PyTorch's time over ours", bound: 1.2, isLowerBound: true, value: ratio("step", "fp32")),
            VisitGoal(
                name: "\(size) step, bf16: PyTorch's time over ours", bound: 0.9, isLowerBound: true, value: ratio("step", "bf16")),
            VisitGoal(
                name: "\(size) sampling: PyTorch's time over ours", bound: 2, isLowerBound: true,
                value: ["fp32", "tf32", "bf16"].compactMap { ratio("sample", $0) }.min()),
            VisitGoal(
                name: "\(size) kernels bound by memory: share of a copy", bound: 0.75, isLowerBound: true,
                value: time > 0 ? shares.reduce(0) { $0 + $1.weight } / time : nil),
            VisitGoal(
                name: "\(size) step: part outside of kernels", bound: 0.1, isLowerBound: false, value: outside.max()),
        ]
    }
}
