import DriftGPU

/// One operation at one size: how its inputs are drawn, how it is built, and what it should give in double precision.
///
/// `check` compares it with `reference`; tests and `driftgpu selftest` share the cases.
public struct OperationCase: Sendable {
    /// An input's shape and values.
    public struct Input: Sendable {
        /// Where the values come from.
        public enum Values: Sendable {
            case normal(Double)
            case uniform(Double, Double)
            case floats([Float])
            case integers([Int32])
            case words([UInt32])
            case bytes([UInt8])
        }
        public let shape: [Int]
        public var values: Values = .normal(1)
        /// Whether the gradient with respect to it is checked.
        public var isDifferentiable = true

        /// An input of normally distributed values, unless `values` says otherwise.
        public init(shape: [Int], values: Values = .normal(1), isDifferentiable: Bool = true) {
            self.shape = shape
            self.values = values
            self.isDifferentiable = isDifferentiable
        }

        /// Elements of the input.
        public var count: Int { shape.reduce(1, *) }

        var element: ElementType {
            switch values {
            case .normal, .uniform, .floats: .float32
            case .integers: .int32
            case .words: .uint32
            case .bytes: .uint8
            }
        }

        /// The values, rounded to what the device gets.
        func draw(_ random: inout SplitMix64) -> [Double] {
            switch values {
            case .normal(let scale): (0..<count).map { _ in Double(Float(random.normal() * scale)) }
            case .uniform(let low, let high): (0..<count).map { _ in Double(Float(random.uniform(low, high))) }
            case .floats(let list): list.map(Double.init)
            case .integers(let list): list.map(Double.init)
            case .words(let list): list.map(Double.init)
            case .bytes(let list): list.map(Double.init)
            }
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

    /// A case; the tolerances suit single precision.
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

    /// A generator whose sequence depends on the case alone.
    public var random: SplitMix64 {
        SplitMix64(UInt64(name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xFFFF_FFFF }))
    }

    /// Declares the inputs in a graph.
    public func tensors(in graph: Graph) throws -> [Tensor] {
        try inputs.enumerated().map { index, input in try graph.input("input\(index)", input.shape, input.element) }
    }

    /// Draws the values of every input.
    public func values(_ random: inout SplitMix64) -> [[Double]] { inputs.map { $0.draw(&random) } }

    /// Writes the values to the inputs on the device.
    public func write(_ values: [[Double]], to tensors: [Tensor], of executor: Executor) throws {
        for (tensor, list) in zip(tensors, values) {
            switch tensor.type.element {
            case .int32: try executor.write(list.map { Int32($0) }, to: tensor)
            case .uint32: try executor.write(list.map { UInt32($0) }, to: tensor)
            case .uint8: try executor.write(list.map { UInt8($0) }, to: tensor)
            default: try executor.write(list.map { Float($0) }, to: tensor)
            }
        }
    }
}
