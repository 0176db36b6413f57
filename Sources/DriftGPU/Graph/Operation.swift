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
