import ArgumentParser
import Checks
import DriftAR
import DriftFormats
import DriftGPU
import Foundation

struct Selftest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prove a device and its driver: run every operation and the model, compare with known numbers.",
        discussion: "Every operation and its gradient is compared with double precision, the model and its training step with numbers of the PyTorch reference (the golden set: DRIFTGPU_GOLDEN, else share/golden or Tests/Fixtures/golden above the program or the working folder). The exit code is 1 when anything disagrees. With --precision tf32 or bf16 it is the operations alone, and those whose products are rounded may be off by as much as that makes.")

    @Option(help: "Run the cases whose name (see --list) contains this: operation, golden/model, layer_norm, ...") var filter: String?
    @Flag(help: "List what would be run, and stop.") var list = false
    @OptionGroup var deviceOptions: DeviceOptions

    func run() throws {
        try reporting {
            let tests = try selection()
            if list {
                for family in tests.families {
                    Output.line(family.name)
                    // Without a filter these are hundreds.
                    if filter != nil { family.checks.forEach { Output.line("  " + $0.name) } }
                }
                return
            }
            let device = try deviceOptions.open()
            let families = tests.suited(to: device.traits).families
            guard !families.isEmpty else {
                throw ConfigurationError("--filter \(filter ?? ""): these cases are for GPUs, or for DRIFTGPU_TEAM=gpu")
            }
            Output.line("\(device.about.name), driver \(device.about.driver), \(device.traits.shapeText), GEMM \(device.gemm.name)")
            let clock = ContinuousClock()
            let start = clock.now
            var (count, failed, skipped) = (0, 0, 0)
            for family in families {
                let result = run(family, on: device)
                count += family.checks.count
                failed += result.failed
                skipped += result.skipped
            }
            let seconds = String(format: "%.1f s", (clock.now - start) / .seconds(1))
            guard failed == 0 else {
                Output.line("\(failed) of \(count) cases FAILED in \(seconds)")
                throw ExitCode.failure
            }
            let passed = skipped == 0 ? "all \(count) cases passed" : "\(count - skipped) cases passed, \(skipped) skipped"
            Output.line("\(passed) in \(seconds)")
        }
    }

    /// The cases asked for. Throws when the golden set cannot be read, unless the filter leaves only operations.
    private func selection() throws -> SelfTest {
        var tests = SelfTest.operations.filtered(filter)
        // The reference's numbers are those of single precision.
        if let precision = deviceOptions.precision, precision != .fp32 {
            guard !tests.families.isEmpty else {
                throw ConfigurationError("--filter \(filter ?? ""): no operation has that in its name; the golden set is for --precision fp32")
            }
            return tests
        }
        do {
            tests = tests + SelfTest.golden(try GoldenSet.current.get()).filtered(filter)
        } catch {
            guard filter != nil, !tests.families.isEmpty else {
                throw ConfigurationError("\(error); or leave it out with --filter operation")
            }
        }
        guard !tests.families.isEmpty else {
            throw ConfigurationError("--filter \(filter ?? ""): no case has that in its name; see driftgpu selftest --list")
        }
        return tests
    }

    /// Runs a family and prints its line; returns how many of its cases failed, and how many were left out.
    private func run(_ family: SelfTest.Family, on device: Device) -> (failed: Int, skipped: Int) {
        var failures: [String] = []
        var (failed, skipped) = (0, 0)
        var worst = 0.0
        for check in family.checks {
            let report = check.run(on: device)
            worst = max(worst, report.worst)
            failed += report.failures.isEmpty ? 0 : 1
            skipped += report.skipped
            failures += report.failures.map { "\(check.name): \($0)" }
        }
        let verdict = failed == 0 ? "passed" : "FAILED"
        let cases = failed == 0 ? "\(family.checks.count)" : "\(failed)/\(family.checks.count)"
        Output.line(
            family.name.padding(toLength: 30, withPad: " ", startingAt: 0) + verdict
                + String(repeating: " ", count: max(1, 8 - cases.count)) + cases + String(format: "   worst error %.3g of the tolerance", worst))
        for failure in failures.prefix(5) { Output.line("    " + failure) }
        if failures.count > 5 { Output.line("    and \(failures.count - 5) more") }
        return (failed, skipped)
    }
}
