/// What MPI could not do: one line.
public struct MPIError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
