import Checks
import TestSupport
import Testing

/// Every case of every operation against its reference in double precision, in every shape.
@Suite struct OperationTests {
    @Test(arguments: try OperationTest.chosen()) func agreesWithReference(_ test: OperationTest) throws {
        try test.operation.check(test.shape)
    }

    @Test func familiesAreChosenByName() throws {
        func names(_ text: String) throws -> [String] { try FamilyChoice(text).families(of: OperationFamily.all).map(\.name) }
        let all = try names("")
        #expect(all == OperationFamily.all.map(\.name))
        #expect(try names("scale,add") == ["add", "scale"])
        #expect(try names("-scale,-add") == all.filter { $0 != "add" && $0 != "scale" })
        #expect(try names("scale,add,-add") == ["scale"])
        for wrong in ["ad", "add,scael", "-ad", "- add", "--add", "Add"] {
            #expect(throws: FamilyChoice.Wrong.self, "\(wrong)") { try names(wrong) }
        }
    }
}
