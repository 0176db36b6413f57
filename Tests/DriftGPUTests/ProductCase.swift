import Foundation
import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

/// One product with its epilogue, carried out by a device's provider and compared with double precision, element by
/// element, within bounds that follow from the sizes of what is added up.
struct ProductCase: Sendable, CustomTestStringConvertible {
    enum Part: String, CaseIterable, Sendable { case bias, intermediate, gelu, geluDerivative, silu, siluDerivative, residual, gate }

    var m: Int
    var n: Int
    var k: Int
    var transposeA = false
    var transposeB = false
    var batch = 1
    /// One B for all of the batch.
    var sharesB = false
    var alpha: Float = 1
    var accumulates = false
    var parts: Set<Part> = []
    /// Elements in front of each matrix, and behind each of its rows.
    var skew = 0

    var testDescription: String {
        "\(batch) x \(m) x \(n) x \(k)\(transposeA ? " A^T" : "")\(transposeB ? " B^T" : "")\(sharesB ? " shared B" : "")"
            + "\(accumulates ? " accumulated" : "")\(skew > 0 ? " skew \(skew)" : "") "
            + Part.allCases.filter(parts.contains).map(\.rawValue).joined(separator: " ")
    }

    /// A stored matrix, `entries` times, and its elements by position.
    private struct Matrix {
        let rows: Int
        let columns: Int
        let entries: Int
        let skew: Int
        var values: [Float]

        var leadingDimension: Int { columns + skew }
        var stride: Int { rows * leadingDimension }

        init(_ rows: Int, _ columns: Int, entries: Int = 1, skew: Int, random: inout TestRandom) {
            (self.rows, self.columns, self.entries, self.skew) = (rows, columns, entries, skew)
            values = (0..<(skew + entries * rows * (columns + skew))).map { _ in Float(random.normal()) }
        }

        func index(_ entry: Int, _ row: Int, _ column: Int) -> Int {
            skew + (entries > 1 ? entry * stride : 0) + row * leadingDimension + column
        }
        subscript(entry: Int, row: Int, column: Int) -> Double { Double(values[index(entry, row, column)]) }

        /// Other values in the same layout.
        func redrawn(_ random: inout TestRandom) -> Matrix {
            Matrix(rows, columns, entries: entries, skew: skew, random: &random)
        }

        func operand(_ input: Int) -> GEMMOperand {
            GEMMOperand(
                .input(input, offset: skew), leadingDimension: leadingDimension, batchStride: entries > 1 ? stride : 0)
        }
    }

    /// The provider's commands for a product whose operands are the node's inputs; C and the intermediate are written in place.
    private struct Product: DriftGPU.Operation {
        let gemm: GEMM
        var name: String { "product" }
        var mutatedInputs: [Int] { [0, 1] }
        func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [] }
        func scratch(_ context: LaunchContext) -> [TensorType] {
            let count = context.gemm.scratchCount(gemm, traits: context.traits)
            return count > 0 ? [TensorType([count])] : []
        }
        func commands(_ context: LaunchContext) -> [Command] {
            context.gemm.commands(gemm, scratch: .scratch(0), traits: context.traits)
        }
    }

    private static let gateSpan = 6
    private static let gateInner = 3

    /// Runs the case with inputs rounded to `precision`, and records an issue where an element is off.
    func check(_ precision: Precision, sourceLocation: SourceLocation = #_sourceLocation) throws {
        var random = TestRandom(UInt64(m * 31 + n * 17 + k))
        let a = Matrix(transposeA ? k : m, transposeA ? m : k, entries: batch, skew: skew, random: &random)
        let b = Matrix(
            transposeB ? n : k, transposeB ? k : n, entries: sharesB ? 1 : batch, skew: skew, random: &random)
        let c = Matrix(m, n, entries: batch, skew: skew, random: &random)
        let (intermediate, aux, residual) = (c, c.redrawn(&random), c.redrawn(&random))
        let bias = Matrix(1, n, skew: skew, random: &random)
        let gateRows = (m + Self.gateSpan - 1) / Self.gateSpan * Self.gateInner
        let gate = Matrix(gateRows, n, skew: skew, random: &random)
        let inputs = [c, intermediate, a, b, bias, aux, residual, gate]

        var gemm = GEMM(m: m, n: n, k: k, a: a.operand(2), b: b.operand(3), c: c.operand(0))
        (gemm.transposeA, gemm.transposeB, gemm.batch) = (transposeA, transposeB, batch)
        (gemm.alpha, gemm.accumulate) = (alpha, accumulates)
        if parts.contains(.bias) { gemm.epilogue.bias = .input(4, offset: skew) }
        if parts.contains(.intermediate) { gemm.epilogue.intermediate = .input(1, offset: skew) }
        gemm.epilogue.activation =
            !parts.isDisjoint(with: [.gelu, .geluDerivative]) ? .gelu : !parts.isDisjoint(with: [.silu, .siluDerivative]) ? .silu : nil
        if !parts.isDisjoint(with: [.geluDerivative, .siluDerivative]) { gemm.epilogue.derivativeOf = .input(5, offset: skew) }
        if parts.contains(.residual) { gemm.epilogue.residual = .input(6, offset: skew) }
        if parts.contains(.gate) {
            gemm.epilogue.gate = .input(7, offset: skew)
            gemm.epilogue.gateStride = gate.leadingDimension
            (gemm.epilogue.gateSpan, gemm.epilogue.gateInner) = (Self.gateSpan, Self.gateInner)
        }
        let results = try run(gemm, inputs, precision)

        var worst = (excess: 0.0, place: "")
        func compare(_ got: Float, _ want: Double, _ bound: Double, _ place: String) {
            let error = abs(Double(got) - want)
            let excess = error.isNaN ? .infinity : error / bound
            if excess > worst.excess { worst = (excess, "\(place) is \(got), expected \(want) within \(bound)") }
        }
        for entry in 0..<batch {
            for i in 0..<m {
                for j in 0..<n {
                    // The value before the epilogue, its size, and what the rounding of the inputs may change.
                    var (value, size, exact, exactSize) = (0.0, 0.0, 0.0, 0.0)
                    let element = "[\(entry), \(i), \(j)]"
                    for step in 0..<k {
                        let x = transposeA ? a[entry, step, i] : a[entry, i, step]
                        let y = transposeB ? b[entry, j, step] : b[entry, step, j]
                        let product = Self.rounded(x, precision) * Self.rounded(y, precision)
                        value += Double(alpha) * product
                        size += abs(Double(alpha) * product)
                        exact += Double(alpha) * x * y
                        exactSize += abs(Double(alpha) * x * y)
                    }
                    if parts.isEmpty && !accumulates {
                        // Each input is off by half a unit in its last place at most.
                        let unit = exp2(-Double(precision.significantBits))
                        compare(
                            results.c[c.index(entry, i, j)], exact, (2 * unit + unit * unit) * exactSize + 1e-6 * size,
                            "C \(element), without rounding,")
                    }
                    if accumulates { (value, size) = (value + c[entry, i, j], size + abs(c[entry, i, j])) }
                    if parts.contains(.bias) { (value, size) = (value + bias[0, 0, j], size + abs(bias[0, 0, j])) }
                    var error = 1e-6 * size
                    let place = c.index(entry, i, j)
                    if parts.contains(.intermediate) {
                        compare(results.intermediate[place], value, error, "intermediate \(element)")
                    }
                    if parts.contains(.gelu) {
                        // The slope of GELU is below 1.13, the kernel's erf off by 4e-7 at most.
                        error = 1.13 * error + 4e-7 * abs(value)
                        value = ActivationCases.gelu(value)
                    }
                    if parts.contains(.geluDerivative) {
                        let slope = Self.geluDerivative(aux[entry, i, j])
                        error = error * abs(slope) + 7e-7 * abs(value)
                        value *= slope
                    }
                    if parts.contains(.silu) {
                        // The slope of SiLU is below 1.1; an exponential and a division are a few units in the last place.
                        error = 1.1 * error + 4e-7 * abs(value)
                        value = ActivationCases.silu(value)
                    }
                    if parts.contains(.siluDerivative) {
                        let sigmoid = 1 / (1 + exp(-aux[entry, i, j]))
                        let slope = sigmoid + aux[entry, i, j] * sigmoid * (1 - sigmoid)
                        error = error * abs(slope) + 7e-7 * abs(value)
                        value *= slope
                    }
                    if parts.contains(.gate) {
                        let factor = gate[0, i / Self.gateSpan * Self.gateInner + i % Self.gateInner, j]
                        (value, error) = (value * factor, error * abs(factor) + 1e-7 * abs(value * factor))
                    }
                    if parts.contains(.residual) {
                        value += residual[entry, i, j]
                        error += 1e-7 * (abs(value) + abs(residual[entry, i, j]))
                    }
                    compare(results.c[place], value, error + 1e-30, "C \(element)")
                }
            }
        }
        #expect(worst.excess <= 1, "\(testDescription), \(precision): \(worst.place)", sourceLocation: sourceLocation)
    }

    /// C and the intermediate after the product, which must give the same bits twice and write nowhere else.
    private func run(_ gemm: GEMM, _ inputs: [Matrix], _ precision: Precision) throws -> (c: [Float], intermediate: [Float]) {
        try TestDevice.with(.gpu, precision: precision) { device in
            let graph = Graph()
            let tensors = try inputs.enumerated().map { try graph.input("input\($0)", [$1.values.count]) }
            _ = try graph.apply(Product(gemm: gemm), tensors)
            var options = Schedule.Options()
            options.guardBytes = 256
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
            let runs = try (0..<2).map { _ in
                for (tensor, input) in zip(tensors, inputs) { try executor.write(input.values, to: tensor) }
                try executor.run()
                return try tensors.map { try executor.read($0) }
            }
            #expect(runs[0].map { $0.map(\.bitPattern) } == runs[1].map { $0.map(\.bitPattern) }, "two runs differ")
            #expect(try executor.damage() == [], "\(testDescription): written outside")
            // Between the rows of C nothing may change, nor anything that is only read.
            for (index, input) in inputs.enumerated() {
                let written = index == 0 || index == 1 && parts.contains(.intermediate)
                let changed = zip(runs[0][index], input.values).enumerated().first { place, pair in
                    pair.0 != pair.1 && !(written && place >= skew && (place - skew) % input.leadingDimension < n)
                }
                #expect(changed == nil, "\(testDescription): input \(index) was written at \(changed?.offset ?? 0)")
            }
            return (runs[0][0], runs[0][1])
        }
    }

    /// To so many significant bits, in double precision.
    static func rounded(_ x: Double, _ precision: Precision) -> Double {
        guard x != 0, x.isFinite else { return x }
        let unit = scalbn(1, Int(x.exponent) - (precision.significantBits - 1))
        return (x / unit).rounded(.toNearestOrEven) * unit
    }

    private static func geluDerivative(_ x: Double) -> Double {
        0.5 * (1 + erf(x / 2.0.squareRoot())) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    }
}
