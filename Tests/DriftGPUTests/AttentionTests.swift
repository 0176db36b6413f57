import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite struct AttentionTests {
    /// Positions that come in parts, whose keys and values were kept, get what they get at once.
    @Test(arguments: TestDevice.shapes, [AttentionMask.causal, .groups(prefix: 3, block: 3)])
    func positionsMayComeInParts(_ shape: TeamShape, _ mask: AttentionMask) throws {
        try TestDevice.with(shape) { device in
            let (positions, width) = (36, 12)
            let graph = Graph()
            let query = try graph.input("query", [1, positions, width])
            let (key, value) = (try graph.input("key", [1, positions, width]), try graph.input("value", [1, positions, width]))
            let whole = try graph.crossAttention(query: query, key: key, value: value, heads: 1, mask: mask)
            let parts = try [0..<17, 17..<18, 18..<36].map { part in
                try graph.crossAttention(
                    query: graph.slice(query, axis: 1, part), key: key, value: value, heads: 1, mask: mask.from(part.lowerBound))
            }
            ([whole] + parts).forEach(graph.output)
            let executor = try DeviceMemory(device).executor(graph)
            var random = TestRandom(7)
            for input in [query, key, value] {
                try executor.write((0..<input.count).map { _ in Float(random.normal()) }, to: input)
            }
            try executor.run()
            let (want, got) = (try executor.read(whole), try parts.flatMap { try executor.read($0) })
            #expect(want.count == got.count && zip(want, got).allSatisfy { abs($0 - $1) < 1e-5 })
        }
    }

    @Test func masksMustBeMasks() throws {
        let graph = Graph()
        let (query, key) = (try graph.input("query", [2, 5, 8]), try graph.input("key", [2, 7, 8]))
        func attend(_ mask: AttentionMask) throws -> [Int] {
            try graph.crossAttention(query: query, key: key, value: key, heads: 1, mask: mask).shape
        }
        #expect(try attend(.none) == [2, 5, 8] && attend(.causal.from(2)) == [2, 5, 8])
        for wrong in [
            AttentionMask(prefix: 0, block: 0), .init(prefix: -1, block: 1), .init(prefix: 0, block: .max), .causal.from(-1),
            .causal.from(3), .causal.from(.max),
        ] {
            let error = #expect(throws: GraphError.self) { try attend(wrong) }
            #expect(error.map { $0.description.hasPrefix("attention: ") && !$0.description.contains("\n") } == true)
        }
        #expect(throws: GraphError.self) { try graph.selfAttention(graph.input("qkv", [1, 4, 24]), heads: 1, mask: .causal.from(1)) }
    }

    /// One row of keys is far above the others: the maximum has to come out before the exponential.
    @Test(arguments: TestDevice.shapes, [12, 16]) func largeScoresDoNotOverflow(_ shape: TeamShape, _ headDim: Int) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let qkv = try graph.input("qkv", [1, 3, 3 * headDim])
            let out = try graph.selfAttention(qkv, heads: 1)
            graph.output(out)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            var values = [Float](repeating: 0, count: 9 * headDim)
            for row in 0..<3 {
                let start = 3 * headDim * row
                values[start] = 1e3
                values[start + headDim] = row == 1 ? 1e3 : -1e3
                for column in 0..<headDim { values[start + 2 * headDim + column] = Float(20 * row + column) }
            }
            try executor.write(values, to: qkv)
            try executor.run()
            let got = try executor.read(out)
            for index in got.indices { #expect(abs(got[index] - Float(20 + index % headDim)) < 1e-4) }
        }
    }

    /// A value that is not a number reaches the output: the step that meets it must be seen to fail.
    @Test(arguments: TestDevice.shapes, [12, 16]) func notANumberIsKept(_ shape: TeamShape, _ headDim: Int) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let qkv = try graph.input("qkv", [1, 5, 3 * headDim])
            let out = try graph.selfAttention(qkv, heads: 1, mask: .causal)
            graph.output(out)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            var values = [Float](repeating: 0.5, count: 15 * headDim)
            values[3 * headDim * 2 + headDim] = .nan
            try executor.write(values, to: qkv)
            try executor.run()
            let got = try executor.read(out)
            #expect(got[..<(2 * headDim)].allSatisfy { $0 == 0.5 })
            #expect(got[(2 * headDim)...].allSatisfy { $0.isNaN })
        }
    }

    /// Dropout factors [B, H, N, M] of a size with at most head_dim keys: equal scores and unit values show them.
    static func kept(
        _ size: AttentionReference, _ probability: Float, _ shape: TeamShape, precision: Precision = .fp32
    ) throws -> [Double] {
        let query = [Double](repeating: 0, count: size.batch * size.queries * size.width)
        let key = [Double](repeating: 0, count: size.batch * size.keys * size.width)
        let value = key.indices.map { index in index / size.width % size.keys == index % size.headDim ? 1.0 : 0 }
        let out = try run(size, [query, key, value], nil, probability, shape, precision: precision)[0]
        var factors: [Double] = []
        for b in 0..<size.batch {
            for h in 0..<size.heads {
                for i in 0..<size.queries {
                    for j in 0..<size.keys {
                        factors.append(out[((b * size.queries + i) * size.heads + h) * size.headDim + j] * Double(size.keys))
                    }
                }
            }
        }
        return factors
    }

    /// The output with dropout and, with a seed, the gradients.
    static func run(
        _ size: AttentionReference, _ points: [[Double]], _ seed: [Double]?, _ probability: Float, _ shape: TeamShape,
        precision: Precision = .fp32
    ) throws -> [[Double]] {
        try TestDevice.with(shape, precision: precision) { device in
            let graph = Graph()
            let clock = try graph.input("clock", [4], .uint32)
            let query = try graph.input("query", [size.batch, size.queries, size.width])
            let key = try graph.input("key", [size.batch, size.keys, size.width])
            let value = try graph.input("value", [size.batch, size.keys, size.width])
            let out = try graph.crossAttention(
                query: query, key: key, value: value, heads: size.heads,
                dropout: Dropout(probability: probability, clock: clock))
            let dout = try graph.input("dout", out.shape)
            // Each kernel takes seconds to compile.
            let gradients = seed == nil ? [] : try graph.gradients(of: [(out, dout)], withRespectTo: [query, key, value])
            let wanted = [out] + gradients.compactMap { $0 }
            wanted.forEach(graph.output)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write([5, 6, 7, 8] as [UInt32], to: clock)
            for (tensor, values) in zip([query, key, value], points) { try executor.write(values.map(Float.init), to: tensor) }
            if let seed { try executor.write(seed.map(Float.init), to: dout) }
            try executor.run()
            return try wanted.map { try executor.read($0).map(Double.init) }
        }
    }

    /// The second size takes more than one block of queries and of keys in every shape.
    @Test(arguments: [
        AttentionReference(batch: 2, queries: 37, keys: 13, heads: 2, headDim: 16),
        AttentionReference(batch: 1, queries: 70, keys: 75, heads: 1, headDim: 80),
    ], TestDevice.shapes)
    func dropoutActsOnTheWeights(_ size: AttentionReference, _ shape: TeamShape) throws {
        if TestDevice.isSmall, size.headDim > 16 { return }
        try Self.checkDropout(size, shape)
    }

    /// Weights are dropped as often as asked, the same in every shape, and the gradients are those of the weights kept.
    static func checkDropout(_ size: AttentionReference, _ shape: TeamShape) throws {
        let kept = try Self.kept(size, 0.25, shape)
        #expect(kept.allSatisfy { abs($0) < 1e-6 || abs($0 - 4.0 / 3) < 1e-5 })
        let dropped = Double(kept.count { $0 < 0.5 }) / Double(kept.count)
        #expect(abs(dropped - 0.25) < 0.05)
        // The same in every shape.
        #expect(try Self.kept(size, 0.25, .cpu16).map { $0 > 0.5 } == kept.map { $0 > 0.5 })

        var random = TestRandom(11)
        let count = (size.batch * size.queries * size.width, size.batch * size.keys * size.width)
        let points = [count.0, count.1, count.1, count.0].map { (0..<$0).map { _ in Double(Float(random.normal())) } }
        let (out, gradients) = size.attention(
            points[0], points[1], points[2], dout: points[3], kept: kept.map { $0 > 0.5 ? 4.0 / 3 : 0 })
        let got = try Self.run(size, Array(points.prefix(3)), points[3], 0.25, shape)
        for (got, want) in zip(got, [out] + gradients) {
            let error = zip(got, want).map { abs($0 - $1) }.max() ?? .infinity
            #expect(error < 2e-5)
        }
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let packed = try graph.input("packed", [2, 5, 24])
        #expect(throws: GraphError.self) { try graph.selfAttention(packed, heads: 3) }
        #expect(throws: GraphError.self) { try graph.selfAttention(packed, heads: 0) }
        #expect(throws: GraphError.self) { try graph.selfAttention(graph.input("odd", [2, 5, 25]), heads: 1) }
        #expect(throws: GraphError.self) { try graph.selfAttention(graph.input("flat", [10, 24]), heads: 1) }
        #expect(throws: GraphError.self) { try graph.selfAttention(graph.input("wide", [1, 2, 3 * 129]), heads: 1) }
        let (query, key) = (try graph.input("query", [4, 3, 8]), try graph.input("key", [3, 5, 8]))
        #expect(throws: GraphError.self) { try graph.crossAttention(query: query, key: key, value: key, heads: 1) }
        let value = try graph.input("value", [3, 6, 8])
        #expect(throws: GraphError.self) { try graph.crossAttention(query: key, key: key, value: value, heads: 1) }
    }
}
