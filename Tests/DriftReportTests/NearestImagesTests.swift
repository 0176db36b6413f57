import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

@Suite struct NearestImagesTests {
    private func images(_ values: [[Float]], width: Int = 3) throws -> Dataset {
        let height = values[0].count / width
        return try Dataset(
            images: values.flatMap { $0 }, shape: [values.count, 1, height, width], labels: values.map { _ in 0 }, classNames: ["a"])
    }

    @Test("copies come first, mirrored ones too, each with what it is a copy of")
    func copies() throws {
        let training = try images([[0, 0, 0, 0, 0, 0], [1, 0.5, 0, 0.2, 0, 0], [-1, -1, 0, -1, -1, 0.5]])
        let set = try images([[0.5, 0.5, 0.5, 0, 0, 0], [0, -1, -1, 0.5, -1, -1], [1, 0.5, 0.1, 0.2, 0, 0], [.nan, 0, 0, 0, 0, 0]])
        let nearest = try NearestImages(of: set, in: training)
        #expect(nearest.pairs.map(\.image) == [1, 2, 0])
        #expect(nearest.pairs.map(\.real) == [2, 1, 1])
        #expect(nearest.pairs.map(\.isMirrored) == [true, false, false])
        #expect(nearest.pairs[0].distance == 0 && abs(nearest.pairs[1].distance - 0.1) < 1e-6)
        // Six images of 3x2 with a margin around each, every pixel 24 wide.
        let picture = try nearest.picture()
        #expect((picture.width, picture.height) == (6 * (3 * 24 + 1) + 1, 2 * 24 + 2))
        // A copy and what it is a copy of look alike: the mirrored picture is shown mirrored.
        let row = Array(picture.pixels[(picture.width * 2)..<(picture.width * 3)])
        #expect(row[1..<73] == row[74..<146])
        #expect(try NearestImages(of: set, in: training, limit: 1).pairs.count == 1)
    }

    @Test("images of another size and no training images are refused")
    func refused() throws {
        let set = try images([[0, 0, 0]])
        #expect(throws: DataError.self) { _ = try NearestImages(of: set, in: images([[0, 0]], width: 2)) }
        #expect(throws: DataError.self) { _ = try NearestImages(of: set, in: set.subset([])) }
    }
}
