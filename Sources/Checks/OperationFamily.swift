/// The cases of one operation: the table that tests and `driftgpu selftest` share.
public struct OperationFamily: Sendable {
    /// The operation's name, like layer_norm.
    public let name: String
    public let cases: [OperationCase]
    /// Whether the cases are about tiles that only the GPU shape has: elsewhere they cost time and show nothing more.
    public let isForGPUShape: Bool
    /// What of the operation `driftgpu bench kernels` does not time, and why; nil where it times all that the cases run. A test
    /// holds this against the schedules that are timed.
    public let untimed: String?

    init(_ name: String, _ cases: [OperationCase], isForGPUShape: Bool = false, untimed: String? = nil) {
        self.name = name
        self.cases = cases
        self.isForGPUShape = isForGPUShape
        self.untimed = untimed
    }

    /// Every operation that has a table.
    public static let all = tables.flatMap { $0.families }
}

/// What a file NameCases.swift of Operations declares. `Scripts/tables` finds the file by its name.
protocol OperationCases: Sendable {
    static var families: [OperationFamily] { get }
}
