import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct DriftFieldTests {
    /// The force of Algorithm 2 on points x [2, G, S], one after the other for each temperature.
    private func force(
        on x: [Float], positive: [Float], negative: [Float], width: Int, _ shape: TeamShape
    ) throws -> [Float] {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let lists = [x, positive, negative]
            let tensors = try lists.indices.map {
                try graph.input("points\($0)", [2, lists[$0].count / (2 * width), width])
            }
            let targets = DriftTargets(positive: tensors[1], negative: tensors[2], includesSamples: false)
            let (distance, scale) = try graph.pairwiseDistance(tensors[0], to: targets)
            let force = try graph.driftField(
                tensors[0], targets: targets, distance: distance, scale: scale,
                affinity: .drifting(temperatures: [0.1, 0.5, 2])
            ).force
            graph.output(force)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            for (tensor, list) in zip(tensors, lists) { try executor.write(list, to: tensor) }
            try executor.run()
            return try executor.read(force)
        }
    }

    private func points(_ random: inout TestRandom, _ count: Int) -> [Float] {
        (0..<count).map { _ in Float(random.normal()) }
    }

    private func largest(_ values: [Float]) -> Float { values.reduce(0) { max($0, abs($1)) } }

    /// Equilibrium: where what is generated is the data, nothing moves.
    @Test(arguments: TestDevice.shapes) func vanishesWhereGeneratedIsReal(_ shape: TeamShape) throws {
        var random = TestRandom(5)
        let width = 6
        let data = points(&random, 2 * 19 * width)
        let x = points(&random, 2 * 23 * width)
        let others = points(&random, 2 * 19 * width)
        for start in [data, x] {
            let still = try force(on: start, positive: data, negative: data, width: width, shape)
            let moved = try force(on: start, positive: data, negative: others, width: width, shape)
            #expect(largest(still) < 1e-6 * max(largest(moved), 1))
            #expect(largest(moved) > 1e-2)
        }
    }

    /// V(p, q) = -V(q, p), for sets of different sizes.
    @Test(arguments: TestDevice.shapes) func isAntiSymmetric(_ shape: TeamShape) throws {
        var random = TestRandom(11)
        for (samples, p, q, width) in [(16, 24, 24, 2), (9, 31, 14, 20), (5, 1, 8, 33)] {
            let x = points(&random, 2 * samples * width)
            let (positive, negative) = (points(&random, 2 * p * width), points(&random, 2 * q * width))
            let one = try force(on: x, positive: positive, negative: negative, width: width, shape)
            let other = try force(on: x, positive: negative, negative: positive, width: width, shape)
            #expect(largest(one) > 1e-3)
            #expect(largest(zip(one, other).map(+)) < 1e-5 * largest(one))
        }
    }
}
