import ArgumentParser
import DriftGPU
import DriftMPI
import Logging
import Synchronization

extension Precision: ExpressibleByArgument {}

/// The device a command runs on.
struct DeviceOptions: ParsableArguments {
    @Option(help: "Device: its number in `driftgpu devices`, its PCI address, the beginning of its UUID, cpu, gpu, or part of its name. Default: the best GPU, else the CPU.")
    var device: String?

    @Option(help: "Matrix products: clblast or native; with --precision, those that tensor cores do not take. Default: clblast on GPUs, native on CPUs.")
    var gemm: String?

    @Option(help: "Inputs of matrix products and convolutions: fp32, or tf32 or bf16 on tensor cores. Default: fp32; a resumed run's own.")
    var precision: Precision?

    @Flag(name: [.short, .long], help: "Log what the device layer does to standard error.") var verbose = false

    /// Logging may be set up once only, while a command may open several devices.
    private static let isLogging = Atomic(false)

    /// Sends the log to standard error: warnings, or all.
    static func log(verbose: Bool) {
        guard !isLogging.exchange(true, ordering: .relaxed) else { return }
        let level: Logger.Level = verbose ? .debug : .warning
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }

    /// Opens the device. `precision` is for when none was asked for; `forTuning`: with CLBlast, and with CLBlast's own
    /// parameters; `taking`: what to take in place of the one that --device names.
    func open(
        profiling: Bool = false, precision usual: Precision = .fp32, forTuning: Bool = false, taking chosen: DeviceDescription? = nil
    ) throws -> Device {
        Self.log(verbose: verbose)
        var options = Device.Options()
        options.profiling = profiling
        options.gemm = forTuning ? gemm ?? "clblast" : gemm
        if forTuning { options.tuning = nil }
        options.precision = precision ?? usual
        options.compilers = CompileKernels.command
        let line = CompilationLine()
        options.compiling = { line.show($0, of: $1) }
        return try Device(chosen ?? DeviceDescription.choose(device), options: options)
    }
}

/// Runs a command's work; an error becomes one line on stderr and exit code 1, and so does output that could not be written. Of the
/// processes of a job the one that failed says so, and all end.
func reporting(_ body: () throws -> Void) throws {
    do {
        try body()
        try Output.check()
        Job.finish()
    } catch let code as ExitCode {
        Job.finish()
        throw code
    } catch let failure as RankFailure {
        if failure.rank == Job.rank { fail(failure.reason) }
        Job.finish()
        throw ExitCode.failure
    } catch {
        fail("\(error)")
        Job.abort(.failure)
        throw ExitCode.failure
    }
}

/// Says what went wrong, in one line.
private func fail(_ text: String) {
    guard Job.rank != nil || Job.speaks else { return }
    let rank = Job.rank.flatMap { $0 > 0 ? "rank \($0): " : nil } ?? ""
    Output.error(rank + text.split(whereSeparator: \.isNewline).joined(separator: " "))
}
