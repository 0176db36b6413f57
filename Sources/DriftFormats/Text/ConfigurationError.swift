/// A setting that cannot be: one line that names it and says what it may be. Settings can come out of foreign files, so control
/// characters are replaced, as in `DataError`.
public struct ConfigurationError: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description.printable }
}
