import TestSupport
import Testing

@testable import DriftAR

@Suite struct LabelListTests {
    @Test func parse() throws {
        #expect(try LabelList.parse(nil, classes: 3) == [0, 1, 2])
        #expect(try LabelList.parse("0-2,7", classes: 10) == [0, 1, 2, 7])
        #expect(try LabelList.parse("9", classes: 10) == [9])
        #expect(try LabelList.parse("4-4,1", classes: 10) == [4, 1])
    }

    @Test(arguments: ["", ",", "1,", "a", "-1", "1-", "3-1", "1-2-3", "1.5", "0-99999999999999999999", "nan", " 1"])
    func wrong(_ text: String) throws {
        #expect(errorText { _ = try LabelList.parse(text, classes: 10) }?.hasPrefix("labels \(text):") == true)
    }

    @Test(arguments: ["10", "5-10", "0-9223372036854775807"])
    func beyond(_ text: String) throws {
        #expect(errorText { _ = try LabelList.parse(text, classes: 10) }?.contains("0 to 9") == true)
    }

    @Test func names() throws {
        let names = ["1", "10", "2", "cat", "big, red dog", "3-4"]
        func labels(_ text: String) throws -> [Int] { try LabelList.parse(text, classes: 6, names: names) }
        #expect(try labels("cat") == [3])
        #expect(try labels("0,cat,1-2") == [0, 3, 1, 2])
        #expect(try labels("big, red dog") == [4])
        // Numbers are labels, whatever the classes are called.
        #expect(try labels("1") == [1] && labels("3-4") == [3, 4])
        #expect(try labels("name:1,name:10,name:2") == [0, 1, 2] && labels("name:3-4") == [5])
        #expect(errorText { _ = try labels("2,10") } == "labels 2,10: the model has the classes 0 to 5; the class called 10 is name:10")
        #expect(errorText { _ = try labels("dog") }?.contains("'dog' is no label or range and no class") == true)
        #expect(errorText { _ = try labels("name:7") }?.contains("no class is called '7'") == true)
        #expect(errorText { _ = try LabelList.parse("name:7", classes: 6) }?.contains("the run has kept no names") == true)
    }
}
