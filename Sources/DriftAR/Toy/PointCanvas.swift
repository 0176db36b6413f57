import Foundation

/// How much of each pixel of a square is covered by discs: antialiased points of [-1.5, 1.5] both ways, y upwards.
struct PointCanvas {
    let side: Int
    private(set) var coverage: [Float]

    /// Half of what is shown of either axis.
    static let reach: Float = 1.5

    init(side: Int) {
        self.side = side
        coverage = [Float](repeating: 0, count: side * side)
    }

    /// Draws points given as x and y one after the other. Where discs overlap, what one leaves free the other covers.
    mutating func draw(_ points: [Float], radius: Float, opacity: Float) {
        let scale = Float(side) / (2 * Self.reach)
        for index in stride(from: 0, to: points.count - 1, by: 2) {
            // In pixels from the upper left corner, to a quarter of a pixel: the same few discs again and again compress well.
            let x = ((points[index] + Self.reach) * scale * 4).rounded() / 4
            let y = ((Self.reach - points[index + 1]) * scale * 4).rounded() / 4
            guard x > -radius, y > -radius, x < Float(side) + radius, y < Float(side) + radius else { continue }
            let rows = max(0, Int(y - radius - 1))...min(side - 1, max(0, Int(y + radius + 1)))
            let columns = max(0, Int(x - radius - 1))...min(side - 1, max(0, Int(x + radius + 1)))
            for row in rows {
                for column in columns {
                    let (dx, dy) = (Float(column) + 0.5 - x, Float(row) + 0.5 - y)
                    let covered = min(max(radius + 0.5 - (dx * dx + dy * dy).squareRoot(), 0), 1) * opacity
                    let at = row * side + column
                    coverage[at] += (1 - coverage[at]) * covered
                }
            }
        }
    }
}
