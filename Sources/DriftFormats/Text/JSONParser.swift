/// Recursive descent over the bytes of a JSON text (RFC 8259), with bounded depth.
struct JSONParser {
    let bytes: [UInt8]
    private let takesRepeatedKeys: Bool
    private var i = 0

    init(bytes: [UInt8], takesRepeatedKeys: Bool = false) {
        self.bytes = bytes
        self.takesRepeatedKeys = takesRepeatedKeys
    }

    mutating func document(depth: Int) throws(JSON.ParseError) -> JSON {
        let result = try value(depth: depth)
        skipSpace()
        if i < bytes.count { throw wrong("text after the end of the value") }
        return result
    }

    private func wrong(_ what: String) -> JSON.ParseError {
        JSON.ParseError(what: what, offset: i)
    }

    private var current: UInt8? { i < bytes.count ? bytes[i] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { i += 1 }
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(JSON.ParseError) {
        guard current == UInt8(ascii: character) else { throw wrong("expected '\(character)'") }
        i += 1
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard current == UInt8(ascii: character) else { return false }
        i += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSON.ParseError) -> JSON {
        if depth < 0 { throw wrong("nested too deeply") }
        skipSpace()
        guard let byte = current else { throw wrong("unexpected end") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSON) throws(JSON.ParseError) -> JSON {
        let count = text.utf8CodeUnitCount
        guard i + count <= bytes.count,
              (0..<count).allSatisfy({ bytes[i + $0] == (text.utf8Start + $0).pointee })
        else { throw wrong("unknown word") }
        i += count
        return value
    }

    private mutating func object(depth: Int) throws(JSON.ParseError) -> JSON {
        try expect("{")
        var members: [JSON.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            let key = try string()
            guard takesRepeatedKeys || keys.insert(key).inserted else { throw wrong("repeated key \"\(key)\"") }
            skipSpace()
            try expect(":")
            members.append(JSON.Member(key, try value(depth: depth - 1)))
            skipSpace()
            if take("}") { return .object(members) }
            try expect(",")
        }
    }

    private mutating func array(depth: Int) throws(JSON.ParseError) -> JSON {
        try expect("[")
        var values: [JSON] = []
        skipSpace()
        if take("]") { return .array(values) }
        while true {
            values.append(try value(depth: depth - 1))
            skipSpace()
            if take("]") { return .array(values) }
            try expect(",")
        }
    }

    private mutating func string() throws(JSON.ParseError) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while let byte = current {
            i += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else { throw wrong("invalid UTF-8") }
                return result
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw wrong("control character in a string")
            default: text.append(byte)
            }
        }
        throw wrong("unterminated string")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSON.ParseError) {
        guard let byte = current else { throw wrong("unterminated string") }
        i += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hex4()
            if (0xD800..<0xDC00).contains(code) {
                try expect("\\")
                try expect("u")
                let low = try hex4()
                guard (0xDC00..<0xE000).contains(low) else { throw wrong("half a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw wrong("half a surrogate pair") }
            text.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw wrong("unknown escape")
        }
    }

    private mutating func hex4() throws(JSON.ParseError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw wrong("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            i += 1
        }
        return code
    }

    private mutating func digits() throws(JSON.ParseError) {
        let start = i
        while let byte = current, (0x30...0x39).contains(byte) { i += 1 }
        if i == start { throw wrong("expected a value") }
    }

    private mutating func number() throws(JSON.ParseError) -> JSON {
        let start = i
        _ = take("-")
        let first = i
        try digits()
        if i - first > 1, bytes[first] == 0x30 { throw wrong("number with a leading zero") }
        var whole = true
        if take(".") {
            whole = false
            try digits()
        }
        if take("e") || take("E") {
            whole = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<i], as: UTF8.self)
        if whole, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw wrong("number out of range") }
        return .number(value)
    }
}
