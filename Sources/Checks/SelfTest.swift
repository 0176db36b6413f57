import DriftGPU

/// All checks that need nothing but a device and the golden set: every operation against double precision, the model
/// against the reference's numbers.
public struct SelfTest: Sendable {
    /// One case of a family.
    public struct Check: Sendable {
        public let name: String
        private let body: @Sendable (Device) throws -> CheckReport

        init(_ name: String, _ body: @escaping @Sendable (Device) throws -> CheckReport) {
            self.name = name
            self.body = body
        }

        /// Runs the case; an error becomes a failure of it.
        public func run(on device: Device) -> CheckReport {
            do {
                return try body(device)
            } catch {
                var report = CheckReport()
                report.fail("\(error)".split(whereSeparator: \.isNewline).joined(separator: " "))
                return report
            }
        }
    }

    /// Cases that share a line of the result.
    public struct Family: Sendable {
        /// operation/NAME or golden/NAME.
        public let name: String
        public fileprivate(set) var checks: [Check]
    }

    public private(set) var families: [Family]

    /// The operations' cases.
    public static let operations = SelfTest(
        families: OperationFamily.all.map { family in
            Family(
                name: "operation/" + family.name,
                checks: family.cases.map { operation in Check(operation.name) { try operation.check(on: $0) } })
        })

    /// The golden set's cases.
    public static func golden(_ set: GoldenSet) -> SelfTest {
        SelfTest(
            families: GoldenFamily.all.map { family in
                Family(
                    name: "golden/" + family.name,
                    checks: family.cases(of: set).map { golden in
                        Check(golden.id) { try family.check(golden, on: $0) }
                    })
            })
    }

    /// The checks of both.
    public static func + (left: SelfTest, right: SelfTest) -> SelfTest { SelfTest(families: left.families + right.families) }

    /// The cases whose "family name/case name" contains `part`, without the families that are left empty.
    public func filtered(_ part: String?) -> SelfTest {
        var families = families
        for index in families.indices {
            guard let part else { continue }
            let name = families[index].name
            families[index].checks.removeAll { !"\(name)/\($0.name)".contains(part) }
        }
        return SelfTest(families: families.filter { !$0.checks.isEmpty })
    }
}
