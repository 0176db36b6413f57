import DriftAR
import Foundation
import TestSupport
import Testing

@testable import DriftBench
@testable import DriftFormats

/// Tables of given figures, paired times, and what is kept.
@Suite struct ComparisonTests {
    private func quality(_ accuracy: Double, _ frechet: Double) -> ImageQuality {
        var quality = ImageQuality(images: 1000)
        (quality.accuracy, quality.frechet, quality.kernel, quality.kernelDeviation) = (accuracy, frechet, -0.0025, 0.001)
        (quality.precision, quality.recall, quality.diversity) = (0.8, 0.75, 0.9)
        return quality
    }

    private func table() -> ComparisonTable {
        var slow = RowFigures()
        slow.quality = RowQuality(
            generated: quality(0.973, 0.91), heldOut: quality(0.986, 1.05), tokensPerPass: nil, notes: ["few images", "of slow alone"])
        slow.cost = RowCost(launches: 1122, flops: 640e6, bytes: 33.8e6, stageShare: 0.28, headShare: 0.72, outsideKernels: 0.45)
        slow.batches = [10, 40].map { BatchTiming(images: $0, timing: Timing([0.1])) }
        slow.timing = Timing([0.020])
        slow.grid = [1, 2, 3]
        var fast = RowFigures()
        fast.quality = RowQuality(generated: quality(0.968, 0.88), heldOut: nil, tokensPerPass: nil, notes: ["few images"])
        let pair = PairedTiming(own: [0.004, 0.005, 0.006], baseline: [0.02, 0.02, 0.018])
        (fast.timing, fast.speedUp, fast.baselineTiming) = (pair.own, pair.speedUp, pair.baseline)
        return ComparisonTable(
            rows: [
                .init(
                    name: "slow", words: ("mar", "diffusion, 100 steps", "16 rounds"), parameters: 410_000, trainingSeconds: 1286,
                    figures: slow),
                .init(
                    name: "fast <&>", words: ("mar", "drift", "4 rounds"), parameters: 1_385_000, unfinished: (250, 2000), baseline: "slow",
                    figures: fast),
            ], device: "a device", perLabel: 100)
    }

    @Test func text() {
        let text = table().text
        for part in [
            "on a device; 100 images of each label judged", "slow", "diffusion, 100 steps", "410 k", "21m26s", "97.3 %", "0.910", "-2.50", "1.39 M",
            "real images, held out", "1.050", "1122", "640 M", "33.8 M", "28 %", "72 %", "45 %", "fast <&> (step 250 of 2000)",
            "note: fast <&>: not trained to its end, step 250 of 2000", "note: no training time: no metrics beside fast <&>",
            "note: few images\n", "note: slow: of slow alone\n",
        ] { #expect(text.contains(part), "\(part) in \(text)") }
        // 40 images in the time of 10 are the better batch.
        #expect(text.contains("400.0") && text.contains("in batches of"))
        // A column that no row has is left out; one that a row lacks shows a dash.
        #expect(!text.contains("tokens/pass"))
        let timed = text.split(separator: "\n").filter { $0.hasPrefix("fast <&> (step") }
        #expect(timed.count == 3 && timed[1].contains(" - "))
        #expect(timed[2].contains("slow") && timed[2].contains("4.00"))
        #expect(text.split(separator: "\n").allSatisfy { !$0.hasSuffix(" ") })
    }

    @Test func json() throws {
        let json = try JSON.parse(Array(table().json.text.utf8))
        let rows = try #require(json["rows"]?.array)
        #expect(rows.count == 2)
        #expect(rows[0]["accuracy"]?.double == 0.973 && rows[0]["training_seconds"]?.double == 1286)
        #expect(rows[0]["speed_up"] == .null && rows[0]["baseline"] == .null)
        #expect(rows[0]["batch"]?.integer == 40 && rows[0]["batches"]?.array?.count == 2)
        #expect(rows[0]["image_seconds"]?["median"]?.double == 0.02)
        #expect(rows[0]["baseline_seconds"] == .null && rows[1]["baseline_seconds"]?["minimum"]?.double == 0.018)
        #expect(rows[1]["image_least_ms"]?.double == 4)
        #expect(rows[1]["speed_up"]?.double == 4 && rows[1]["baseline"] == .string("slow"))
        #expect(rows[1]["unfinished"] == .array([.integer(250), .integer(2000)]) && rows[1]["launches"] == .null)
        #expect(json["held_out"]?["frechet_distance"]?.double == 1.05)
        #expect(json["notes"]?.array?.count == 4)
    }

    @Test func page() throws {
        let folder = try TestFolder()
        try table().write(to: folder.path)
        let page = try folder.text("compare.html")
        #expect(page.contains("data:image/png;base64,AQID") && page.contains("fast &lt;&amp;&gt;") && !page.contains("fast <&>"))
        #expect(page.contains("Frechet distance against the time of one image") && page.contains("<td>0.910</td>"))
        #expect(try folder.text("compare.txt") == table().text)
        #expect(try JSON.parse(Files.read(folder.file("compare.json"))) == JSON.parse(Array(table().json.text.utf8)))
    }

    @Test("before anything is known there is a table of names")
    func empty() throws {
        let row = ComparisonTable.Row(name: "a", words: ("none", "dit", "one pass"), parameters: 7)
        let table = ComparisonTable(rows: [row], device: "d", perLabel: 2)
        #expect(table.text.contains("one pass") && !table.text.contains("What drawing takes") && table.json["held_out"] == .null)
        #expect(try table.page().contains("one pass"))
    }

    @Test func pairs() {
        let pair = PairedTiming(own: [1, 2, 4, 2], baseline: [4, 8, 8, 6])
        // Ratios 4, 4, 2, 3; medians 7 and 2.
        #expect(pair.speedUp == SpeedUp(ratio: 3.5, lowerQuartile: 2.75, upperQuartile: 4))
        var order: [String] = []
        let timed = PairedTiming(repetitions: 2) { order.append("own \($0)") } baseline: { order.append("baseline \($0)") }
        #expect(order.prefix(4) == ["own 0", "baseline 0", "own 1", "baseline 1"])
        #expect(timed.own.repetitions == timed.baseline.repetitions && timed.own.repetitions * 2 == order.count)
    }

    @Test("a measurement lasts as long as asked for, and no longer than patience")
    func measuring() {
        var count = 0
        measure(repetitions: 5, patience: 0) { _ in count += 1 }
        #expect(count == 3)
        count = 0
        let begun = ContinuousClock.now
        measure(repetitions: 1) { _ in count += 1 }
        #expect(count > 10 && ContinuousClock.now - begun >= .milliseconds(100))
    }

    @Test func kept() throws {
        let folder = try TestFolder()
        let store = try FigureStore(folder.file("a/kept"))
        let (identity, other) = (["weights 1", "settings 2"], ["weights 1", "settings 3"])
        let cost = RowCost(launches: 1.5, flops: 1e9, bytes: 0.1, stageShare: 1.0 / 3, headShare: 0.5, outsideKernels: 0)
        #expect(store.known("cost", identity, as: RowCost.self) == nil)
        try store.keep(cost, "cost", identity)
        #expect(store.known("cost", identity) == cost && store.counts.computed == 1 && store.counts.kept == 1)
        #expect(store.known("cost", other, as: RowCost.self) == nil && store.known("image", identity, as: RowCost.self) == nil)
        #expect(try FigureStore(folder.file("a/kept"), isAnew: true).known("cost", identity, as: RowCost.self) == nil)
        // What somebody else left under the name, or half of it, is not taken.
        let path = store.path("cost", identity)
        let text = String(decoding: try Files.read(path), as: UTF8.self)
        for damaged in [text.replacing("settings 2", with: "settings 3"), String(text.prefix(40)), ""] {
            try AtomicFile.write(text: damaged, to: path)
            #expect(store.known("cost", identity, as: RowCost.self) == nil)
        }
        try folder.write("", to: "file")
        #expect(errorText { _ = try FigureStore(folder.file("file/kept")) }?.contains("file") == true)
    }
}
