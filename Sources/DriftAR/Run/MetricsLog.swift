import DriftFormats

/// The run's metrics.jsonl: one JSON object a line, in the file as soon as it is appended.
public final class MetricsLog {
    public let path: String
    private let file: AppendedFile

    /// Opens the log for appending, creating it and its folder.
    ///
    /// - Parameter resumedAt: the step of the checkpoint a run continues from. Lines of later steps are cut away, since
    ///   the run will write them again. Nil starts an empty log.
    public init(_ path: String, resumedAt step: Int? = nil) throws {
        self.path = path
        file = try AppendedFile(path, keep: step.map { try Self.bytesToKeep(path, step: $0) } ?? 0)
    }

    /// Appends one line: the step first, then the fields in their order.
    public func append(step: Int, _ fields: [JSON.Member]) throws {
        let line = JSON.object([JSON.Member("step", .integer(step))] + fields.filter { $0.key != "step" }).text + "\n"
        try file.append(Array(line.utf8))
    }

    /// Appends one line of plain numbers.
    public func append(step: Int, values: [(String, Double)]) throws {
        try append(step: step, values.map { JSON.Member($0.0, .number($0.1)) })
    }

    /// Makes the lines survive a power cut; called with each checkpoint.
    public func sync() throws { try file.sync() }

    /// Bytes up to the first line of a later step. Damaged lines at the end, which a kill left, go; those between good ones stay.
    private static func bytesToKeep(_ path: String, step: Int) throws -> Int {
        guard Files.exists(path) else { return 0 }
        let bytes = try Files.read(path)
        var (start, kept) = (0, 0)
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            if let line = try? JSON.parse(bytes[start..<end]) {
                if let lineStep = line["step"]?.integer, lineStep > step { break }
                kept = end + 1
            }
            start = end + 1
        }
        return kept
    }
}
