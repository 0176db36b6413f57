import DriftFormats
import Foundation

/// A drawing as SVG text: what is added is painted in that order. Lengths are in points from the upper left.
///
/// Text is escaped, and a shape with a number that is not finite is left out: the result is well-formed whatever goes in.
/// Colours come from the classes of `Theme.style`, so that one text suits light and dark pages.
package struct SVG: Sendable, Equatable {
    package struct Point: Sendable, Equatable {
        package var x: Double
        package var y: Double

        package init(_ x: Double, _ y: Double) { (self.x, self.y) = (x, y) }
    }

    /// An upright rectangle.
    package struct Rect: Sendable, Equatable {
        package var left: Double
        package var top: Double
        package var right: Double
        package var bottom: Double

        package init(_ left: Double, _ top: Double, _ right: Double, _ bottom: Double) {
            (self.left, self.top, self.right, self.bottom) = (left, top, right, bottom)
        }

        package var width: Double { right - left }
        package var height: Double { bottom - top }
    }

    package enum Anchor: String, Sendable { case start, middle, end }

    package enum Value: Sendable, ExpressibleByStringLiteral, ExpressibleByFloatLiteral {
        case number(Double)
        case text(String)

        package init(stringLiteral value: String) { self = .text(value) }
        package init(floatLiteral value: Double) { self = .number(value) }
    }

    package typealias Attributes = KeyValuePairs<String, Value>

    package let width: Double
    package let height: Double
    /// What a screen reader says of it.
    package let label: String
    private var body = ""

    package init(width: Double, height: Double, label: String) {
        (self.width, self.height, self.label) = (width, height, label)
        element("rect", ["class": "paper", "width": .number(width), "height": .number(height)])
    }

    // MARK: Text of the whole

    /// A part of an HTML page whose style has `Theme.style`.
    var inline: String { "<svg \(root)>\n\(body)</svg>" }

    /// A file of its own.
    package var document: String {
        "<svg xmlns=\"http://www.w3.org/2000/svg\" \(root)>\n<style>\(Theme.style)</style>\n\(body)</svg>\n"
    }

    private var root: String {
        let (width, height) = (Self.text(of: width) ?? "1", Self.text(of: height) ?? "1")
        return "class=\"plot\" role=\"img\" aria-label=\"\(HTMLPage.escaped(label))\" viewBox=\"0 0 \(width) \(height)\""
            + " width=\"\(width)\" height=\"\(height)\""
    }

    /// With at most two digits after the point; nil for what is not finite. Nothing that is seen lies beyond the limit, and
    /// renderers compute in single precision.
    private static func text(of value: Double) -> String? {
        guard value.isFinite else { return nil }
        var text = NumberText.fixed(min(max(value, -limit), limit), 2)
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text.isEmpty ? "0" : text
    }

    private static let limit = 1e5

    // MARK: Shapes

    /// An element; with a `title`, which is shown where the pointer rests on it.
    package mutating func element(_ name: String, _ attributes: Attributes, title: String? = nil) {
        guard let text = Self.text(of: attributes) else { return }
        body += "<\(name)\(text)"
        body += title.map { "><title>\(HTMLPage.escaped($0))</title></\(name)>\n" } ?? "/>\n"
    }

    private static func text(of attributes: Attributes) -> String? {
        var text = ""
        for (name, value) in attributes {
            switch value {
            case .text(let value): text += " \(name)=\"\(HTMLPage.escaped(value))\""
            case .number(let value):
                guard let number = Self.text(of: value) else { return nil }
                text += " \(name)=\"\(number)\""
            }
        }
        return text
    }

    package mutating func text(
        _ text: String, at place: Point, class name: String = "", anchor: Anchor = .start
    ) {
        guard let x = Self.text(of: place.x), let y = Self.text(of: place.y), !text.isEmpty else { return }
        let group = (name.isEmpty ? "" : " class=\"\(name)\"") + (anchor == .start ? "" : " text-anchor=\"\(anchor.rawValue)\"")
        body += "<text x=\"\(x)\" y=\"\(y)\"\(group)>\(HTMLPage.escaped(text))</text>\n"
    }

    package mutating func line(_ a: Point, _ b: Point, class name: String, width: Double = 1) {
        element("line", [
            "class": .text(name), "x1": .number(a.x), "y1": .number(a.y), "x2": .number(b.x), "y2": .number(b.y),
            "stroke-width": .number(width),
        ])
    }

    /// Nothing where it has no area.
    package mutating func fill(_ rect: Rect, class name: String, opacity: Double = 1, title: String? = nil) {
        guard rect.width > 0, rect.height > 0 else { return }
        element("rect", [
            "class": .text(name), "x": .number(rect.left), "y": .number(rect.top), "width": .number(rect.width),
            "height": .number(rect.height), "fill-opacity": .number(opacity),
        ], title: title)
    }

    mutating func disc(_ center: Point, radius: Double, class name: String, title: String? = nil) {
        element("circle", ["class": .text(name), "cx": .number(center.x), "cy": .number(center.y), "r": .number(radius)], title: title)
    }

    /// Lines through the points of each run, as one shape. Points that are not finite are passed over.
    mutating func stroke(_ runs: [[Point]], class name: String, width: Double) {
        let path = runs.map { Self.path($0) }.joined()
        guard !path.isEmpty else { return }
        element("path", ["class": .text(name), "stroke-width": .number(width), "d": .text(path)])
    }

    /// The area that the points enclose.
    package mutating func fill(_ corners: [Point], class name: String, opacity: Double) {
        let path = Self.path(corners)
        guard !path.isEmpty else { return }
        element("path", ["class": .text(name), "fill-opacity": .number(opacity), "d": .text(path + "Z")])
    }

    private static func path(_ points: [Point]) -> String {
        var path = ""
        for point in points {
            guard let x = text(of: point.x), let y = text(of: point.y) else { continue }
            path += (path.isEmpty ? "M" : "L") + x + " " + y
        }
        return path
    }

    /// A picture in `rect`, each of its pixels as a block where it is enlarged.
    package mutating func draw(_ picture: Picture, in rect: Rect, opacity: Double = 1) throws {
        guard rect.width > 0, rect.height > 0 else { return }
        // A viewer that smooths what it enlarges has little left to enlarge.
        let factor = max(1, min(64, Int((2 * rect.width / Double(picture.width)).rounded(.up))))
        let enlarged = try Picture(
            grid: picture.image, shape: [1, picture.channels, picture.height, picture.width], scale: factor, margin: 0)
        let data = Data(try PNG.encode(enlarged)).base64EncodedString()
        element("image", [
            "x": .number(rect.left), "y": .number(rect.top), "width": .number(rect.width), "height": .number(rect.height),
            "opacity": .number(opacity), "preserveAspectRatio": "none", "href": .text("data:image/png;base64," + data),
        ])
    }

    /// Adds what `draw` draws, as a group with a class.
    package mutating func group(class name: String, opacity: Double = 1, _ draw: (inout SVG) throws -> Void) rethrows {
        body += "<g class=\"\(name)\"" + (opacity < 1 ? " fill-opacity=\"\(Self.text(of: opacity) ?? "1")\"" : "") + ">\n"
        try draw(&self)
        body += "</g>\n"
    }

    /// Adds what `draw` draws; what lies outside of `rect` is not shown.
    mutating func clipped(to rect: Rect, _ draw: (inout SVG) throws -> Void) rethrows {
        let sides = [rect.left, rect.top, rect.width, rect.height].map { Self.text(of: $0) ?? "0" }
        // An inner drawing clips without a name, which would have to be unique on the page.
        body += "<svg x=\"\(sides[0])\" y=\"\(sides[1])\" width=\"\(sides[2])\" height=\"\(sides[3])\""
            + " viewBox=\"\(sides.joined(separator: " "))\" overflow=\"hidden\">\n"
        try draw(&self)
        body += "</svg>\n"
    }

    // MARK: Measures

    /// About how wide a text is in a font without serifs; the reader's font decides.
    package static func width(_ text: String, size: Double) -> Double {
        text.unicodeScalars.reduce(0) { sum, scalar in
            let share: Double
            switch scalar {
            case "i", "j", "l", "I", ".", ",", ":", ";", "'", "|", "!": share = 0.27
            case "f", "t", "r", " ", "(", ")", "[", "]", "/", "-": share = 0.34
            case "m", "w", "M", "W", "%": share = 0.86
            case "A"..."Z", "‖", "≥", "≤", "±", "×", "−", "+", "=", "<", ">": share = 0.67
            default: share = scalar.value > 0x2E7F ? 1 : 0.56
            }
            return sum + share
        } * size
    }
}
