import DriftGPU

/// What a device reaches at most, measured in the run it is compared with.
public struct Peaks: Codable, Sendable {
    /// Bytes read and written each second by a copy far larger than the caches.
    public let copyBandwidth: Double
    /// Multiply-adds in registers, two operations each, per second.
    public let multiplyAdd: Double
    /// A product of two 1024 x 1024 matrices by the device's GEMM, operations per second.
    public let gemm: Double
    /// Seconds from handing over one empty launch to knowing that it is done.
    public let launch: Double

    /// Measures for about a second.
    public init(_ device: Device) throws {
        let copied = 16 << 20
        let copy = try TimedGraph(device) { graph in
            graph.output(try graph.copy(graph.input("peak_copy", [copied])))
        }
        copyBandwidth = Double(8 * copied) / (try copy.measure(repetitions: 15).minimum)

        multiplyAdd = try Self.multiplyAdd(device)

        let side = 1024
        let product = try TimedGraph(device) { graph in
            graph.output(
                try graph.matrixMultiply(graph.input("peak_left", [side, side]), graph.input("peak_right", [side, side])))
        }
        gemm = Double(2 * side * side * side) / (try product.measure(repetitions: 15).minimum)

        let empty = try TimedGraph(device) { graph in graph.output(try graph.copy(graph.input("peak_empty", [1]))) }
        launch = try empty.measure(repetitions: 200).median
    }

    /// The peak of multiply-adds alone: a few hundredths of a second once its kernel is compiled.
    public static func multiplyAdd(_ device: Device) throws -> Double {
        let timed = try TimedGraph(device) { graph in
            graph.output(try graph.apply(MultiplyAdd(rounds: 1 << 14), [])[0])
        }
        // Of a few that are over in a tenth of a millisecond all can be disturbed, and a peak that is too low makes shares too high.
        return Double(timed.traffic.flops) / (try timed.measure(repetitions: 200).minimum)
    }
}
