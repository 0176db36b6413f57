import Testing
@testable import DriftFormats

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> JSON { try JSON.parse(text.utf8) }

    @Test func values() throws {
        let json = try parse(" {\"a\": [1, -2.5e1, true, null, \"x\\u00e9\\ud83d\\ude00\\n\"], \"b\": {}} \n")
        #expect(json["a"]?.array == [.integer(1), .number(-25), .bool(true), .null, .string("xé😀\n")])
        #expect(json["b"] == .object([]))
        #expect(json["c"] == nil)
        #expect(json["a"]?.array?[1].double == -25)
        #expect(try parse(json.text) == json)
    }

    @Test func writesOneLine() {
        let json = JSON.object([.init("n", .number(.nan)), .init("s", .string("\u{1}\"\n")), .init("d", .number(1e-7))])
        #expect(json.text == #"{"n":null,"s":"\u0001\"\n","d":1e-07}"#)
    }

    @Test(arguments: ["", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", ".5", "+1", "1e", "nul", "\"\\x\"", "\"\\ud800\"",
                      "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"a", "\"\n\"", "1 2", "1e999", "NaN", "{\"a\":1,\"a\":2}", "-"])
    func refuses(_ text: String) {
        #expect(throws: JSON.ParseError.self) { _ = try parse(text) }
    }

    @Test func refusesInvalidUTF8() {
        #expect(throws: JSON.ParseError.self) { _ = try JSON.parse([0x22, 0xFF, 0x22]) }
    }

    @Test func boundsDepth() throws {
        #expect(throws: JSON.ParseError.self) { _ = try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSON.ParseError.self) { _ = try JSON.parse("[[[]]]".utf8, depth: 1) }
        _ = try JSON.parse("[[]]".utf8, depth: 1)
    }

    @Test func largeIntegersBecomeNumbers() throws {
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("9223372036854775808") == .number(9223372036854775808))
    }
}
