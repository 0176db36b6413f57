import Foundation
import Testing

@testable import DriftAR

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

    /// How much of a white canvas became black, in square points.
    private func area(_ draw: (inout Canvas) -> Void) throws -> Double {
        var canvas = Canvas(width: 40, height: 30, scale: 2, background: Color(0xFFFFFF))
        draw(&canvas)
        return try canvas.picture().pixels.reduce(0) { $0 + 1 - Double($1) / 255 } / 3 / 4
    }

    @Test("shapes cover the area they should, wherever they lie between pixels")
    func coverage() throws {
        let black = Color(0)
        #expect(abs(try area { $0.fill(CanvasRect(3.3, 4.2, 13.55, 9.7), black) } - 10.25 * 5.5) < 0.2)
        #expect(abs(try area { $0.disc(CanvasPoint(20.2, 15.1), radius: 6, black) } - 36 * Double.pi) < 1)
        let line = [CanvasPoint(5, 5), CanvasPoint(30, 20)]
        let length = (25.0 * 25 + 15 * 15).squareRoot()
        let plain = try area { $0.stroke(line, width: 2, black) }
        #expect(abs(plain - (2 * length + Double.pi)) < 1)
        // One shape: what runs over itself is no darker.
        #expect(try area { $0.stroke([line, line.reversed()], width: 2, black, alpha: 0.5) } < plain * 0.51)
        let dashed = try area { $0.stroke(line, width: 1, black, dash: (2, 2)) }
        #expect(dashed > 0.4 * length && dashed < 0.95 * length)
        let band = try area {
            $0.fill(
                between: [CanvasPoint(5.3, 10), CanvasPoint(20.7, 4)], and: [CanvasPoint(5.3, 20), CanvasPoint(20.7, 24)], black,
                alpha: 1)
        }
        #expect(abs(band - 15.4 * 15) < 1.5)
    }

    @Test("nothing is drawn outside of the canvas or the clip, and nothing that is no number")
    func bounds() throws {
        let black = Color(0)
        #expect(try area {
            $0.fill(CanvasRect(-50, -50, -10, -10), black)
            $0.fill(CanvasRect(.nan, 0, 10, 10), black)
            $0.disc(CanvasPoint(.nan, 3), radius: 4, black)
            $0.disc(CanvasPoint(500, 3), radius: 4, black)
            $0.stroke([CanvasPoint(0, .infinity), CanvasPoint(3, 3)], width: 1, black)
        } == 0)
        #expect(abs(try area { $0.fill(CanvasRect(-1e9, -1e9, 1e9, 1e9), black) } - 1200) < 1e-6)
        let clipped = try area {
            $0.clip = CanvasRect(10, 10, 20, 20)
            $0.disc(CanvasPoint(10, 10), radius: 100, black)
            $0.fill(CanvasRect(0, 0, 40, 30), black)
        }
        #expect(abs(clipped - 100) < 1e-6)
    }

    @Test("every character that titles, axes and numbers use has a glyph; others are a box")
    func letters() throws {
        let ascii = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;-+=/()[]%|<>_'*#!?"
        for character in ascii + "σα×±−‖≥≤" { #expect(StrokeFont.has(character), "\(character)") }
        #expect(!StrokeFont.has("語") && StrokeFont.glyph("語").strokes.count == 1)
        // Digits share a width: columns of numbers stand still.
        #expect(Set("0123456789".map { StrokeFont.glyph($0).width }).count == 1)
        #expect(StrokeFont.width("", size: 10) == 0)
        let ink = try area { $0.text("E", at: CanvasPoint(5, 20), size: 20, Color(0)) }
        #expect(ink > 20 && ink < 80)
    }

    @Test("a diagram can be drawn whatever its values are, the same twice")
    func strangePlots() throws {
        let points: [[Plot.Point]] = [
            [], [Plot.Point(1, 1)], [Plot.Point(0, .nan), Plot.Point(1, .infinity)],
            [Plot.Point(1, 1e300), Plot.Point(2, -1e300)], (0..<50).map { Plot.Point(Double($0), $0 % 7 == 0 ? .nan : Double($0)) },
        ]
        for values in points {
            for isLogarithmic in [false, true] {
                var plot = Plot("語 title", x: Plot.Axis("x"), y: Plot.Axis("y", isLogarithmic: isLogarithmic))
                plot.series = [
                    Plot.Series("line", color: 0, .line(values)), Plot.Series("points", color: 1, .points(values, radius: 2, alpha: 0.5)),
                    Plot.Series("band", color: -3, .band(lower: values, upper: values)),
                    Plot.Series("", color: 99, .bars(edges: [0, 1, 2], heights: [0, .nan])),
                    Plot.Series("bars", color: 2, .errorBars(values.map { ($0.x, $0.y, $0.y - 1, .nan) })),
                ]
                plot.rules = [Plot.Rule(value: 1, text: "rule"), Plot.Rule(value: .nan, text: "", direction: .horizontal)]
                let picture = try plot.picture(.light)
                #expect(try picture.width == 1200 && picture == plot.picture(.light))
            }
        }
    }

    @Test("a curve runs where its values are, in its colour")
    func curve() throws {
        var plot = Plot("", x: Plot.Axis("x"), y: Plot.Axis("y", range: (0, 1)))
        plot.series = [Plot.Series("", color: 1, .line([Plot.Point(0, 0.5), Plot.Point(1, 0.5)]))]
        let picture = try plot.picture(.dark)
        let color = [0xF0, 0x88, 0x4A]
        let rows = (0..<picture.height).filter { y in
            (0..<3).allSatisfy { abs(Int(picture.pixels[(y * picture.width + 700) * 3 + $0]) - color[$0]) <= 2 }
        }
        // Two points are four rows of pixels, of which the first and last may be blended.
        #expect((2...4).contains(rows.count) && rows.allSatisfy { $0 > picture.height * 2 / 5 && $0 < picture.height * 3 / 5 }, "\(rows)")
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
