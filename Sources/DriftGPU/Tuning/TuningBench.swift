/// The products of a list of sizes on one device, measured and checked with whatever parameters CLBlast has at the time.
final class TuningBench {
    /// One size: its graph, and the result that every parameter set has to give.
    private struct Product {
        let shape: GEMMShape
        let output: Tensor
        let executor: Executor
        var expected: [Float] = []
        var scale: Float = 0
    }

    let shapes: [GEMMShape]
    private let device: Device
    private var products: [Product] = []
    /// Holds the operands of all sizes, in the storages a and b.
    let memory: DeviceMemory

    /// Allocates and draws the operands; computes every product with CLBlast's parameters as they are, and compares samples
    /// of it with double precision. Throws when those already disagree.
    init(_ shapes: [GEMMShape], device: Device) throws {
        self.shapes = shapes
        self.device = device
        memory = DeviceMemory(device)
        let left = Storage("a", count: shapes.map { $0.batch * $0.m * $0.k }.max() ?? 1)
        let right = Storage("b", count: shapes.map { $0.batch * $0.k * $0.n }.max() ?? 1)
        let operands = (a: Self.draw(left.count, multiplier: 0x9E37_79B9), b: Self.draw(right.count, multiplier: 0x85EB_CA6B))
        try memory.write(operands.a, to: left)
        try memory.write(operands.b, to: right)
        for shape in shapes {
            let graph = Graph()
            let batch = shape.batch > 1 ? [shape.batch] : []
            let a = try graph.stored(batch + (shape.transposeA ? [shape.k, shape.m] : [shape.m, shape.k]), in: left)
            let b = try graph.stored(batch + (shape.transposeB ? [shape.n, shape.k] : [shape.k, shape.n]), in: right)
            let output = try graph.matrixMultiply(a, b, transposeA: shape.transposeA, transposeB: shape.transposeB)
            graph.output(output)
            let executor = try memory.executor(graph)
            products.append(Product(shape: shape, output: output, executor: executor))
        }
        for index in products.indices {
            let result = try compute(products[index])
            let scale = result.reduce(Float(0)) { max($0, abs($1)) }
            try Self.checkSamples(result, products[index].shape, operands.a, operands.b, allowed: 1e-4 * Double(scale))
            (products[index].expected, products[index].scale) = (result, scale)
        }
    }

    /// Numbers in [-1, 1) that follow from their place.
    private static func draw(_ count: Int, multiplier: UInt32) -> [Float] {
        (0..<count).map { index in
            var bits = UInt32(truncatingIfNeeded: index) &* multiplier
            bits = (bits ^ (bits >> 15)) &* 0x2C1B_3C6D
            return Float(Int32(bitPattern: bits ^ (bits >> 13))) / 2_147_483_648
        }
    }

    /// The product, whose old result is replaced by something that is no number first.
    private func compute(_ product: Product) throws -> [Float] {
        try product.executor.write([Float](repeating: .nan, count: product.output.count), to: product.output)
        try product.executor.run()
        return try product.executor.read(product.output)
    }

    private static func checkSamples(
        _ result: [Float], _ shape: GEMMShape, _ a: [Float], _ b: [Float], allowed: Double
    ) throws {
        let (m, n, k) = (shape.m, shape.n, shape.k)
        // A stride without common factors with most widths, and the last element.
        let places = stride(from: 0, to: result.count, by: max(1, result.count / 509)) + [result.count - 1]
        for place in places {
            let (entry, i, j) = (place / n / m, place / n % m, place % n)
            let sum = (0..<k).reduce(0.0) { sum, step in
                let left = a[entry * m * k + (shape.transposeA ? step * m + i : i * k + step)]
                let right = b[entry * k * n + (shape.transposeB ? j * k + step : step * n + j)]
                return sum + Double(left) * Double(right)
            }
            guard abs(Double(result[place]) - sum) <= allowed else {
                throw DeviceError("CLBlast multiplies \(shape) wrongly here: element \(place) is \(result[place]), not \(sum); use --gemm native")
            }
        }
    }

    enum Outcome {
        /// Milliseconds of every product.
        case times([Double])
        /// The sum, each product as often as it occurs, is above the limit, or time is up.
        case slow
        /// A product fails or differs: which, or why.
        case wrong(String)
    }

    /// Measures every product, until the sum weighted by `counts` is above `limit` or there is no more time, and checks those of which it
    /// is not: most are given up before.
    func measure(_ counts: [Int], limit: Double = .infinity, while hasTime: () -> Bool = { true }) -> Outcome {
        var times: [Double] = []
        var sum = 0.0
        do {
            for (product, count) in zip(products, counts) {
                // Compiles, which is no part of the time.
                try product.executor.run()
                let time = try milliseconds(product.executor)
                times.append(time)
                sum += time * Double(count)
                if sum > limit || !hasTime() { return .slow }
            }
            for product in products {
                let isRight = try zip(compute(product), product.expected).allSatisfy { abs($0 - $1) <= 1e-4 * product.scale }
                guard isRight else { return .wrong("\(product.shape) differs from the first result") }
            }
        } catch {
            return .wrong("\(error)")
        }
        return .times(times)
    }

    /// The best of three series of at least two milliseconds.
    private func milliseconds(_ executor: Executor) throws -> Double {
        let clock = ContinuousClock()
        func series(_ count: Int) throws -> Double {
            try device.finish()
            let elapsed = try clock.measure {
                for _ in 0..<count { try executor.run() }
                try device.finish()
            }
            return elapsed / .milliseconds(1) / Double(count)
        }
        let first = try series(1)
        let count = max(1, min(100, Int(2 / max(first, 1e-3))))
        return min(try series(count), try series(count), try series(count))
    }
}
