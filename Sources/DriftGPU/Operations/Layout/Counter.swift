/// A number on the device that graphs advance themselves: which step of a loop this is, without the host. One storage of its
/// name holds it, for all graphs that name it; it begins at 0.
public struct Counter: Sendable {
    /// [1] uint32.
    public let value: Tensor

    public init(_ graph: Graph, name: String) throws { value = try graph.input(name, [1], .uint32) }
}

/// Moves a counter: by one, or back to 0. Input: the counter's value (stored, written to).
struct CounterStep: Operation {
    let resets: Bool

    var name: String { "counter_step" }
    var mutatedInputs: [Int] { [0] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [] }
    func commands(_ context: LaunchContext) -> [Command] {
        [context.teamLaunch("counter_step", family: "counter", teams: 1, arguments: [.input(0), .int(resets ? 1 : 0)])]
    }
}

/// The row of a table that a counter says, the last one where it is past the end. Inputs: table [T, W], counter [1] uint32.
struct SelectRow: Operation {
    var name: String { "select_row" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .float32, inputs[1] == TensorType([1], .uint32) else {
            throw GraphError("select_row: table \(inputs[0]) by \(inputs[1]); a table [T, W] and a counter [1] uint32 are needed")
        }
        return [TensorType([inputs[0].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let width = context.inputs[0].columns
        return [
            context.elementLaunch(
                "counter_select", family: "counter", count: width,
                arguments: [.input(0), .input(1), .output(0), .int(context.inputs[0].rows), .int(width)],
                traffic: Traffic(bytes: 8 * width))
        ]
    }
}

extension Graph {
    /// Has each run add 1 to the counter. Nodes added before this read what it was, those added later what it is then. It
    /// wraps at 2^32.
    public func advance(_ counter: Counter) throws { _ = try apply(CounterStep(resets: false), counter.value) }

    /// Has each run set the counter to 0: how the loop inside another one begins again.
    public func reset(_ counter: Counter) throws { _ = try apply(CounterStep(resets: true), counter.value) }

    /// Row `counter` of `table` [T, W], its last row where the counter is T or more: [W]. A step's coefficients, for example.
    /// No gradient.
    public func selectRow(_ table: Tensor, _ counter: Counter) throws -> Tensor { try selectRow(table, counter.value) }

    /// The same by a number on the device, [1] uint32.
    public func selectRow(_ table: Tensor, _ number: Tensor) throws -> Tensor { try apply(SelectRow(), table, number)[0] }
}
