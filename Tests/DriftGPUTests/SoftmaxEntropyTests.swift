import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct SoftmaxEntropyTests {
    /// Logits of up to 12 positions, through unit queries in a head of 12 columns.
    static func run(_ logits: [[Double]], buffer: Int, _ shape: TeamShape) throws -> (entropy: [Float], dqkv: [Float]) {
        let (n, d) = (logits.count, 12)
        return try TestDevice.with(shape) { device in
            let graph = Graph()
            let qkv = try graph.input("qkv", [1, n, 3 * d])
            let entropy = try graph.softmaxEntropy(qkv, heads: 1, buffer: buffer)
            let seed = try graph.constant("seed", [Float](repeating: 1, count: entropy.count), entropy.shape)
            let gradient = try #require(graph.gradients(of: [(entropy, seed)], withRespectTo: [qkv])[0])
            graph.output(entropy)
            graph.output(gradient)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            var values = [Float](repeating: 0, count: 3 * n * d)
            for i in 0..<n {
                values[3 * d * i + i] = 1
                for j in 0..<n { values[3 * d * j + d + i] = Float(logits[i][j] * Double(d).squareRoot()) }
            }
            try executor.write(values, to: qkv)
            try executor.run()
            return (try executor.read(entropy), try executor.read(gradient))
        }
    }

    @Test(arguments: TestDevice.shapes) func equalWeightsGiveOne(_ shape: TeamShape) throws {
        let result = try Self.run([[Double]](repeating: [Double](repeating: 0, count: 9), count: 9), buffer: 0, shape)
        #expect(result.entropy[0] == 0)
        #expect(result.entropy[1...].allSatisfy { abs($0 - 1) < 1e-6 && $0 <= 1 })
        #expect(result.dqkv.allSatisfy { abs($0) < 1e-6 })
    }

    /// What is left are the columns at the floor: (R - 1) 1e-8 log 1e-8 / log r.
    @Test(arguments: TestDevice.shapes) func oneColumnGivesTheFloor(_ shape: TeamShape) throws {
        let row = (0..<9).map { $0 == 0 ? 60.0 : 0 }
        let result = try Self.run([[Double]](repeating: row, count: 9), buffer: 0, shape)
        for r in 1..<9 {
            #expect(abs(Double(result.entropy[r]) - 8 * 1.842068e-7 / log(Double(r + 1))) < 1e-7)
        }
    }

    /// The content has less than 1e-8 of each row: the divisor is at its floor, and the gradient reaches the buffer.
    @Test(arguments: TestDevice.shapes) func flooredRowsReachTheBuffer(_ shape: TeamShape) throws {
        let (buffer, n) = (2, 6)
        let logits = (0..<n).map { i in (0..<n).map { j in j < buffer ? 20 : 0.3 * Double((i * j) % 4) } }
        let result = try Self.run(logits, buffer: buffer, shape)
        // Reference entropy of the same logits, and its central differences.
        func entropy(_ logits: [[Double]]) -> [Double] {
            (buffer..<n).map { i in
                guard i > buffer else { return 0 }
                let e = (0..<n).map { $0 < max(buffer, i + 1) ? exp(logits[i][$0]) : 0 }
                let a = e[buffer...].map { $0 / e.reduce(0, +) }
                let w = a.map { max($0 / max(a.reduce(0, +), 1e-8), 1e-8) }
                return min(max(w.reduce(0) { $0 - $1 * log($1) } / log(Double(i - buffer + 1)), 0), 1)
            }
        }
        let expected = entropy(logits)
        for (got, want) in zip(result.entropy, expected) { #expect(abs(Double(got) - want) < 1e-5) }
        var largest = 0.0
        for j in 0..<n {
            for i in buffer..<n {
                var (up, down) = (logits, logits)
                up[i][j] += 1e-5
                down[i][j] -= 1e-5
                let slope = (entropy(up).reduce(0, +) - entropy(down).reduce(0, +)) / 2e-5
                if j < buffer { largest = max(largest, abs(slope)) }
                let got = Double(result.dqkv[36 * j + 12 + i]) * 12.0.squareRoot()
                #expect(abs(got - slope) < 1e-4, "logit \(i), \(j)")
            }
        }
        #expect(largest > 0.1)
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let qkv = try graph.input("qkv", [2, 5, 24])
        #expect(throws: GraphError.self) { try graph.softmaxEntropy(qkv, heads: 1, buffer: 5) }
        #expect(throws: GraphError.self) { try graph.softmaxEntropy(qkv, heads: 1, buffer: -1) }
        #expect(throws: GraphError.self) { try graph.softmaxEntropy(qkv, heads: 3, buffer: 1) }
    }
}
