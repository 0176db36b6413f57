import Foundation
import Testing

import DriftGPU

/// One operation at one size: how its inputs are drawn, how it is built, and what it should give in double precision.
///
/// `OperationCase.check` runs it in a team shape between sentinels and compares every output with `reference`, and the
/// gradient of sum(output * random weights) with central differences of `reference`.
public struct OperationCase: Sendable, CustomTestStringConvertible {
    /// An input's shape and values.
    public struct Input: Sendable {
        public enum Values: Sendable {
            case normal(Double)
            case uniform(Double, Double)
            case floats([Float])
            case integers([Int32])
            case words([UInt32])
        }
        public let shape: [Int]
        public var values: Values = .normal(1)
        /// Whether the gradient with respect to it is checked.
        public var isDifferentiable = true

        public init(shape: [Int], values: Values = .normal(1), isDifferentiable: Bool = true) {
            self.shape = shape
            self.values = values
            self.isDifferentiable = isDifferentiable
        }
    }

    public let name: String
    public let inputs: [Input]
    /// Adds the operation to a graph; returns the outputs that are compared.
    public let build: @Sendable (Graph, [Tensor]) throws -> [Tensor]
    /// The same outputs from the same inputs (integers as doubles), in double precision.
    public let reference: @Sendable ([[Double]]) -> [[Double]]
    /// Largest error allowed, in units of the largest value of the tensor.
    public var tolerance: Double
    public var gradientTolerance: Double
    /// Step of the central differences.
    public var step: Double
    /// Outputs (by position) through which gradients are taken; nil: all.
    public var gradientOutputs: [Int]?

    public init(
        name: String, inputs: [Input], build: @escaping @Sendable (Graph, [Tensor]) throws -> [Tensor],
        reference: @escaping @Sendable ([[Double]]) -> [[Double]], tolerance: Double = 2e-5,
        gradientTolerance: Double = 1e-4, step: Double = 1e-4, gradientOutputs: [Int]? = nil
    ) {
        self.name = name
        self.inputs = inputs
        self.build = build
        self.reference = reference
        self.tolerance = tolerance
        self.gradientTolerance = gradientTolerance
        self.step = step
        self.gradientOutputs = gradientOutputs
    }

    public var testDescription: String { name }

    /// Runs the case, its matrix products by `gemm`, and records an issue for every disagreement.
    public func check(
        _ shape: TeamShape, gemm: String = "native", precision: Precision = .fp32,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        // What a device with an interpreter does in a second or so.
        if TestDevice.isSmall, inputs.reduce(0, { $0 + $1.shape.reduce(1, *) }) > 4096 { return }
        try TestDevice.with(shape, gemm: gemm, precision: precision) { device in
            var random = TestRandom(UInt64(name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xFFFF_FFFF }))
            let graph = Graph()
            var tensors: [Tensor] = []
            var values: [[Double]] = []
            for (index, input) in inputs.enumerated() {
                let count = input.shape.reduce(1, *)
                var element = ElementType.float32
                switch input.values {
                case .normal(let scale): values.append((0..<count).map { _ in Double(Float(random.normal() * scale)) })
                case .uniform(let low, let high):
                    values.append((0..<count).map { _ in Double(Float(random.uniform(low, high))) })
                case .floats(let list): values.append(list.map(Double.init))
                case .integers(let list):
                    values.append(list.map(Double.init))
                    element = .int32
                case .words(let list):
                    values.append(list.map(Double.init))
                    element = .uint32
                }
                tensors.append(try graph.input("input\(index)", input.shape, element))
            }
            let outputs = try build(graph, tensors)
            outputs.forEach(graph.output)
            let expected = reference(values)
            #expect(expected.count == outputs.count, "\(name): reference gives \(expected.count) outputs", sourceLocation: sourceLocation)
            let weights = expected.map { output in output.map { _ in Double(Float(random.normal())) } }

            let targets = inputs.indices.filter { inputs[$0].isDifferentiable && tensors[$0].type.element == .float32 }
            var gradients: [Tensor?] = []
            let through = gradientOutputs ?? Array(outputs.indices)
            if !targets.isEmpty {
                let seeds = try through.map { index in
                    (tensor: outputs[index], seed: try graph.input("seed\(index)", outputs[index].shape))
                }
                gradients = try graph.gradients(of: seeds, withRespectTo: targets.map { tensors[$0] })
                gradients.compactMap { $0 }.forEach(graph.output)
            }
            var options = Schedule.Options()
            options.guardBytes = 256
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
            for index in inputs.indices {
                switch tensors[index].type.element {
                case .int32: try executor.write(values[index].map { Int32($0) }, to: tensors[index])
                case .uint32: try executor.write(values[index].map { UInt32($0) }, to: tensors[index])
                default: try executor.write(values[index].map { Float($0) }, to: tensors[index])
                }
            }
            if !targets.isEmpty {
                for index in through {
                    let storage = Storage("seed\(index)", count: outputs[index].count)
                    try executor.memory.write(weights[index].map { Float($0) }, to: storage)
                }
            }
            try executor.run()

            for (index, output) in outputs.enumerated() {
                compare(
                    try executor.read(output).map { Double($0) }, expected[index], tolerance, "output \(index), \(shape)",
                    sourceLocation)
            }
            for (position, target) in targets.enumerated() where !TestDevice.isSmall {
                guard let gradient = gradients[position] else {
                    Issue.record("\(name): no gradient for input \(target)", sourceLocation: sourceLocation)
                    continue
                }
                let got = try executor.read(gradient).map { Double($0) }
                let count = values[target].count
                // Every element of a small input, a sample of a large one.
                let elements = count <= 48 ? Array(0..<count) : (0..<48).map { _ in Int(random.next() % UInt64(count)) }
                var numeric: [Double] = []
                for element in elements {
                    func objective(_ offset: Double) -> Double {
                        var moved = values
                        moved[target][element] += offset
                        let result = reference(moved)
                        return through.reduce(0) { sum, index in
                            sum + zip(result[index], weights[index]).reduce(0) { $0 + $1.0 * $1.1 }
                        }
                    }
                    numeric.append((objective(step) - objective(-step)) / (2 * step))
                }
                let scale = max(got.map(abs).max() ?? 0, numeric.map(abs).max() ?? 0)
                compare(
                    elements.map { got[$0] }, numeric, gradientTolerance, "gradient of input \(target), \(shape)", sourceLocation,
                    scale: scale)
            }
            let damage = try executor.damage()
            #expect(damage.isEmpty, "\(name), \(shape): written outside: \(damage)", sourceLocation: sourceLocation)

            if TestDevice.isSmall { return }
            // The same run twice gives the same bits.
            let first = try outputs.map { try executor.read($0).map(\.bitPattern) }
            try executor.run()
            let second = try outputs.map { try executor.read($0).map(\.bitPattern) }
            #expect(first == second, "\(name), \(shape): two runs differ", sourceLocation: sourceLocation)
        }
    }

    private func compare(
        _ got: [Double], _ want: [Double], _ tolerance: Double, _ what: String, _ sourceLocation: SourceLocation,
        scale: Double? = nil
    ) {
        guard got.count == want.count else {
            Issue.record("\(name), \(what): \(got.count) values, \(want.count) expected", sourceLocation: sourceLocation)
            return
        }
        let scale = max(scale ?? want.map(abs).max() ?? 0, 1e-12)
        var worst = 0.0
        var place = 0
        for index in got.indices {
            let error = abs(got[index] - want[index])
            if !(error <= worst) {
                worst = error
                place = index
                if error.isNaN { break }
            }
        }
        if !(worst <= tolerance * scale) {
            Issue.record(
                "\(name), \(what): element \(place) is \(got[place]), expected \(want[place]); error \(worst / scale) of the largest value, allowed \(tolerance)",
                sourceLocation: sourceLocation)
        }
    }
}
