import DriftFormats
import DriftGPU

/// Weights of a file that a new run starts from: what fits is taken, the rest is named.
public struct InitialWeights: Sendable {
    public let path: String
    /// Names of all tensors of the file.
    private let names: [String]
    /// Parameters taken from the file.
    public private(set) var taken: [String] = []
    /// Parameters the file does not have.
    public private(set) var missing: [String] = []
    /// Parameters that have another shape in the file.
    public private(set) var otherShape: [String] = []
    /// Parameters that are copied from the trained block whatever the file has.
    public private(set) var copied: [String] = []

    init(_ file: SafeTensorsFile) {
        path = file.path
        names = file.names
    }

    /// Tensors of the file that the model does not know.
    public var unused: [String] {
        let known = Set(taken + otherShape + copied)
        return names.filter { !known.contains($0) }
    }

    /// The values of `entry` in the file, nil where they are to be drawn.
    mutating func take(
        _ entry: ParameterLayout.Entry, of declaration: ParameterDeclaration, from file: SafeTensorsFile
    ) throws -> [Float]? {
        guard declaration.training != .never else {
            copied.append(entry.name)
            return nil
        }
        guard let found = file.entries[entry.name] else {
            missing.append(entry.name)
            return nil
        }
        guard found.shape == entry.shape else {
            otherShape.append(entry.name)
            return nil
        }
        let values = try file.floats(entry.name)
        guard values.allSatisfy(\.isFinite) else {
            throw DataError("tensor '\(entry.name)' has values that are not finite", at: path, fix: "take other weights")
        }
        taken.append(entry.name)
        return values
    }

    /// Throws where nothing fitted.
    func check() throws {
        guard taken.isEmpty else { return }
        throw DataError(
            "none of its \(names.count) tensors is a parameter of this model", at: path,
            fix: "name weights of the same stage and head, in the sizes they were trained with (see its config.json)")
    }
}

extension InitialWeights: CustomStringConvertible {
    /// One line for what was taken, and one for each kind of what was not.
    public var description: String {
        let kinds = [
            ("not in the file, so new", missing), ("of another shape there, so new", otherShape),
            ("in the file, but not in the model", unused),
        ]
        return (["\(path): \(taken.count) parameters taken"]
            + kinds.filter { !$0.1.isEmpty }.map { "  \($0.0): \(Self.list($0.1))" }).joined(separator: "\n")
    }

    /// The names, blocks of a stack as one: many parameters share a fate.
    private static func list(_ names: [String]) -> String {
        var stacks: [(name: String, count: Int)] = []
        for name in names {
            let parts = name.split(separator: ".")
            let stack = parts.count > 2 ? parts.prefix(2).joined(separator: ".") + ".*" : name
            if let last = stacks.last, last.name == stack {
                stacks[stacks.count - 1].count += 1
            } else {
                stacks.append((stack, 1))
            }
        }
        return stacks.map { $0.count > 1 ? "\($0.name) (\($0.count))" : $0.name }.joined(separator: ", ")
    }
}
