import DriftData
import Foundation

/// Points in the plane, within about [-1, 1] both ways, to show the method on.
public enum ToyDistribution: String, CaseIterable, Sendable {
    case swissRoll = "swiss-roll"
    case checkerboard, moons

    /// `count` points, x and y one after the other. The same for the same seed and step.
    public func points(_ count: Int, seed: UInt64, step: Int) -> [Float] {
        let random = Philox(seed: seed)
        return (0..<count).flatMap { index -> [Float] in
            func uniform(_ k: Int) -> Double { random.uniform(stream: Self.stream, tensor: step, element: 4 * index + k) }
            func normal() -> (Double, Double) {
                let element = 2 * index
                return (
                    random.normal(stream: Self.noiseStream, tensor: step, element: element),
                    random.normal(stream: Self.noiseStream, tensor: step, element: element + 1)
                )
            }
            let (a, b) = (uniform(0), uniform(1))
            switch self {
            case .swissRoll:
                // The spiral's length grows with the square of the angle: equally dense along it.
                let (first, last) = (1.2 * Double.pi, 4.4 * Double.pi)
                let angle = (first * first + a * (last * last - first * first)).squareRoot()
                let (dx, dy) = normal()
                let radius = angle / last
                return [Float(radius * cos(angle) + 0.015 * dx), Float(radius * sin(angle) + 0.015 * dy)]
            case .checkerboard:
                // The eight dark fields of a board of four by four.
                let column = Int(4 * a)
                let row = 2 * Int(2 * b) + column % 2
                let (u, v) = (4 * a - Double(column), 2 * b - Double(Int(2 * b)))
                return [Float((Double(column) + u) / 2 - 1), Float((Double(row) + v) / 2 - 1)]
            case .moons:
                let angle = Double.pi * a
                let (dx, dy) = normal()
                let (x, y) = b < 0.5 ? (cos(angle), sin(angle)) : (1 - cos(angle), 0.5 - sin(angle))
                return [Float((x - 0.5 + 0.05 * dx) / 1.55), Float((y - 0.25 + 0.05 * dy) / 1.55)]
            }
        }
    }

    private static let stream: UInt32 = 0x2006_0000
    private static let noiseStream: UInt32 = 0x2007_0000
}

/// Where the generated points are before training.
public enum ToyStart: String, CaseIterable, Sendable {
    /// Outside of the data.
    case far
    /// All but one point, on a piece of the data.
    case collapsed
    /// Spread over the middle.
    case middle

    /// The mean of the points and their deviation.
    func place(_ distribution: ToyDistribution) -> (centre: (Float, Float), deviation: Float) {
        switch self {
        case .far: return ((1.1, 1.1), 0.1)
        case .collapsed:
            let point = distribution.points(1, seed: 5, step: 0)
            return ((point[0], point[1]), 0.004)
        case .middle: return ((0, 0), 0.3)
        }
    }
}
