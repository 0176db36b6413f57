import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct ToyTests {
    @Test(arguments: ToyDistribution.allCases) func pointsLieInTheSquare(_ distribution: ToyDistribution) {
        let points = distribution.points(3000, seed: 3, step: 1)
        #expect(points.count == 6000)
        #expect(points.allSatisfy { abs($0) < 1.3 })
        #expect(points == distribution.points(3000, seed: 3, step: 1))
        #expect(points != distribution.points(3000, seed: 3, step: 2))
        #expect(points != distribution.points(3000, seed: 4, step: 1))
        // Spread out in both directions.
        for axis in 0..<2 {
            let list = stride(from: axis, to: points.count, by: 2).map { Double(points[$0]) }
            let mean = list.reduce(0, +) / 3000
            let deviation = (list.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 3000).squareRoot()
            #expect(abs(mean) < 0.3 && deviation > 0.25)
        }
    }

    @Test func boardHasEightFields() {
        let points = ToyDistribution.checkerboard.points(4000, seed: 0, step: 0)
        var fields = [Int](repeating: 0, count: 16)
        for index in stride(from: 0, to: points.count, by: 2) {
            let (column, row) = (Int((points[index] + 1) * 2), Int((points[index + 1] + 1) * 2))
            fields[min(row, 3) * 4 + min(column, 3)] += 1
        }
        for (field, count) in fields.enumerated() {
            if (field / 4 + field % 4) % 2 == 0 { #expect(count > 400 && count < 600) } else { #expect(count == 0) }
        }
    }

    private func settings(_ steps: Int) -> ToyRun.Settings {
        var settings = ToyRun.Settings()
        (settings.distribution, settings.steps, settings.points, settings.seed) = (.moons, steps, 96, 2)
        return settings
    }

    /// Mean distance of a point to the nearest of `real`.
    private func distance(_ points: [Float], _ real: [Float]) -> Double {
        let distances = stride(from: 0, to: points.count, by: 2).map { i in
            stride(from: 0, to: real.count, by: 2).reduce(Double.infinity) { least, j in
                let (dx, dy) = (Double(points[i] - real[j]), Double(points[i + 1] - real[j + 1]))
                return min(least, dx * dx + dy * dy)
            }.squareRoot()
        }
        return distances.reduce(0, +) / Double(distances.count)
    }

    /// From every start points come near the data and cover it; the same run gives the same points to the bit.
    @Test func pointsReachTheData() throws {
        let settings = settings(150)
        let real = settings.distribution.points(600, seed: 9, step: 0)
        try TestDevice.with(.cpu16) { device in
            let moments = try ToyRun(settings, device: device).run(moments: 4)
            #expect(moments.first?.step == 0 && moments.last?.step == 150)
            let (first, last) = (try #require(moments.first), try #require(moments.last))
            for (start, (before, after)) in zip(ToyRun.starts, zip(first.points, last.points)) {
                let covered = distance(real, after)
                #expect(distance(after, real) < 0.2, "\(start)")
                #expect(covered < 0.25, "\(start)")
                #expect(covered < 0.7 * distance(real, before), "\(start)")
            }
            let again = try ToyRun(settings, device: device).run(moments: 4)
            #expect(again.map(\.points) == moments.map(\.points))
        }
    }

    @Test func startsAreWhereTheySay() throws {
        try TestDevice.with(.cpu16) { device in
            let moments = try ToyRun(settings(1), device: device).run(moments: 2)
            for (start, points) in zip(ToyRun.starts, moments[0].points) {
                let place = start.place(.moons)
                let count = Float(points.count / 2)
                let x = stride(from: 0, to: points.count, by: 2).map { points[$0] }
                let mean = x.reduce(0, +) / count
                let deviation = (x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
                #expect(abs(mean - place.centre.0) < 1e-3)
                #expect(abs(deviation / place.deviation - 1) < 1e-2)
            }
        }
    }

    @Test func settingsAreChecked() {
        for (steps, points) in [(0, 64), (10, 1), (10, 5000), (10_000_000, 64)] {
            var wrong = ToyRun.Settings()
            (wrong.steps, wrong.points) = (steps, points)
            #expect(throws: ConfigurationError.self) { try wrong.validate() }
        }
    }

    @Test func discsAreAntialiasedAndStayInside() {
        var canvas = PointCanvas(side: 30)
        canvas.draw([0, 0], radius: 2, opacity: 1)
        let covered = canvas.coverage.reduce(0, +)
        #expect(abs(covered - 4 * .pi) < 0.8)
        #expect(canvas.coverage.contains { $0 > 0.1 && $0 < 0.9 })
        // At the corners, beyond them and nowhere near: only what lies inside is drawn.
        canvas.draw([-1.5, 1.5, 1.5, -1.5, 1.6, 0, 40, 40, -.infinity, .nan], radius: 2, opacity: 0.5)
        #expect(canvas.coverage.allSatisfy { $0 >= 0 && $0 <= 1 })
        #expect(canvas.coverage[0] > 0 && canvas.coverage[29 * 30 + 29] > 0)
    }

    @Test func picturesHaveAPanelForEachStart() throws {
        let moment = ToyRun.Moment(step: 0, points: [[0, 0], [0.5, 0.5], [-0.5, 0]])
        let picture = ToyPicture(real: [0, 1], side: 20)
        let strip = try picture.strip([moment, moment])
        #expect(strip.width == 2 * 28 + 8 && strip.height == 3 * 28 + 8 && strip.channels == 3)
        let animation = try picture.animation([moment, moment])
        #expect(animation.width == 3 * 28 + 8 && animation.height == 36 && animation.overlays.count == 2)
        #expect(try PNG.decode(animation.encode()).width == animation.width)
    }

    @Test("the command: an animated picture, a strip, one line for each mistake")
    func command() throws {
        let folder = try TestFolder()
        // A first run on a machine compiles all kernels, and has nothing to remark on any.
        let animated = try folder.run("toy moons --steps 3 --points 16", environment: ["POCL_CACHE_DIR": folder.file("kernels")])
        #expect(animated.code == 0 && animated.output.contains("toy-moons.png"), "\(animated.errors)")
        #expect(animated.errors.isEmpty, "\(animated.errors)")
        #expect(try PNG.chunks(Files.read(folder.file("toy-moons.png"))).contains { $0.kind == "acTL" })
        let strip = try folder.run("toy checkerboard --steps 3 --points 16 --strip --seed 2 -o strip.png")
        #expect(strip.code == 0 && strip.output.contains("strip.png"), "\(strip.errors)")
        let picture = try PNG.read(folder.file("strip.png")).picture
        #expect(picture.width > picture.height && picture.channels == 3)
        try folder.expectError("toy moons --steps 0", says: "steps 0")
        try folder.expectError("toy moons --points 1", says: "points 1")
        try folder.expectError("toy moons --steps 3 --points 16 --output missing/toy.png", says: "missing/toy.png")
        let unknown = try folder.run("toy spiral")
        #expect(unknown.code == 64 && unknown.errors.contains("spiral"), "\(unknown)")
    }
}
