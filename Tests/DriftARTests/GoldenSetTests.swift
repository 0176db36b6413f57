import TestSupport
import Testing

@testable import Checks
@testable import DriftFormats

@Suite struct GoldenSetTests {
    @Test func isReadable() throws { _ = try GoldenSet.current.get() }

    /// No case passes by being overlooked, and a set without a single known one is no set; families without cases are named.
    @Test func everyFamilyIsKnown() throws {
        let set = try GoldenSet.current.get()
        let known = GoldenFamily.all.map(\.prefix)
        let unknown = set.cases.filter { !known.contains($0.family) }.map(\.id)
        #expect(unknown.isEmpty, "cases of families that no check knows")
        let missing = GoldenFamily.all.filter { $0.cases(of: set).isEmpty }
        #expect(missing.count < GoldenFamily.all.count, "the index lists no case of any known family")
        for family in missing { Issue.record("the index lists no case of \(family.name)", severity: .warning) }
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
