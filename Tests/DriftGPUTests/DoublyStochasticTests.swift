import Foundation
import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite struct DoublyStochasticTests {
    /// The states are an inner matter: what counts is the affinity that follows from them.
    @Test(arguments: DriftReference.cases.indices, TestDevice.shapes)
    func statesGiveTheAffinities(_ index: Int, _ shape: TeamShape) throws {
        let drift = DriftReference.cases[index]
        try TestDevice.with(shape) { device in
            var random = TestRandom(UInt64(index))
            let graph = Graph()
            let inputs = drift.inputs
            let x = try inputs.indices.map { try graph.input("x\($0)", inputs[$0].shape) }
            let values = inputs.map { input in
                (0..<input.shape.reduce(1, *)).map { _ in input.shape.count == 3 ? Float(random.normal()) : 1 }
            }
            let (distance, mean) = try graph.pairwiseDistance(x[0], to: drift.targets(x))
            let scale = try graph.driftUnit(x[0], scale: mean, drift.affinity)
            let states = try graph.doublyStochastic(
                distance, scale: scale, drift.affinity, includesSamples: drift.includesSamples)
            for tensor in [distance, scale, states.rows, states.columns] { graph.output(tensor) }
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            for (tensor, list) in zip(x, values) { try executor.write(list, to: tensor) }
            try executor.run()
            let d = try executor.read(distance).map { Double($0) }
            let unit = max(Double(try executor.read(scale)[0]), 1e-3)
            let rows = try executor.read(states.rows).map { Double($0) }
            let columns = try executor.read(states.columns).map { Double($0) }
            let want = drift.evaluate(values.map { $0.map(Double.init) }).affinities
            let (samples, targets) = (drift.samples, drift.targets)
            let planes = 1 + drift.affinity.temperatures.count
            var worst = 0.0
            for (q, temperature) in drift.affinity.temperatures.enumerated() {
                for (place, expected) in want[q].enumerated() {
                    let (b, i, j) = (place / targets / samples, place / targets % samples, place % targets)
                    let row = { plane in rows[(b * planes + plane) * samples + i] }
                    let column = { plane in columns[(b * planes + plane) * targets + j] }
                    let penalty = drift.includesSamples && i == j ? Double(drift.affinity.selfPenalty) * unit : 0
                    let u = d[place] + penalty - row(0) - column(0)
                    let affinity = exp2(-(u / Double(temperature) / unit / M_LN2 + row(1 + q) + column(1 + q)))
                    worst = max(worst, abs(max(affinity, Double(drift.affinity.floor)) - expected))
                }
            }
            #expect(worst < 1e-5, "\(drift.name), \(shape): \(worst)")
        }
    }

    @Test func temperaturesMustBePositiveAndFew() throws {
        let graph = Graph()
        let (distance, scale) = (try graph.input("distance", [2, 3, 4]), try graph.input("scale", [1]))
        for temperatures: [Float] in [[], [0], [-1, 1], [.infinity], [.nan], [Float](repeating: 1, count: 9)] {
            #expect(throws: GraphError.self) {
                try graph.doublyStochastic(
                    distance, scale: scale, DriftAffinity(temperatures: temperatures), includesSamples: true)
            }
        }
    }
}
