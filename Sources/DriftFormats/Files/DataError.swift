#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A problem with a file or with data, as one line: where it is, what is wrong, what to do.
public struct DataError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file, folder, tensor or option concerned.
    public let place: String
    /// What is wrong with it.
    public let what: String
    /// What the user can do about it.
    public let remedy: String

    public init(_ what: String, at place: String, fix remedy: String) {
        self.what = what
        self.place = place
        self.remedy = remedy
    }

    /// `place: what; remedy`, an empty name of a place as ''. Names can come out of damaged files, so control characters are
    /// replaced: one error stays one line and cannot steer the terminal.
    public var description: String {
        "\(place.isEmpty ? "''" : place): \(what); \(remedy)".printable
    }
}

extension String {
    /// With every control character replaced.
    package var printable: String {
        var scalars = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            let control = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            scalars.append(control ? "?" : scalar)
        }
        return String(scalars)
    }
}

extension DataError: LocalizedError {
    public var errorDescription: String? { description }
}
