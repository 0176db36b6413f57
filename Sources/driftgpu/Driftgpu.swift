import ArgumentParser
import Foundation

@main
struct Driftgpu: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "driftgpu",
        abstract: "Train and sample Drift-AR, a one-pass class-conditional image generator, on any OpenCL device.",
        version: "0.1.0",
        subcommands: [
            Create.self, Train.self, Sample.self, Eval.self, Compare.self, Analyze.self, Toy.self, Cache.self, Autoencode.self, FeatureEncoder.self, Import.self, Export.self,
            Inspect.self, Bench.self, Devices.self, Selftest.self, Tune.self, CompileKernels.self,
        ])

    /// Parses and runs. Wrong usage is one line on standard error, as every error is; help is output as any other.
    static func main() {
        Output.reserveStandardStreams()
        do {
            var command = try parseAsRoot(Usage.joined(Array(CommandLine.arguments.dropFirst())))
            try command.run()
        } catch {
            leave(error)
        }
    }

    private static func leave(_ error: any Error) -> Never {
        var code = exitCode(for: error)
        if code == .success {
            Output.line(fullMessage(for: error))
            do { try Output.check() } catch { code = exitCode(for: error) }
        } else if code == .validationFailure, Job.speaks {
            Output.error(Usage.line(message(for: error), Array(CommandLine.arguments.dropFirst()), of: configuration.subcommands))
        }
        Foundation.exit(code.rawValue)
    }
}
