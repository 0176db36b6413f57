import ArgumentParser
import DriftAR
import DriftFormats
import DriftGPU
import Synchronization

/// Compiles kernels for another process of this program, which starts it; see `CompilerProcess`.
struct CompileKernels: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "compile-kernels", abstract: "", shouldDisplay: false)

    /// How the program starts it.
    static let command = ["/proc/self/exe", "compile-kernels"]

    func run() throws { CompilerProcess.serve() }
}

/// Shows how far a device's compiler is.
final class CompilationLine: Sendable {
    private let line = Mutex<ProgressLine?>(nil)

    func show(_ done: Int, of count: Int) {
        line.withLock { line in
            let current = line ?? ProgressLine(total: count)
            current.status("compiling kernels, once for this device: \(done) of \(count)")
            line = done < count ? current : nil
            if done == count { current.finish() }
        }
    }
}
