import TestSupport
import Testing

@testable import DriftAR
@testable import DriftReport

@Suite struct AnalysisStatisticsTests {
    @Test("Pearson's r of known pairs")
    func correlation() throws {
        let (rising, falling) = (Correlation([(1, 2), (2, 4), (3, 6)]).r, Correlation([(1, -2), (2, -4), (3, -6)]).r)
        #expect(abs((rising ?? 0) - 1) < 1e-15 && abs((falling ?? 0) + 1) < 1e-15)
        // By hand: sums of squares 10 and 6, of products 6.
        let known = try #require(Correlation([(1, 2), (2, 4), (3, 5), (4, 4), (5, 5)]).r)
        #expect(abs(known - 6 / 60.0.squareRoot()) < 1e-15)
        // A narrow spread around a large value.
        let narrow = try #require(Correlation([(1e9, 0), (1e9 + 1, 1), (1e9 + 2, 2)]).r)
        #expect(abs(narrow - 1) < 1e-12)
        #expect(Correlation([(1, 1), (1, 2)]).r == nil && Correlation([(1, 1)]).r == nil && Correlation([]).r == nil)
        let gaps = Correlation([(1, 2), (.nan, 7), (2, 4), (3, .infinity), (4, 8)])
        #expect(gaps.count == 3 && abs((gaps.r ?? 0) - 1) < 1e-15)
    }

    @Test("bins hold as many pairs each, and means and deviations are theirs")
    func bins() {
        let pairs = (0..<12).reversed().map { (x: Double($0), y: Double($0 % 2)) }
        let bins = BinnedMeans(pairs, count: 3).bins
        #expect(bins.map(\.count) == [4, 4, 4] && bins.map(\.low) == [0, 4, 8] && bins.map(\.high) == [3, 7, 11])
        #expect(bins.map(\.meanX) == [1.5, 5.5, 9.5] && bins.allSatisfy { $0.meanY == 0.5 && $0.deviationY == 0.5 })
        #expect(BinnedMeans(pairs, count: 10).bins.count == 3)
        #expect(BinnedMeans(pairs, count: 5, least: 1).bins.map(\.count) == [2, 2, 3, 2, 3])
        #expect(BinnedMeans([(1, 5), (.nan, 3)]).bins.map(\.meanY) == [5])
        #expect(BinnedMeans([]).bins.isEmpty)
    }

    @Test("a histogram counts what lies within, its last edge included")
    func histogram() {
        let histogram = Histogram([0, 0.1, 0.25, 0.5, 1, 1.01, -0.01, .nan], low: 0, high: 1, bins: 4)
        #expect(histogram.edges == [0, 0.25, 0.5, 0.75, 1] && histogram.counts == [2, 1, 1, 1])
        #expect(histogram.shares == [0.4, 0.2, 0.2, 0.2])
        #expect(Histogram([], low: 0, high: 1, bins: 2).shares == [0, 0])
        #expect(Histogram([3, 3], low: 3, high: 3, bins: 2).counts == [2, 0])
    }

    @Test("tables follow RFC 4180")
    func csv() {
        var csv = CSV(["name", "a \"b\"", "c,d"])
        csv.append([.text("plain"), .integer(-3), .number(0.1)])
        csv.append([.text("two\r\nlines"), .number(nil), .number(.nan)])
        csv.append([.text("\"\u{301}"), .number(1e-20), .number(.infinity)])
        #expect(
            csv.text == "name,\"a \"\"b\"\"\",\"c,d\"\r\nplain,-3,0.1\r\n\"two\r\nlines\",,\r\n\"\"\"\u{301}\",1e-20,\r\n")
    }

    // MARK: metrics.jsonl

    private static let log = """
        {"step":1,"loss":1.5,"force_0.05":0.25,"alpha":1}
        {"step":10,"loss":null,"drift":3}
        {"step":20,"loss":0.5,"drift":2,"note":"text","accuracy":0.9}

        """

    @Test("what was logged, and nothing else")
    func curves() throws {
        let folder = try TestFolder()
        let curves = try TrainingCurves(folder.write(Self.log, to: "metrics.jsonl"))
        #expect(curves.steps == [1, 10, 20] && curves.names == ["loss", "force_0.05", "alpha", "drift", "accuracy"])
        // A gap where most steps have it; no gaps where few have.
        let loss = curves.points("loss")
        #expect(loss.map(\.x) == [1, 10, 20] && loss[0].y == 1.5 && loss[1].y.isNaN && loss[2].y == 0.5)
        #expect(curves.points("accuracy") == [Plot.Point(20, 0.9)] && curves.points("none").isEmpty)
        #expect(curves.last("loss") == 0.5 && curves.last("none") == nil)
        #expect(
            curves.csv.text
                == "step,loss,force_0.05,alpha,drift,accuracy\r\n1,1.5,0.25,1.0,,\r\n10,,,,3.0,\r\n20,0.5,,,2.0,0.9\r\n")
    }

    @Test("how long steps took, by the images a second")
    func seconds() throws {
        let folder = try TestFolder()
        func read(_ rates: [(step: Int, rate: Double?)]) throws -> TrainingCurves {
            let lines = rates.map { "{\"step\":\($0.step)" + ($0.rate.map { ",\"images_per_second\":\($0)" } ?? "") + "}\n" }
            return try TrainingCurves(folder.write(lines.joined(), to: "metrics.jsonl"))
        }
        let curves = try read([(1, nil), (10, 100), (20, 50), (30, nil)])
        // 9 steps in 0.9 s and 10 in 2 s; the others at their mean.
        let known = 2.9 / 19
        #expect(abs((curves.seconds(through: 20, imagesInStep: 10) ?? 0) - 20 * known) < 1e-12)
        #expect(abs((curves.seconds(through: 30, imagesInStep: 10) ?? 0) - 30 * known) < 1e-12)
        #expect(abs((curves.seconds(through: 10, imagesInStep: 10) ?? 0) - 1) < 1e-12)
        #expect(try curves.seconds(through: 1, imagesInStep: 10) == nil && read([]).seconds(through: 5, imagesInStep: 1) == nil)
    }

    @Test("a log cut at any byte keeps its whole lines")
    func truncated() throws {
        let folder = try TestFolder()
        let bytes = Array(Self.log.utf8)
        for length in 0..<bytes.count {
            let part = Array(bytes[..<length])
            let curves = try TrainingCurves(folder.write(part, to: "metrics.jsonl"))
            let whole = part.filter { $0 == UInt8(ascii: "\n") }.count
            // A last line may be complete but for its end.
            let isComplete = length < bytes.count && bytes[length] == UInt8(ascii: "\n") && length > 0
            #expect(curves.steps.count == whole + (isComplete ? 1 : 0), "\(length)")
        }
    }

    @Test("a damaged line is named; a step that comes twice counts once")
    func damaged() throws {
        let folder = try TestFolder()
        func read(_ text: String) throws -> TrainingCurves { try TrainingCurves(folder.write(text, to: "metrics.jsonl")) }
        let broken = [
            "{\"step\":1}\n{\"step\":\n{\"step\":3}\n", "{\"step\":1}\n[]\n", "{\"step\":1}\n{\"loss\":1}\n", "{\"step\":1}\n{\"step\":-1}\n",
            "{\"step\":1}\n{\"step\":1.5}\n", "{\"step\":1}\n\u{0}\u{1}\n", "{\"step\":1}\n{\"step\":2,\"a\":1,\"a\":2}\n",
        ]
        for text in broken {
            let message = errorText { _ = try read(text) }
            #expect(message?.contains("metrics.jsonl: line 2 is no object with a step") == true, "\(text) \(message ?? "")")
        }
        let twice = try read("{\"step\":2,\"a\":1}\n\n{\"step\":1,\"a\":7}\r\n{\"step\":2,\"b\":2}\n")
        #expect(twice.steps == [1, 2] && twice.points("b") == [Plot.Point(2, 2)] && twice.points("a") == [Plot.Point(1, 7)])
        // Any single flipped byte is an error or another number, never a crash.
        let bytes = Array(Self.log.utf8)
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 0x10
            _ = errorText { _ = try TrainingCurves(folder.write(flipped, to: "metrics.jsonl")) }
        }
        #expect(errorText { _ = try TrainingCurves(folder.file("none.jsonl")) }?.contains("none.jsonl") == true)
    }
}
