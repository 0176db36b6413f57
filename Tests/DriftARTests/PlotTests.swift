import Foundation
import Testing

#if canImport(FoundationXML)
import FoundationXML
#endif

@testable import DriftAR
@testable import DriftFormats
@testable import DriftReport

@Suite struct PlotTests {
    @Test("ticks are multiples of 1, 2 or 5 times a power of ten, and say so briefly")
    func linearTicks() {
        #expect(Ticks.linear(0, 1).values == [0, 0.2, 0.4, 0.6000000000000001, 0.8, 1])
        #expect(Ticks.linear(0, 1).labels == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"])
        #expect(Ticks.linear(-3, 7).labels == ["-2", "0", "2", "4", "6"])
        #expect(Ticks.linear(0.9683, 0.9999, count: 4).labels == ["0.97", "0.98", "0.99"])
        #expect(Ticks.linear(1, 2000).labels == ["500", "1000", "1500", "2000"])
        #expect(Ticks.linear(0, 3e6, count: 3).labels == ["0", "1e6", "2e6", "3e6"])
        #expect(Ticks.linear(0, 4e-6, count: 2).labels == ["0", "2e-6", "4e-6"])
        #expect(Ticks.niceStep(0.013) == 0.02 && Ticks.niceStep(2) == 2 && abs(Ticks.niceStep(61) - 100) < 1e-12)
    }

    @Test("ticks hold against ranges that are none")
    func strangeTicks() {
        for (low, high) in [(1.0, 1.0), (2, 1), (.nan, 1), (0, .infinity), (1e300, 1.0000001e300), (-1e308, 1e308)] {
            for ticks in [Ticks.linear(low, high), Ticks.logarithmic(low, high)] {
                #expect(ticks.values.count == ticks.labels.count && ticks.values.count < 1100)
            }
        }
    }

    @Test("powers of ten carry labels on a logarithmic axis, with digits between them where it is short")
    func logarithmicTicks() {
        func labels(_ low: Double, _ high: Double) -> [String] { Ticks.logarithmic(low, high).labels.filter { !$0.isEmpty } }
        #expect(labels(1e-4, 1) == ["1e-4", "0.001", "0.01", "0.1", "1"])
        #expect(labels(0.02, 0.5) == ["0.03", "0.1", "0.3"])
        #expect(labels(1, 10) == ["1", "2", "3", "5", "7", "10"])
        #expect(labels(1e-12, 1e12).count <= 9)
        #expect(labels(5.01, 5.99) == Ticks.linear(5.01, 5.99, count: 5).labels)
    }

    @Test("an axis has a place for the values it shows, and none for the others")
    func scales() {
        let linear = AxisScale(Plot.Axis(""), values: [2, .nan, 4], isTight: true)
        #expect(linear.place(2) == 0 && linear.place(3) == 0.5 && linear.place(4) == 1 && linear.place(.nan).isNaN)
        let logarithmic = AxisScale(Plot.Axis("", isLogarithmic: true), values: [-1, 0, 1, 100], isTight: true)
        #expect(abs(logarithmic.place(10) - 0.5) < 1e-12 && logarithmic.place(0).isNaN)
        let reversed = AxisScale(Plot.Axis("", isReversed: true, range: (0, 1)), values: [])
        #expect(reversed.place(0.25) == 0.75)
        #expect(!AxisScale(Plot.Axis("", isLogarithmic: true), values: [0, -2]).isLogarithmic)
        for values in [[], [0, 0], [5, 5], [.nan]] as [[Double]] {
            for isLogarithmic in [false, true] {
                let scale = AxisScale(Plot.Axis("", isLogarithmic: isLogarithmic), values: values)
                #expect(scale.high > scale.low && scale.low.isFinite && scale.high.isFinite)
            }
        }
    }

    /// What an XML parser finds: elements with their attributes, and the texts. Throws where it is no XML.
    final class Document: NSObject, XMLParserDelegate {
        private(set) var elements: [(name: String, attributes: [String: String])] = []
        /// Without white space around them.
        var texts: [String] { raw.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) } }
        private var raw: [String] = []

        init(_ text: String) throws {
            super.init()
            let parser = XMLParser(data: Data(text.utf8))
            parser.delegate = self
            guard parser.parse() else {
                throw DataError("line \(parser.lineNumber): \(String(describing: parser.parserError))", at: "XML", fix: "mend it")
            }
        }

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            elements.append((name, attributes))
            raw.append("")
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { raw[raw.count - 1] += string }

        func all(_ name: String, class kind: String? = nil) -> [[String: String]] {
            elements.filter { $0.name == name && (kind == nil || $0.attributes["class"] == kind) }.map(\.attributes)
        }

        /// Every number of every attribute that holds some.
        var numbers: [Double?] {
            elements.flatMap { _, attributes in
                ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "d", "viewBox"].flatMap { key in
                    (attributes[key] ?? "").split(whereSeparator: { " MLZ".contains($0) }).map { Double($0) }
                }
            }
        }
    }

    /// The corners of a path's runs.
    private func corners(_ path: String?) -> [[SVG.Point]] {
        (path ?? "").split(separator: "M").map { run in
            run.split(separator: "L").map { pair in
                let parts = pair.split(separator: " ").compactMap { Double($0) }
                return SVG.Point(parts[0], parts[1])
            }
        }
    }

    @Test("a diagram is well-formed XML whatever its values and words are, the same twice, and has no number that is none")
    func strangePlots() throws {
        let points: [[Plot.Point]] = [
            [], [Plot.Point(1, 1)], [Plot.Point(0, .nan), Plot.Point(1, .infinity)],
            [Plot.Point(1, 1e300), Plot.Point(2, -1e300)], (0..<50).map { Plot.Point(Double($0), $0 % 7 == 0 ? .nan : Double($0)) },
        ]
        let words = "語 <b>&amp;\"'\u{1}\u{FFFF}]]>\n"
        for values in points {
            for isLogarithmic in [false, true] {
                var plot = Plot(words, x: Plot.Axis(words), y: Plot.Axis(words, isLogarithmic: isLogarithmic))
                plot.series = [
                    Plot.Series(words, color: 0, .line(values)), Plot.Series("points", color: 1, .points(values, radius: 2, opacity: 0.5)),
                    Plot.Series("band", color: -3, .band(lower: values, upper: values)),
                    Plot.Series("", color: 99, .bars(edges: [0, 1, 2], heights: [0, .nan])),
                    Plot.Series("bars", color: 2, .errorBars(values.map { ($0.x, $0.y, $0.y - 1, .nan) })),
                ]
                plot.rules = [Plot.Rule(value: 1, text: words), Plot.Rule(value: .nan, text: "", direction: .horizontal)]
                let svg = plot.drawing()
                #expect(svg == plot.drawing())
                let document = try Document(svg.document)
                #expect(document.elements[0].attributes["viewBox"] == "0 0 600 370")
                #expect(document.numbers.allSatisfy { $0.map { $0.isFinite && abs($0) <= 1e5 } ?? false })
                #expect(document.texts.contains("語 <b>&amp;\"'??]]>?") && !document.texts.contains { $0.contains("nan") })
                // In a page it needs no name space, and the page's style.
                #expect(!svg.inline.contains("http") && !svg.inline.contains("<style"))
            }
        }
    }

    @Test("lines, points, bars and bands stand where their values are, with a gap where there is none")
    func holdsValues() throws {
        let values = [Plot.Point(0, 3), Plot.Point(1, 0.5), Plot.Point(2, .nan), Plot.Point(3, 2), Plot.Point(4, 7)]
        var plot = Plot("", x: Plot.Axis("x"), y: Plot.Axis("y"))
        plot.series = [
            Plot.Series("", color: 1, .line(values)), Plot.Series("", color: 2, .points(values, radius: 2, opacity: 1)),
            Plot.Series("", color: 3, .bars(edges: [0, 2, 4], heights: [6, 1.5])),
            Plot.Series("", color: 4, .errorBars([(x: 1, y: 4, low: 3, high: 5)])),
            Plot.Series("", color: 5, .band(lower: [Plot.Point(0, 1), Plot.Point(4, 2)], upper: [Plot.Point(0, 2), Plot.Point(4, 5)])),
        ]
        let (xs, ys) = plot.scales()
        let document = try Document(plot.drawing().document)
        let grid = try #require(document.all("svg").dropFirst().first)
        func number(_ attributes: [String: String], _ key: String) -> Double { attributes[key].flatMap(Double.init) ?? .nan }
        // The part that is clipped is the axes', two points higher at both ends.
        let area = SVG.Rect(
            number(grid, "x"), number(grid, "y") + 2, number(grid, "x") + number(grid, "width"),
            number(grid, "y") + number(grid, "height") - 2)
        func value(_ place: SVG.Point) -> (x: Double, y: Double) {
            (
                xs.low + (place.x - area.left) / area.width * (xs.high - xs.low),
                ys.low + (area.bottom - place.y) / area.height * (ys.high - ys.low)
            )
        }
        func agree(_ place: SVG.Point, _ x: Double, _ y: Double) -> Bool { abs(value(place).x - x) < 1e-3 && abs(value(place).y - y) < 1e-3 }

        let line = corners(document.all("path", class: "s1").first?["d"])
        #expect(line.map(\.count) == [2, 2])
        for (place, point) in zip(line.joined(), values.filter(\.y.isFinite)) { #expect(agree(place, point.x, point.y)) }
        let discs = document.all("circle", class: "f2")
        #expect(discs.count == 4)
        for (disc, point) in zip(discs, values.filter(\.y.isFinite)) {
            #expect(agree(SVG.Point(number(disc, "cx"), number(disc, "cy")), point.x, point.y))
        }
        let bars = document.all("rect", class: "f3")
        #expect(bars.count == 2)
        for (bar, height) in zip(bars, [6, 1.5]) {
            #expect(abs(value(SVG.Point(0, number(bar, "y"))).y - height) < 1e-3)
            #expect(abs(number(bar, "y") + number(bar, "height") - area.bottom) < 0.02)
        }
        let whisker = try #require(document.all("line", class: "s4").first)
        #expect(agree(SVG.Point(number(whisker, "x1"), number(whisker, "y1")), 1, 3))
        #expect(agree(SVG.Point(number(whisker, "x2"), number(whisker, "y2")), 1, 5))
        #expect(document.texts.contains("4, from 3 to 5") && document.texts.contains("0 to 2: 6"))
        let band = corners(document.all("path", class: "f5").first?["d"]?.replacing("Z", with: ""))[0]
        for (place, point) in zip(band, [(0.0, 2.0), (4, 5), (4, 2), (0, 1)]) { #expect(agree(place, point.0, point.1)) }
    }

    @Test("a long curve is drawn with fewer points and the same extremes")
    func longCurves() {
        var points = (0..<100_000).map { SVG.Point(Double($0) * 0.005, Double($0 % 10)) }
        (points[31_234].y, points[31_235].y) = (-50, 90)
        let thin = Plot.thinned(points)
        #expect(thin.count <= 4 * 1001 && thin.first == points.first && thin.last == points.last)
        #expect(thin.contains(points[31_234]) && thin.contains(points[31_235]))
        #expect(zip(thin, thin.dropFirst()).allSatisfy { $0.x < $1.x })
        let short = Array(points.prefix(4000))
        #expect(Plot.thinned(short) == short)
    }

    @Test("the style has a colour for each series, light and dark")
    func style() {
        let halves = Theme.style.components(separatedBy: "@media (prefers-color-scheme: dark)")
        #expect(halves.count == 2)
        for (half, theme) in zip(halves, [Theme.light, Theme.dark]) {
            for (index, color) in theme.series.enumerated() {
                #expect(half.contains(".plot .f\(index) { fill: \(color.css); } .plot .s\(index) { stroke: \(color.css); }"))
            }
        }
        #expect(Theme.light.series[0].css == "#0072b2" && Theme.fill(-1) == "f5" && Theme.stroke(7) == "s1")
    }

    @Test("maps of entropies that are no numbers, or are few, are drawn like others")
    func maps() throws {
        let gray = try Picture(width: 4, height: 2, channels: 1, pixels: [0, 50, 100, 150, 200, 250, 1, 2])
        for entropy in [[0, 0.5, 0.9, 1], [0, .nan, .infinity, 1], [.nan], []] as [[Double]] {
            for samples in [[], [gray, gray]] {
                let row = EntropyMaps.Row(name: "<1>", entropy: entropy, samples: samples)
                let document = try Document(EntropyMaps(title: "&", rows: [row, row], columns: 2).drawing().document)
                #expect(document.numbers.allSatisfy { $0?.isFinite ?? false })
                // For each row the map, the map over the first sample, the samples; and the scale of the colours.
                #expect(document.all("image").count == 2 * (samples.isEmpty ? 1 : 5) + 1)
                #expect(document.all("rect", class: "missing").count == 2 * (samples.isEmpty ? 1 : 2))
            }
        }
        // A pixel of the raster is a token, in the colour of its entropy.
        let map = EntropyMaps(title: "", rows: [EntropyMaps.Row(name: "", entropy: [0, 0.5, 0.75, 1], samples: [])], columns: 2)
        let image = try #require(Document(map.drawing().document).all("image").first?["href"])
        let bytes = try #require(Data(base64Encoded: String(image.dropFirst("data:image/png;base64,".count))))
        let picture = try PNG.decode([UInt8](bytes))
        let side = picture.width / 2
        for (token, share) in [(1, 0.0), (2, 0.5), (3, 1)] {
            let place = ((token / 2 * side + 1) * picture.width + token % 2 * side + 1) * 3
            #expect(Array(picture.pixels[place..<(place + 3)]) == ColorMap.color(share).bytes)
        }
    }

    @Test("a round's map shows the picture where tokens are known, and colours where they are hidden")
    func roundMaps() throws {
        let gray = try Picture(width: 4, height: 4, channels: 1, pixels: (0..<16).map { UInt8(10 * $0) })
        for values in [[nil, 0.25, 0.5, 0.75], [nil, .nan, .infinity, 1], [nil, nil, nil, nil]] as [[Double?]] {
            let row = RoundMaps.Row(name: "<1>", rounds: [(gray, values), (gray, values)], result: gray)
            let maps = RoundMaps(title: "&", unit: "E", names: ["one", "two"], rows: [row, row], columns: 2)
            let document = try Document(maps.drawing().document)
            #expect(document.numbers.allSatisfy { $0?.isFinite ?? false } && document.all("image").count == 2 * 3 + 1)
            let image = try #require(document.all("image").first?["href"])
            let bytes = try #require(Data(base64Encoded: String(image.dropFirst("data:image/png;base64,".count))))
            let picture = try PNG.decode([UInt8](bytes))
            let side = picture.width / 4
            for pixel in 0..<16 {
                let token = pixel / 4 / 2 * 2 + pixel % 4 / 2
                let place = (pixel / 4 * side * picture.width + pixel % 4 * side) * 3
                let value = values[token]
                if value == nil {
                    #expect(Array(picture.pixels[place..<(place + 3)]) == [UInt8](repeating: UInt8(10 * pixel), count: 3))
                } else if values[2] == 0.5, let value {
                    #expect(Array(picture.pixels[place..<(place + 3)]) == ColorMap.color((value - 0.25) / 0.5).bytes)
                }
            }
        }
        _ = try Document(RoundMaps(title: "", unit: "", names: [], rows: [], columns: 1).drawing().document)
    }

    @Test("colours of a map get lighter with the value")
    func colors() {
        let lightness = (0...20).map { step -> Float in
            let color = ColorMap.color(Double(step) / 20)
            return 0.2126 * color.red + 0.7152 * color.green + 0.0722 * color.blue
        }
        #expect(zip(lightness, lightness.dropFirst()).allSatisfy { $0 < $1 })
        #expect(ColorMap.color(-3) == ColorMap.color(0) && ColorMap.color(.nan) == ColorMap.color(0))
        #expect(ColorMap.color(7) == ColorMap.color(1) && ColorMap.color(1) == Color(0xFDE725))
    }
}
