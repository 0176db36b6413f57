/// One kind of computation: its shape rule, its gradient rule and the commands that carry it out.
///
/// An operation is a value that holds its attributes (epsilon, mask, factor); inputs and outputs belong to the node.
/// To add one: a struct that conforms, in `Operations/SUBJECT/Name.swift`, with an `extension Graph` method that users call:
///
///     extension Graph {
///         public func add(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(Add(), a, b)[0] }
///     }
public protocol Operation: Sendable {
    /// Name in plans, profiles and errors, for example `layer_norm`; the kernel family's name where there is one.
    var name: String { get }

    /// The shape rule: types of the outputs for the given inputs. Throws a `GraphError` that names both shapes.
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType]

    /// The gradient rule: adds backward nodes to `graph` and returns one gradient per input, nil where none flows.
    /// `gradients[i]` is the gradient of output i, already in that output's shape, or nil when nothing depends on it.
    /// Only rules for inputs with `needs[i]` have to be built.
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?]

    /// Scratch tensors the commands need, given the types and the device.
    func scratch(_ context: LaunchContext) -> [TensorType]

    /// The commands of one execution, in order.
    func commands(_ context: LaunchContext) -> [Command]

    /// Input and output pairs that may share memory: the kernel reads each element before it writes it, and reads it
    /// nowhere else.
    var inPlace: [(input: Int, output: Int)] { get }

    /// Inputs that the commands write to (stored tensors: moments, ring buffers). Such a node is never removed.
    var mutatedInputs: [Int] { get }

    /// Inputs whose rows (of the last axis) the commands read at whatever stride the context says: such an input can be a part of
    /// a larger tensor, read where it lies.
    var stridedInputs: [Int] { get }

    /// Outputs whose rows the commands write at whatever stride the context says.
    var stridedOutputs: [Int] { get }

    /// True when output 0 is input 0 in the same memory and nothing is launched.
    var isView: Bool { get }

    /// The operation that does this one and then `consumer`, whose input `index` is this one's output 0; nil when the
    /// two do not fuse. The fused node's inputs are this node's, then the consumer's without input `index`; its outputs
    /// are the consumer's, then this node's from output 1 on, then, if `keepsIntermediate`, this node's output 0.
    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool) -> (any Operation)?
}

extension Operation {
    public func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        throw GraphError("\(name): has no gradient; detach its result first")
    }
    public func scratch(_ context: LaunchContext) -> [TensorType] { [] }
    public var inPlace: [(input: Int, output: Int)] { [] }
    public var mutatedInputs: [Int] { [] }
    public var stridedInputs: [Int] { [] }
    public var stridedOutputs: [Int] { [] }
    public var isView: Bool { false }
    public func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool) -> (any Operation)? { nil }
}

/// An operation applied to tensors.
public struct Node: Sendable {
    public let operation: any Operation
    public let inputs: [Tensor]
    public let outputs: [Tensor]
    /// What of the model it belongs to, for figures; nil where nobody said.
    public let part: String?
}

/// What an operation may ask of the device when it makes its commands. No OpenCL here: a schedule can be made and
/// printed without a device.
public struct DeviceTraits: Sendable, Hashable {
    /// Work-items of a team: 1 in the CPU shape, a power of two in the GPU shape.
    public var teamSize: Int
    /// Consecutive floats a work-item holds: 4, 8 or 16.
    public var lanes: Int
    public var computeUnits: Int
    /// Bytes of local memory a work-group may use.
    public var localMemory: Int
    /// Work-items of the largest work-group.
    public var maxWorkGroupSize: Int

    /// Work-items of the largest group that a kernel of the GPU shape asks for. Devices with smaller groups take the CPU
    /// shape, whose groups are single work-items.
    public static let gpuWorkGroupSize = 256

    public init(
        teamSize: Int, lanes: Int, computeUnits: Int, localMemory: Int = 32 << 10,
        maxWorkGroupSize: Int = Self.gpuWorkGroupSize
    ) {
        self.teamSize = teamSize
        self.lanes = lanes
        self.computeUnits = computeUnits
        self.localMemory = localMemory
        self.maxWorkGroupSize = maxWorkGroupSize
    }

    /// True for work-groups with local memory, false for single work-items with wide vectors.
    public var isGPUShape: Bool { teamSize > 1 }
    /// Teams that keep the device busy without making groups too small.
    public var teams: Int { isGPUShape ? computeUnits * 16 : computeUnits * 8 }
}

/// What an operation sees when it makes its commands.
public struct LaunchContext: Sendable {
    public let inputs: [TensorType]
    public let outputs: [TensorType]
    /// Elements from one row of an input, or of an output, to the next: the columns, except of those that may be strided.
    let inputStrides: [Int]
    let outputStrides: [Int]
    public let traits: DeviceTraits
    public let gemm: any GEMMProvider

    public init(inputs: [TensorType], outputs: [TensorType], traits: DeviceTraits, gemm: any GEMMProvider) {
        self.init(
            inputs: inputs, outputs: outputs, inputStrides: inputs.map(\.columns), outputStrides: outputs.map(\.columns),
            traits: traits, gemm: gemm)
    }

    init(
        inputs: [TensorType], outputs: [TensorType], inputStrides: [Int], outputStrides: [Int], traits: DeviceTraits,
        gemm: any GEMMProvider
    ) {
        self.inputs = inputs
        self.outputs = outputs
        self.inputStrides = inputStrides
        self.outputStrides = outputStrides
        self.traits = traits
        self.gemm = gemm
    }

    /// A row kernel over `rows` rows: as many teams as keep the device busy, never more than rows. `indices` where the
    /// kernel counts further than to `rows`; see `Launch`.
    public func rowLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], rows: Int, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()) -> Command {
        let teams = max(1, min(rows, traits.teams))
        return teamLaunch(
            kernel, family: family, defines: defines, teams: teams, indices: max(rows, indices ?? 0), arguments: arguments,
            traffic: traffic)
    }

    /// An element-wise kernel over `count` elements. `indices` where the kernel counts anything in 32 bits; see `Launch`.
    public func elementLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], count: Int, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()) -> Command {
        // A chunk of at least 1024 elements for each CPU work-item: under that the dispatch costs more than the work.
        let chunk = traits.isGPUShape ? traits.teamSize * traits.lanes : 1024
        return rowLaunch(
            kernel, family: family, defines: defines, rows: (count + chunk - 1) / chunk, indices: indices,
            arguments: arguments, traffic: traffic)
    }

    /// Exactly `teams` teams.
    public func teamLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], teams: Int, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()) -> Command {
        .kernel(
            Launch(
                kernel: kernel, family: family, defines: defines, arguments: arguments,
                global: [teams * traits.teamSize], local: [traits.teamSize], indices: max(teams, indices ?? 0),
                traffic: traffic))
    }
}

/// Least work a launch does: bytes that must cross the memory bus once, and floating-point operations.
public struct Traffic: Sendable, Hashable {
    public var bytes: Int
    public var flops: Int
    public init(bytes: Int = 0, flops: Int = 0) {
        self.bytes = bytes
        self.flops = flops
    }
}

/// A kernel argument. A tensor becomes two: its buffer and its offset in elements.
public enum Argument: Sendable, Hashable {
    /// Input i of the node, from an element offset on.
    case input(Int, offset: Int = 0)
    case output(Int, offset: Int = 0)
    case scratch(Int, offset: Int = 0)
    case int(Int)
    case float(Float)
    /// Local memory of so many bytes.
    case local(Int)
}

/// One kernel launch.
public struct Launch: Sendable, Hashable {
    /// Function name.
    public var kernel: String
    /// The .cl file's name, without ending.
    public var family: String
    /// -D values beyond those of the device.
    public var defines: [String: String]
    public var arguments: [Argument]
    public var global: [Int]
    public var local: [Int]
    /// Where the kernel's 32-bit loops over rows, blocks of rows or groups end. A schedule refuses what 32 bits do not hold;
    /// integer arguments are looked at by themselves, offsets of elements are calculated in 64 bits.
    public var indices: Int
    public var traffic: Traffic

    public init(
        kernel: String, family: String, defines: [String: String] = [:], arguments: [Argument], global: [Int],
        local: [Int], indices: Int = 0, traffic: Traffic = Traffic()) {
        self.kernel = kernel
        self.family = family
        self.defines = defines
        self.arguments = arguments
        self.global = global
        self.local = local
        self.indices = indices
        self.traffic = traffic
    }
}

/// One entry of the replayed list.
public enum Command: Sendable {
    case kernel(Launch)
    /// A matrix product by the BLAS library of the device.
    case library(GEMM)

    public var traffic: Traffic {
        switch self {
        case .kernel(let launch): launch.traffic
        case .library(let gemm): gemm.traffic
        }
    }
}
