import Foundation
import Testing

@testable import Checks
@testable import DriftGPU

/// The table of operations is the sources': nothing is left out of the tests without a word.
@Suite struct OperationFamilyTests {
    private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    private static let sources = tests.deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources")

    /// Paths below a folder of the sources.
    private func files(in folder: String) -> [String] {
        let path = Self.sources.appendingPathComponent(folder).path
        return (FileManager.default.enumerator(atPath: path) ?? .init()).compactMap { $0 as? String }
    }

    @Test func everyFileOfCasesIsInTheTable() {
        let files = files(in: "Checks/Operations").filter { $0.hasSuffix("Cases.swift") }.map { $0.dropLast(".swift".count) }
        #expect(files.count > 30)
        #expect(OperationFamily.tables.map { "\($0)" } == files.map(String.init).sorted(), "run Scripts/tables, or make")
    }

    /// Tests, selftest and DRIFTGPU_TEST_FAMILIES know families by their names.
    @Test func namesAreTheirOwn() {
        let names = OperationFamily.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.wholeMatch(of: /[a-z][a-z0-9_]*/) != nil }, "\(names)")
        for family in OperationFamily.all {
            let cases = family.cases.map(\.name)
            #expect(!cases.isEmpty && Set(cases).count == cases.count, "\(family.name): \(cases)")
        }
    }

    /// Operations that write to stored tensors, draw random numbers or only serve others: no case of a family makes them, so
    /// each names the suite that tests it.
    private static let testedElsewhere = [
        "Accumulate": "AccumulateTests", "GradientNorm": "AdamWTests", "AdamWStep": "AdamWTests",
        "MemoryBankAdd": "MemoryBankTests", "MemoryBankDraw": "MemoryBankTests", "Random": "RandomTests",
        "DropoutMask": "DropoutTests", "CounterStep": "CounterTests", "AcceptTokens": "AcceptTokensTests", "Detach": "GradientsTests",
    ]

    /// Every type of operation in the sources is made by a case of a family, or by its gradient.
    @Test func everyOperationHasACase() throws {
        var made: Set<String> = []
        for operation in OperationFamily.all.flatMap(\.cases) {
            made.formUnion(try operation.graph().graph.nodes.map { "\(type(of: $0.operation))" })
        }
        var defined: Set<String> = []
        for path in files(in: "DriftGPU") where path.hasSuffix(".swift") {
            let text = try String(contentsOf: Self.sources.appendingPathComponent("DriftGPU/" + path), encoding: .utf8)
            for match in text.matches(of: /struct (\w+): Operation\b/) { defined.insert(String(match.1)) }
        }
        #expect(defined.count > 50)
        #expect(defined.subtracting(made) == Set(Self.testedElsewhere.keys))
        for (operation, suite) in Self.testedElsewhere {
            let text = try String(contentsOf: Self.tests.appendingPathComponent(suite + ".swift"), encoding: .utf8)
            #expect(text.contains("@Test"), "\(suite) holds no test of \(operation)")
        }
    }
}
