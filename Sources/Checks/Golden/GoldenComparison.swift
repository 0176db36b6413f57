import DriftAR
import DriftGPU

/// Compares results with a case's expectations under the index's rule, |got - want| <= atol for every element, and sees to
/// it that no expectation is left out.
final class GoldenComparison {
    private let golden: GoldenCase
    private var compared: Set<String> = []
    private(set) var report = CheckReport()

    init(_ golden: GoldenCase) { self.golden = golden }

    /// Compares the whole tensor `role`/`name`; nothing happens when the case does not expect it.
    func check(_ role: String, _ name: String, _ got: @autoclosure () throws -> [Float]) throws {
        guard golden.has(role, name) else { return }
        let want = try golden.values(role, name)
        compared.insert(role + "/" + name)
        if let integers = want.ints {
            // They come from the device: what is no whole number is wrong, and must not end the program.
            try report.compare(got().map { Int32(exactly: $0) ?? .min }, integers, role + "/" + name)
        } else {
            let about = try golden.about(role, name)
            try report.compare(
                got(), want.floats ?? [], allowed: about.tolerance, skipping: Self.unstable(role, name, about.shape),
                role + "/" + name)
        }
    }

    /// The same for integers, which are compared exactly.
    func check(_ role: String, _ name: String, integers got: @autoclosure () throws -> [Int32]) throws {
        guard golden.has(role, name) else { return }
        compared.insert(role + "/" + name)
        let want = try golden.values(role, name)
        try report.compare(got(), want.ints ?? [], role + "/" + name)
    }

    /// Compares two results of the product, which differ by rounding alone.
    func checkEqual(_ what: String, _ got: [Float], _ want: [Float]) {
        report.compare(got, want, allowed: want.reduce(0) { max($0, abs($1)) } * 1e-4 + 1e-7, what)
    }

    /// Notes a failure unless `condition` holds.
    func expect(_ condition: Bool, _ what: @autoclosure () -> String) { report.expect(condition, what()) }

    /// The gradient of a key's bias is mathematically zero; AdamW makes steps of the whole learning rate out of its rounding
    /// noise, so these elements mean nothing after an update.
    private static func unstable(_ role: String, _ name: String, _ shape: [Int]) -> Range<Int> {
        guard role != "out", role != "grad" else { return 0..<0 }
        let count = shape.reduce(1, *)
        if name.hasSuffix("qkv.bias") { return (count / 3)..<(count / 3 * 2) }
        return name.hasSuffix("wk.bias") ? 0..<count : 0..<0
    }

    /// Notes a failure for the expectations that were not compared.
    func expectNothingLeft() {
        let left = golden.tensors.filter { $0.isExpectation && !compared.contains($0.role + "/" + $0.name) }
        report.expect(
            left.isEmpty, "nothing computes \(left.map { $0.role + "/" + $0.name }.joined(separator: ", "))")
    }
}
