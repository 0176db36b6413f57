import TestSupport
import Testing
@testable import DriftData
@testable import DriftFormats

@Suite struct DatasetTests {
    /// Image i is the single value i; class 0 has 20 images, class 1 three, class 2 none.
    private func sample() throws -> Dataset {
        let labels = [Int32](repeating: 0, count: 20) + [1, 1, 1]
        return try Dataset(images: (0..<23).map(Float.init), shape: [23, 1, 1, 1], labels: labels, classNames: ["a", "b", "c"])
    }

    @Test func classesAndGathering() throws {
        let data = try sample()
        #expect(data.count == 23)
        #expect(data.members == [Array(0..<20), [20, 21, 22], []])
        #expect(try data.gather([22, 0, 22]) == [22, 0, 22])
        #expect(try data.subset([21, 3]).labels == [1, 0])
        #expect(throws: DataError.self) { _ = try data.gather([23]) }
        #expect(throws: DataError.self) { _ = try data.subset([-1]) }
    }

    @Test func drawsDistinctImages() throws {
        let data = try sample()
        let drawn = try data.index.draw(labels: [0, 1, 0], perLabel: 12, seed: 1, step: 5)
        #expect(drawn.count == 36)
        #expect(Set(drawn[..<12]).count == 12)
        #expect(drawn[..<12].allSatisfy { $0 < 20 })
        #expect(drawn[12..<24].allSatisfy { (20...22).contains($0) })
        #expect(drawn[..<12] != drawn[24...], "a label that comes twice draws twice")
        #expect(Set(try data.index.draw(labels: [0], perLabel: 20, seed: 1, step: 5)) == Set(0..<20))
    }

    @Test func drawsDependOnSeedAndStepAlone() throws {
        let data = try sample()
        let first = try data.index.draw(labels: [0, 1], perLabel: 8, seed: 3, step: 100)
        #expect(try data.index.draw(labels: [0, 1], perLabel: 8, seed: 3, step: 100) == first)
        #expect(try data.index.draw(labels: [1, 0], perLabel: 8, seed: 3, step: 100) == Array(first[8...] + first[..<8]))
        #expect(try data.index.draw(labels: [0, 1], perLabel: 8, seed: 3, step: 101) != first)
        #expect(try data.index.draw(labels: [0, 1], perLabel: 8, seed: 4, step: 100) != first)
    }

    @Test func everyImageIsDrawnEquallyOften() throws {
        let data = try sample()
        var counts = [Int](repeating: 0, count: 20)
        for step in 0..<5000 { for i in try data.index.draw(labels: [0], perLabel: 4, seed: 9, step: step) { counts[i] += 1 } }
        #expect(counts.allSatisfy { abs($0 - 1000) < 150 })
    }

    @Test func drawsLabels() throws {
        let data = try sample()
        #expect(Set(data.index.drawLabels(2, seed: 1, step: 1)) == [0, 1])
        #expect(data.index.drawLabels(5, seed: 1, step: 1).count == 2)
        #expect(data.index.drawLabels(-1, seed: 1, step: 1).isEmpty)
    }

    @Test func emptyClassesAndBadLabels() throws {
        let data = try sample()
        #expect(errorText { _ = try data.index.draw(labels: [2], perLabel: 1, seed: 0, step: 0) }?.contains("class 2") == true)
        #expect(throws: DataError.self) { _ = try data.index.draw(labels: [3], perLabel: 1, seed: 0, step: 0) }
        #expect(throws: DataError.self) { _ = try data.index.draw(labels: [0], perLabel: -1, seed: 0, step: 0) }
        #expect(throws: DataError.self) { _ = try Dataset(images: [0], shape: [1, 1, 1, 1], labels: [1], classNames: ["a"]) }
        #expect(throws: DataError.self) { _ = try Dataset(images: [0], shape: [1, 1, 1, 1], labels: [-1], classNames: ["a"]) }
        #expect(throws: DataError.self) { _ = try Dataset(images: [0], shape: [1, 1, 1], labels: [0], classNames: ["a"]) }
    }

    @Test func splitsEveryClass() throws {
        let (training, heldOut) = try sample().split(holdingOut: 3)
        #expect(heldOut.images == [2, 5, 8, 11, 14, 17, 22])
        #expect(training.count == 16)
        #expect(throws: DataError.self) { _ = try sample().split(holdingOut: 1) }
    }
}
