import Foundation
import TestSupport
import Testing
@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

/// Fixtures of Tests/Fixtures/metrics: features, and the figures that NumPy, SciPy and PyTorch give of them.
private struct MetricsFixture {
    let sets: [String: FeatureSet]
    let expected: JSON

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/metrics").path

    init() throws {
        let file = try SafeTensorsFile(Self.folder + "/features.safetensors")
        sets = try file.entries.mapValues { $0.shape[1] }.reduce(into: [:]) { $0[$1.key] = try FeatureSet(file.floats($1.key), width: $1.value) }
        expected = try JSON.parse(Files.read(Self.folder + "/expected.json"))
    }

    func figures(_ pair: String) throws -> (a: FeatureSet, b: FeatureSet, expected: JSON) {
        let names = pair.split(separator: " ").map(String.init)
        return (try #require(sets[names[0]]), try #require(sets[names[1]]), try #require(expected[pair]))
    }
}

@Suite struct MetricsTests {
    private static let pairs = ["x y", "x x", "few y", "few fewer", "x fewer", "twins y"]
    private let fixture: MetricsFixture

    init() throws { fixture = try MetricsFixture() }

    private func isClose(_ a: Double, _ b: Double, _ relative: Double = 1e-9, _ absolute: Double = 1e-9) -> Bool {
        abs(a - b) <= relative * abs(b) + absolute
    }

    @Test(arguments: pairs)
    func frechetDistance(_ pair: String) throws {
        let (a, b, expected) = try fixture.figures(pair)
        let (first, second) = (try FeatureStatistics(a), try FeatureStatistics(b))
        let exact = try #require(expected["frechet_svd"]?.double)
        let fid = try #require(expected["frechet"]?.double)
        for value in [try FrechetDistance.squared(first, second), try FrechetDistance.squared(second, first)] {
            #expect(isClose(value, exact), "\(value) \(exact)")
            // What pytorch-fid gives: its square root of a singular matrix is good to some digits.
            #expect(isClose(value, fid, 1e-6), "\(value) \(fid)")
        }
    }

    @Test(arguments: pairs)
    func kernelDistance(_ pair: String) throws {
        let (a, b, expected) = try fixture.figures(pair)
        let value = KernelDistance.discrepancy(a.rows, b.rows)
        #expect(isClose(value, try #require(expected["kernel"]?.double)), "\(value)")
    }

    @Test(arguments: pairs)
    func precisionAndRecall(_ pair: String) throws {
        let (a, b, expected) = try fixture.figures(pair)
        let result = try #require(try PrecisionRecall(generated: a, real: b))
        let both = try #require(expected["precision_recall"]?.array).compactMap(\.double)
        #expect(isClose(result.precision, both[0]) && isClose(result.recall, both[1]), "\(result) \(both)")
    }

    @Test func inceptionScore() throws {
        let logits = try #require(fixture.sets["logits"])
        let expected = try #require(fixture.expected["inception_score"]?.double)
        let whole = try #require(InceptionScore(logits: logits, parts: 1))
        #expect(isClose(whole.mean, expected) && whole.deviation == 0)
        let parts = try #require(InceptionScore(logits: logits))
        #expect(parts.mean < whole.mean && parts.deviation > 0)
        #expect(InceptionScore(logits: logits) == parts)
        #expect(InceptionScore(logits: logits, parts: 104) == nil)
        // Sure answers, classes equally frequent, in the order of the classes: as many as there are classes.
        let sure = try FeatureSet((0..<200).flatMap { i in (0..<4).map { $0 == i / 50 ? 100 : 0 } }, width: 4)
        #expect(try #require(InceptionScore(logits: sure, parts: 1)).mean == 4)
        #expect(try #require(InceptionScore(logits: sure, parts: 4)).mean > 3)
    }

    @Test func subsetsOfTheKernelDistance() throws {
        let (x, y) = (try #require(fixture.sets["x"]), try #require(fixture.sets["y"]))
        let whole = KernelDistance.discrepancy(x.rows, y.rows)
        let drawn = try #require(try KernelDistance(x, y, subsets: 60, subsetSize: 100, seed: 1))
        #expect(abs(drawn.mean - whole) < 3 * drawn.deviation / 60.0.squareRoot(), "\(drawn) \(whole)")
        #expect(drawn.deviation > 0)
        #expect(try KernelDistance(x, y, subsets: 60, subsetSize: 100, seed: 1) == drawn)
        #expect(try KernelDistance(x, y, subsets: 60, subsetSize: 100, seed: 2) != drawn)
        // Subsets of everything: one.
        let same = try #require(try KernelDistance(y, y, subsetSize: 1000))
        #expect(same.deviation == 0)
        #expect(try KernelDistance(x, FeatureSet([Float](repeating: 0, count: 24), width: 24)) == nil)
    }

    @Test func subsetsAreDrawnWithoutReplacement() {
        let random = Philox(seed: 3)
        let all = random.draw(50, of: 50, stream: 1, step: 2)
        #expect(all.sorted() == Array(0..<50) && all != Array(0..<50))
        #expect(Set(random.draw(20, of: 50, stream: 1, step: 2)).count == 20)
        #expect(random.draw(9, of: 4, stream: 1, step: 2).count == 4)
    }

    @Test func featuresThatAreNotFiniteAreLeftOut() throws {
        let set = try FeatureSet([1, 2, .nan, 3, 4, 5, .infinity, 6, 7, 8], width: 2)
        #expect(set.values == [1, 2, 4, 5, 7, 8] && set.notFinite == 2 && set.count == 3)
    }

    @Test func refuses() throws {
        let (x, narrow) = (try #require(fixture.sets["x"]), try FeatureSet([1, 2, 3, 4], width: 2))
        #expect(throws: DataError.self) { _ = try FeatureSet([1, 2, 3], width: 2) }
        #expect(throws: DataError.self) { _ = try FeatureSet([], width: 0) }
        #expect(throws: DataError.self) { _ = try FeatureStatistics(FeatureSet([1, 2], width: 2)) }
        #expect(throws: DataError.self) {
            _ = try FeatureStatistics(FeatureSet([Float](repeating: 0, count: 2 * 4097), width: 4097))
        }
        #expect(throws: DataError.self) { _ = try FrechetDistance.squared(FeatureStatistics(x), FeatureStatistics(narrow)) }
        #expect(throws: DataError.self) { _ = try KernelDistance(x, narrow) }
        #expect(throws: DataError.self) { _ = try PrecisionRecall(generated: x, real: narrow) }
        #expect(try PrecisionRecall(generated: narrow, real: narrow) == nil)
        #expect(throws: DataError.self) { _ = try FeatureStatistics(mean: [0, 0], covariance: [1, 0, 0], name: "file") }
        #expect(throws: DataError.self) { _ = try FeatureStatistics(mean: [0, .nan], covariance: [1, 0, 0, 1], name: "file") }
        #expect(throws: DataError.self) { _ = try FeatureStatistics(mean: [], covariance: [], name: "file") }
    }

    /// Sizes around those of tiles, chunks and vectors.
    @Test(arguments: [(1, 1, 1), (3, 5, 2), (64, 64, 256), (65, 63, 257), (130, 7, 515)])
    func rowProducts(_ m: Int, _ n: Int, _ k: Int) throws {
        var random = TestNumbers(7)
        func draw(_ rows: Int) -> DenseRows {
            DenseRows(rowCount: rows, columnCount: k, values: (0..<(rows * k)).map { _ in Double(random.float()) })
        }
        let (a, b) = (draw(m), draw(n))
        let product = RowProducts.matrix(a, b)
        for i in 0..<m {
            for j in 0..<n {
                let sum = (0..<k).reduce(0) { $0 + a.values[i * k + $1] * b.values[j * k + $1] }
                #expect(abs(product[i * n + j] - sum) < 1e-12 * Double(k))
            }
        }
        let square = RowProducts.symmetric(a)
        #expect(square == RowProducts.matrix(a, a))
        // The distance of a row from itself is 0 to the bit.
        #expect(RowProducts.squares(a) == (0..<m).map { square[$0 * (m + 1)] })
    }
}
