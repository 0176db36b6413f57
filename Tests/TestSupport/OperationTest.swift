import Checks
import DriftGPU
import Foundation
import Testing

/// A case of a family, in the team shape it is tested in.
public struct OperationTest: Sendable, CustomTestStringConvertible {
    public let family: String
    public let operation: OperationCase
    public let shape: TeamShape

    public var testDescription: String { "\(family): \(operation.name), \(shape)" }

    /// The cases of the families that DRIFTGPU_TEST_FAMILIES chooses, in those of `TestDevice.shapes` that suit them. Throws
    /// where the choice names what is not there, or leaves nothing.
    public static func chosen() throws -> [OperationTest] {
        let wanted = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_FAMILIES"] ?? ""
        let tests = try FamilyChoice(wanted).families(of: OperationFamily.all).flatMap { family in
            TestDevice.shapes.filter { $0 == .gpu || !family.isForGPUShape }.flatMap { shape in
                family.cases.map { OperationTest(family: family.name, operation: $0, shape: shape) }
            }
        }
        if tests.isEmpty {
            let shapes = TestDevice.shapes.map(\.rawValue).joined(separator: ", ")
            throw FamilyChoice.Wrong("\(wanted) leaves nothing to test in the shapes \(shapes)")
        }
        return tests
    }
}

/// Some of the families: names separated by commas. With `-` before it a name is left out; where no name is without, all the
/// others are taken.
public struct FamilyChoice: Sendable {
    private let taken: Set<String>
    private let left: Set<String>

    public init(_ text: String) {
        let names = text.split(separator: ",").map(String.init)
        taken = Set(names.filter { !$0.hasPrefix("-") })
        left = Set(names.filter { $0.hasPrefix("-") }.map { String($0.dropFirst()) })
    }

    /// Those of `all` that are chosen. Throws where a name is none of theirs: a choice with a typing error would test nothing.
    public func families(of all: [OperationFamily]) throws -> [OperationFamily] {
        let unknown = taken.union(left).subtracting(all.map(\.name)).sorted()
        guard unknown.isEmpty else {
            throw Wrong("no family \(unknown.joined(separator: ", ")); there are \(all.map(\.name).sorted().joined(separator: ", "))")
        }
        return all.filter { (taken.isEmpty || taken.contains($0.name)) && !left.contains($0.name) }
    }

    /// What is wrong with a choice.
    public struct Wrong: Error, CustomStringConvertible {
        public let description: String

        init(_ problem: String) { description = "DRIFTGPU_TEST_FAMILIES: " + problem }
    }
}
