import DriftData

/// Small changes of training images that leave their class as it is: each is moved, and where asked for mirrored and brought nearer or
/// farther. Digits may not be mirrored or turned, but every picture may be moved.
struct ImageChanges: Sendable {
    /// Pixels that an image is moved at most: a fourteenth of its sides, one at least.
    private let rows: Int
    private let columns: Int
    private let mirrors: Bool
    private let zooms: Bool

    /// The largest zoom; the smallest is one over it.
    private static let zoomLimit = 1.25
    private static let shiftStream: UInt32 = 0x3004_0000
    private static let mirrorStream: UInt32 = 0x3005_0000
    private static let zoomStream: UInt32 = 0x3006_0000
    /// Sizes between the smallest and the largest.
    private static let zoomSteps = 1024

    init(height: Int, width: Int, mirrors: Bool, zooms: Bool) {
        (rows, columns, self.mirrors, self.zooms) = (max(1, height / 14), max(1, width / 14), mirrors, zooms)
    }

    /// How one image is changed.
    private struct Change {
        var down = 0
        var right = 0
        var isMirrored = false
        var zoom = 1.0
    }

    /// The images of those indices, each changed as the seed and the step say; the border is repeated around them.
    func callAsFunction(_ images: [Int], of data: Dataset, _ random: Philox, step: Int) -> [Float] {
        var result: [Float] = []
        result.reserveCapacity(images.count * data.imageSize)
        for (position, image) in images.enumerated() {
            let change = change(random, step: UInt64(step), position: UInt32(position))
            // Where on the image each row and column of the result lies.
            let y = places(data.height, offset: change.down, zoom: change.zoom, isMirrored: false)
            let x = places(data.width, offset: change.right, zoom: change.zoom, isMirrored: change.isMirrored)
            for channel in 0..<data.channels {
                let plane = image * data.imageSize + channel * data.height * data.width
                for row in y {
                    let (upper, lower) = (plane + row.first * data.width, plane + row.second * data.width)
                    for column in x {
                        guard zooms else {
                            result.append(data.images[upper + column.first])
                            continue
                        }
                        func across(_ line: Int) -> Float {
                            data.images[line + column.first] * (1 - column.share) + data.images[line + column.second] * column.share
                        }
                        result.append(across(upper) * (1 - row.share) + across(lower) * row.share)
                    }
                }
            }
        }
        return result
    }

    private func change(_ random: Philox, step: UInt64, position: UInt32) -> Change {
        func draw(_ reach: Int, _ axis: UInt32) -> Int {
            random.below(2 * reach + 1, stream: Self.shiftStream, step: step, element: position * 2 + axis) - reach
        }
        var change = Change(down: draw(rows, 0), right: draw(columns, 1))
        if mirrors { change.isMirrored = random.below(2, stream: Self.mirrorStream, step: step, element: position) == 1 }
        if zooms {
            let drawn = random.below(Self.zoomSteps + 1, stream: Self.zoomStream, step: step, element: position)
            let smallest = 1 / Self.zoomLimit
            change.zoom = smallest + (Self.zoomLimit - smallest) * Double(drawn) / Double(Self.zoomSteps)
        }
        return change
    }

    /// Between which two places a value lies, and how near the second.
    private struct Place {
        let first: Int
        let second: Int
        let share: Float
    }

    /// For each place of a side of the result the place on the image's.
    private func places(_ extent: Int, offset: Int, zoom: Double, isMirrored: Bool) -> [Place] {
        (0..<extent).map { place in
            let moved = place - offset
            let own = isMirrored ? extent - 1 - moved : moved
            guard zooms else {
                let nearest = min(max(own, 0), extent - 1)
                return Place(first: nearest, second: nearest, share: 0)
            }
            let centre = Double(extent - 1) / 2
            let exact = min(max((Double(own) - centre) / zoom + centre, 0), Double(extent - 1))
            let first = Int(exact)
            return Place(first: first, second: min(first + 1, extent - 1), share: Float(exact - Double(first)))
        }
    }
}
