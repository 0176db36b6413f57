import Foundation
import Testing
import TestSupport

@testable import DriftAR

/// Compares results with a case's expectations under the index's rule, |got - want| <= atol for every element, and sees to
/// it that no expectation is left out.
///
/// DRIFTGPU_GOLDEN_REPORT=1 prints for every case how near its worst element came to the tolerance.
final class GoldenComparison {
    private let golden: GoldenCase
    private let shape: TeamShape?
    private var compared: Set<String> = []
    private var worst: (ratio: Float, key: String) = (0, "-")

    init(_ golden: GoldenCase, _ shape: TeamShape? = nil) {
        self.golden = golden
        self.shape = shape
    }

    private var place: String { shape.map { ", \($0)" } ?? "" }

    /// Compares the whole tensor `role`/`name`; nothing happens when the case does not expect it.
    func check(
        _ role: String, _ name: String, _ got: @autoclosure () throws -> [Float],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        guard golden.has(role, name) else { return }
        let want = try golden.values(role, name)
        compared.insert(role + "/" + name)
        if let integers = want.ints {
            try compareExactly(role, name, got().map { Int32($0) }, integers, sourceLocation)
        } else {
            let about = try golden.about(role, name)
            compare(about, try got(), want.floats ?? [], skipping: Self.unstable(role, name, about.shape), sourceLocation)
        }
    }

    /// The same for integers, which are compared exactly.
    func check(
        _ role: String, _ name: String, integers got: @autoclosure () throws -> [Int32],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        guard golden.has(role, name) else { return }
        compared.insert(role + "/" + name)
        let want = try golden.values(role, name)
        try compareExactly(role, name, got(), want.ints ?? [], sourceLocation)
    }

    /// The gradient of a key's bias is mathematically zero; AdamW makes steps of the whole learning rate out of its rounding
    /// noise, so these elements mean nothing after an update.
    private static func unstable(_ role: String, _ name: String, _ shape: [Int]) -> Range<Int> {
        guard role != "out", role != "grad" else { return 0..<0 }
        let count = shape.reduce(1, *)
        if name.hasSuffix("qkv.bias") { return (count / 3)..<(count / 3 * 2) }
        return name.hasSuffix("wk.bias") ? 0..<count : 0..<0
    }

    private func compareExactly(
        _ role: String, _ name: String, _ got: [Int32], _ want: [Int32], _ sourceLocation: SourceLocation
    ) throws {
        if got != want {
            Issue.record("\(golden.id)/\(role)/\(name)\(place): \(got), expected \(want)", sourceLocation: sourceLocation)
        }
    }

    private func compare(
        _ about: GoldenTensor, _ got: [Float], _ want: [Float], skipping: Range<Int>, _ sourceLocation: SourceLocation
    ) {
        guard got.count == want.count else {
            Issue.record("\(about.key)\(place): \(got.count) values, \(want.count) expected", sourceLocation: sourceLocation)
            return
        }
        var failures = 0
        var largest: (error: Float, index: Int) = (0, 0)
        for index in got.indices where !skipping.contains(index) {
            let error = abs(got[index] - want[index])
            if !(error <= about.tolerance) { failures += 1 }
            if error.isNaN || error > largest.error { largest = (error.isNaN ? .infinity : error, index) }
        }
        let ratio = largest.error == 0 ? 0 : largest.error / about.tolerance
        if ratio > worst.ratio { worst = (ratio, about.role + "/" + about.name) }
        if failures > 0 {
            Issue.record(
                "\(about.key)\(place): \(failures) of \(got.count) outside atol \(about.tolerance); worst element \(largest.index) is \(got[largest.index]), expected \(want[largest.index])",
                sourceLocation: sourceLocation)
        }
    }

    /// Records an issue for every expectation that was not compared.
    func finish(sourceLocation: SourceLocation = #_sourceLocation) {
        let left = golden.tensors.filter { $0.isExpectation && !compared.contains($0.role + "/" + $0.name) }
        if !left.isEmpty {
            Issue.record(
                "\(golden.id)\(place): nothing computes \(left.map { $0.role + "/" + $0.name }.joined(separator: ", "))",
                sourceLocation: sourceLocation)
        }
        if !(ProcessInfo.processInfo.environment["DRIFTGPU_GOLDEN_REPORT"] ?? "").isEmpty {
            print("golden \(golden.id)\(place): \(worst.ratio) of atol at \(worst.key), \(compared.count) tensors")
        }
    }
}
