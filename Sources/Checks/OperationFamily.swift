/// The cases of one operation: the table that tests and `driftgpu selftest` share.
public struct OperationFamily: Sendable {
    /// The operation's name, like layer_norm.
    public let name: String
    public let cases: [OperationCase]
    /// Whether the cases are about tiles that only the GPU shape has: elsewhere they cost time and show nothing more.
    public let isForGPUShape: Bool

    init(_ name: String, _ cases: [OperationCase], isForGPUShape: Bool = false) {
        self.name = name
        self.cases = cases
        self.isForGPUShape = isForGPUShape
    }

    /// Every operation that has a table.
    public static let all = tables.flatMap { $0.families }
}

/// What a file NameCases.swift of Operations declares. `Scripts/tables` finds the file by its name.
protocol OperationCases: Sendable {
    static var families: [OperationFamily] { get }
}
