import DriftFormats
import Foundation

/// An HTML page in one file: pictures are a part of it, nothing comes from elsewhere.
package struct HTMLPage: Sendable {
    private let title: String
    private var body = ""

    package init(title: String) { self.title = title }

    /// Text as HTML and XML show it; control characters, and the two that XML has no place for, are replaced.
    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.printable.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            case "\u{FFFE}", "\u{FFFF}": out += "?"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    package mutating func header(_ text: String, _ line: String) {
        body += "<header><h1>\(Self.escaped(text))</h1><p>\(Self.escaped(line))</p></header>\n"
    }

    package mutating func section(_ text: String) { body += "<h2>\(Self.escaped(text))</h2>\n" }
    package mutating func paragraph(_ text: String) { body += "<p>\(Self.escaped(text))</p>\n" }
    package mutating func note(_ text: String) { body += "<p class=\"note\">\(Self.escaped(text))</p>\n" }

    /// A table with a line of headings; each row begins with its name.
    package mutating func table(_ headings: [String], _ rows: [[String]]) {
        body += "<div class=\"table\"><table>\n<tr>"
        for heading in headings { body += "<th scope=\"col\">\(Self.escaped(heading))</th>" }
        body += "</tr>\n"
        for row in rows {
            body += "<tr><th scope=\"row\">\(Self.escaped(row.first ?? ""))</th>"
            for value in row.dropFirst() { body += "<td>\(Self.escaped(value))</td>" }
            body += "</tr>\n"
        }
        body += "</table></div>\n"
    }

    /// Figures side by side where there is room.
    package mutating func figures(_ figures: [(figure: NamedFigure, drawing: SVG)]) {
        body += "<div class=\"figures\">\n"
        for (figure, drawing) in figures {
            body += "<figure\(figure.isWide ? " class=\"wide\"" : "")>\n\(drawing.inline)\n"
            body += "<figcaption>\(Self.escaped(figure.caption))</figcaption></figure>\n"
        }
        body += "</div>\n"
    }

    /// PNG files as pictures of the page, side by side where there is room, their pixels as they are.
    package mutating func pictures(_ pictures: [(png: [UInt8], caption: String)]) {
        body += "<div class=\"pictures\">\n"
        for (png, caption) in pictures {
            body += "<figure><img alt=\"\" src=\"data:image/png;base64,\(Data(png).base64EncodedString())\">"
            body += "<figcaption>\(Self.escaped(caption))</figcaption></figure>\n"
        }
        body += "</div>\n"
    }

    /// Links to files beside the page.
    package mutating func files(_ names: [String]) {
        body += "<ul class=\"files\">"
        for name in names { body += "<li><a href=\"\(Self.escaped(name))\">\(Self.escaped(name))</a></li>" }
        body += "</ul>\n"
    }

    package var text: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(Self.escaped(title))</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <main>
        \(body)</main>
        </body>
        </html>

        """
    }

    private static let style = """
        :root { --page: #f4f6f8; --card: #ffffff; --ink: #1b1f24; --muted: #57606a; --line: #dde2e7; --link: #0060a0; }
        @media (prefers-color-scheme: dark) {
          :root { --page: #0d1117; --card: #161b22; --ink: #e6edf3; --muted: #9da7b3; --line: #2a313a; --link: #56b4e9; }
        }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
        main { max-width: 1240px; margin: 0 auto; padding: 40px 24px 72px; }
        header { border-bottom: 1px solid var(--line); padding-bottom: 16px; margin-bottom: 8px; }
        h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; }
        h2 { font-size: 20px; margin: 44px 0 10px; }
        p { max-width: 76ch; margin: 8px 0 14px; overflow-wrap: anywhere; }
        header p, figcaption, th { color: var(--muted); }
        .note { border-left: 3px solid var(--link); padding: 2px 0 2px 14px; }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 20px; margin: 18px 0; }
        .pictures { display: flex; flex-wrap: wrap; gap: 20px; margin: 18px 0; }
        .pictures figure { max-width: 320px; }
        .pictures img { display: block; max-width: 100%; image-rendering: pixelated; }
        .pictures figcaption { padding: 8px 12px 10px; overflow-wrap: anywhere; }
        figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
        figure.wide { grid-column: 1 / -1; overflow-x: auto; }
        figure > svg { display: block; width: 100%; height: auto; }
        figure.wide > svg { max-width: 1000px; margin: 0 auto; }
        figcaption { font-size: 14px; line-height: 1.45; padding: 4px 18px 16px; }
        table { border-collapse: collapse; background: var(--card); border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
        .table { overflow-x: auto; margin: 14px 0; }
        th, td { text-align: right; font-weight: 400; font-size: 15px; padding: 6px 16px; border-top: 1px solid var(--line); }
        th:first-child { text-align: left; }
        .files { columns: 3 220px; padding-left: 20px; font-size: 15px; }
        a { color: var(--link); }
        \(Theme.style)
        """
}
