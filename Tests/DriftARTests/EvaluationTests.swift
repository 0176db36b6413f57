import TestSupport
import Testing
@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

@Suite struct EvaluationTests {
    private func noise(_ count: Int, _ size: Int, seed: UInt64, scale: Float = 1) throws -> Dataset {
        var random = TestNumbers(seed)
        return try Dataset(images: (0..<count * size).map { _ in random.float() * scale }, shape: [count, 1, 1, size],
                           labels: (0..<count).map { Int32($0 % 3) }, classNames: ["a", "b", "c"])
    }

    @Test(arguments: [1, 7, 8, 17, 64, 50])
    func agreesWithDoublePrecision(_ size: Int) throws {
        let set = try noise(45, size, seed: 1)
        let real = try noise(70, size, seed: 2)
        func distance(_ a: Dataset, _ i: Int, _ b: Dataset, _ j: Int) -> Double {
            (0..<size).reduce(0) {
                let d = Double(a.images[i * size + $1]) - Double(b.images[j * size + $1])
                return $0 + d * d
            }.squareRoot()
        }
        func spread(_ data: Dataset, _ label: Int) -> Double {
            let members = data.members[label]
            let pairs = members.indices.flatMap { i in (0..<i).map { distance(data, members[i], data, members[$0]) } }
            return pairs.reduce(0, +) / Double(pairs.count)
        }
        var correct = 0
        var nearest = 0.0
        for i in 0..<set.count {
            let all = (0..<real.count).map { distance(set, i, real, $0) }
            let best = all.min() ?? 0
            nearest += best / Double(set.count)
            if let row = all.firstIndex(of: best), real.labels[row] == set.labels[i] { correct += 1 }
        }
        let diversity = (0..<3).map { spread(set, $0) / spread(real, $0) }.reduce(0, +) / 3
        let figures = try ImageFigures(of: set, against: real)
        #expect(abs(figures.accuracy - Double(correct) / 45) < 1e-12)
        #expect(abs((figures.diversity ?? 0) - diversity) < 1e-5)
        #expect(abs((figures.nearestDistance ?? 0) - nearest) < 1e-5)
        #expect(try ImageFigures(of: set, against: real) == figures)
    }

    @Test func realDigitsReachTheCeiling() throws {
        let (training, heldOut) = try OptDigits.split()
        let evaluation = try Evaluation(generated: training.subset(Array(0..<300)), training: training, heldOut: heldOut)
        let images = try #require(evaluation.columns[0].images)
        #expect(images.accuracy == 1)
        #expect(images.nearestDistance == 0)
        #expect(abs((images.diversity ?? 0) - 1) < 0.1)
        let ceiling = try #require(evaluation.columns[1].images)
        #expect(ceiling.accuracy > 0.95)
        #expect(abs((ceiling.diversity ?? 0) - 1) < 0.05)
        #expect(evaluation.columns.map(\.count) == [300, 299])
        #expect(evaluation.description.split(separator: "\n").count == 5)
    }

    @Test func inAFeatureSpace() throws {
        let digits = try OptDigits.split()
        let (training, heldOut) = (try digits.training.spread(150), try digits.heldOut.spread(60))
        let half = try training.subset((0..<training.count).filter { $0 % 2 == 0 })
        let evaluation = try Evaluation(
            generated: half, training: training, heldOut: heldOut, space: PixelFeatures())
        let (own, held) = (try #require(evaluation.columns[0].features), try #require(evaluation.columns[1].features))
        let (near, far) = (try #require(own.frechet), try #require(held.frechet))
        #expect(near > 0 && near < far)
        #expect(try #require(own.precisionRecall).precision == 1)
        #expect(try #require(held.precisionRecall).recall > 0.5)
        #expect(abs(try #require(held.kernel).mean) < 0.05)
        #expect(held.accuracy == nil && held.inceptionScore == nil)
        #expect(evaluation.description.contains("in the features of pixels\n  Frechet distance "))
        let json = evaluation.json
        #expect(json["features"] == .string("pixels"))
        #expect(json["generated"]?["frechet_distance"] == .number(near))
        #expect(json["held_out"]?["kernel_distance_deviation"]?.double != nil)
        // The text is JSON.
        #expect(try JSON.parse(Array(json.text.utf8))["held_out"]?["images"]?.double == Double(heldOut.count))
    }

    @Test func oneImageHasNoDistribution() throws {
        let digits = try OptDigits.split()
        let (training, heldOut) = (try digits.training.spread(50), digits.heldOut)
        let evaluation = try Evaluation(
            generated: heldOut.subset([3]), training: training, heldOut: heldOut, space: PixelFeatures())
        #expect(evaluation.columns.map(\.count) == [1, 10])
        #expect(evaluation.columns[0].features?.frechet == nil)
    }

    @Test func collapsedImages() throws {
        let real = try noise(30, 8, seed: 4)
        let same = try Dataset(images: [Float](repeating: 0.5, count: 48), shape: [6, 1, 1, 8], labels: [0, 0, 1, 1, 2, 2],
                               classNames: ["a", "b", "c"])
        #expect(try ImageFigures(of: same, against: real).diversity == 0)
    }

    @Test func notFiniteImagesAreWrong() throws {
        let real = try noise(30, 8, seed: 4)
        var images = real.images
        images[3] = .nan
        images[9] = .infinity
        let damaged = try Dataset(images: images, shape: real.shape, labels: real.labels, classNames: real.classNames)
        let figures = try ImageFigures(of: damaged, against: real)
        #expect(figures.notFinite == 2)
        #expect(abs(figures.accuracy - 28.0 / 30) < 1e-12)
        #expect(figures.diversity?.isFinite == true)
    }

    @Test func classesWithoutPairs() throws {
        let real = try noise(30, 8, seed: 4)
        let one = try real.subset([0])
        let figures = try ImageFigures(of: one, against: real)
        #expect(figures.diversity == nil)
        #expect(figures.classAccuracy == [1, nil, nil])
    }

    @Test func refuses() throws {
        #expect(throws: DataError.self) { _ = try ImageFigures(of: noise(3, 8, seed: 1), against: noise(3, 9, seed: 1)) }
        let real = try noise(3, 8, seed: 1)
        #expect(throws: DataError.self) { _ = try ImageFigures(of: real.subset([]), against: real) }
    }

    @Test("what limits the figures is said beside them")
    func notes() throws {
        let real = try noise(30, 8, seed: 4)
        let whole = try Evaluation(generated: noise(30, 8, seed: 5), training: real, heldOut: noise(12, 8, seed: 6), space: PixelFeatures())
        #expect(whole.notes.isEmpty && whole.json["notes"] == nil)

        var images = try noise(12, 8, seed: 5).images
        (images[3], images[9]) = (.nan, .infinity)
        let set = try Dataset(images: images, shape: [12, 1, 1, 8], labels: (0..<12).map { $0 == 0 ? 1 : 0 }, classNames: ["a", "b", "c"])
        let damaged = try Evaluation(generated: set, training: real, heldOut: real.subset([]), space: PixelFeatures())
        #expect(damaged.notes == [
            "1 of 3 classes have no image to judge",
            "2 of 12 generated images are not finite: they count as wrong and not towards other figures",
            "diversity is that of 1 of 3 classes: it takes two images of a class",
        ])
        #expect(damaged.json["notes"]?.array?.count == 3 && damaged.json["generated"]?["images_not_finite"]?.double == 2)

        let few = try Evaluation(generated: real.subset([0, 1, 2]), training: real, heldOut: real.subset([]), space: PixelFeatures())
        #expect(few.notes == [
            "diversity is that of 0 of 3 classes: it takes two images of a class",
            "3 images for 8 features: the Frechet distance is too large by far; compare it with sets of as many images alone",
            "3 images: precision and recall take 4 or more",
        ])
        let statistics = FeatureReference(try FeatureStatistics(FeatureSet(real.images, width: 8)))
        let alone = try Evaluation(generated: real.subset([0]), space: PixelFeatures(), reference: statistics)
        #expect(alone.notes == ["2 of 3 classes have no image to judge", "no Frechet distance of 1 image: a covariance takes 2 or more"])
    }
}
