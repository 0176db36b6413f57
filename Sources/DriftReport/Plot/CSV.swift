/// A table as comma-separated values (RFC 4180): a line of names, lines that end in CR LF, quotes where they are needed.
package struct CSV: Sendable {
    package enum Cell: Sendable {
        case text(String)
        case integer(Int)
        /// Nothing is written for nil and for what is not finite.
        case number(Double?)
    }

    package let columns: [String]
    package private(set) var rows: [[Cell]] = []

    package init(_ columns: [String]) { self.columns = columns }

    package mutating func append(_ row: [Cell]) { rows.append(row) }

    package var text: String {
        var text = columns.map(Self.quoted).joined(separator: ",") + "\r\n"
        for row in rows { text += row.map(Self.field).joined(separator: ",") + "\r\n" }
        return text
    }

    private static func field(_ cell: Cell) -> String {
        switch cell {
        case .text(let text): quoted(text)
        case .integer(let number): String(number)
        // The shortest text that reads back as the same number.
        case .number(let number): number.flatMap { $0.isFinite ? "\($0)" : nil } ?? ""
        }
    }

    private static func quoted(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0 == "," || $0 == "\"" || $0 == "\n" || $0 == "\r" }) else { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars { quoted += scalar == "\"" ? "\"\"" : String(scalar) }
        return quoted + "\""
    }
}
