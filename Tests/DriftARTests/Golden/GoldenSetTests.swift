import Testing

@testable import DriftAR

@Suite struct GoldenSetTests {
    /// Families that the other suites of this folder compare.
    static let implemented = [
        "entropy", "attn", "cross", "decoder", "draft", "drift", "model", "optim", "sample", "sched", "bank",
    ]
    /// Families of the reference for which the product has no code: these cases are not compared.
    static let absent = ["vae", "spec", "compute_v", "class_loss", "trans"]

    @Test func isReadable() throws { _ = try GoldenSet.current.get() }

    /// No case passes by being overlooked, and a set without a single known one is no set; families without cases are named.
    @Test func everyFamilyIsKnown() throws {
        let cases = try GoldenSet.current.get().cases
        let unknown = cases.filter { !(Self.implemented + Self.absent).contains($0.family) }.map(\.id)
        #expect(unknown.isEmpty, "cases of families that no test knows")
        let missing = Self.implemented.filter { GoldenSet.cases($0).isEmpty }
        #expect(missing.count < Self.implemented.count, "the index lists no case of any known family")
        for family in missing { Issue.record("the index lists no case of \(family)", severity: .warning) }
    }

    @Test func brokenFoldersAreNamed() throws {
        let folder = try TestFolder()
        #expect(errorText { _ = try GoldenSet(folder.file("none")) }?.contains("no such folder") == true)
        #expect(errorText { _ = try GoldenSet(folder.path) }?.contains("no index.json") == true)
        for (text, complaint) in [
            ("{", "no JSON"), (#"{"format": 2}"#, "format 2"), (#"{"format": 1}"#, "lists no cases"),
            (#"{"format": 1, "cases": [{}]}"#, "a case without id"),
            (
                #"{"format": 1, "cases": [{"id": "a", "file": "f", "tensors": [{"key": "a/out/y", "name": "y", "role": "out", "shape": [1], "dtype": "F32"}]}]}"#,
                "has no atol"
            ),
        ] {
            try folder.write(Array(text.utf8), to: "index.json")
            #expect(errorText { _ = try GoldenSet(folder.path) }?.contains(complaint) == true, "\(text)")
        }
    }
}
