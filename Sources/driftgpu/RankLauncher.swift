import ArgumentParser
import DriftAR
import DriftFormats
import Foundation
import Synchronization

/// Starts this program again as several processes, with the mpirun that is in the path, and waits for them.
///
/// They are in a session of their own: launchers pass a Ctrl-C on in ways of their own, and some end their processes within a second. A
/// signal to stop becomes a file in the run's folder instead, which the processes look for.
struct RankLauncher {
    private let count: Int
    private let folder: String?

    init(_ count: Int, folder: String?) { (self.count, self.folder) = (count, folder) }

    /// The launcher's process, once there is one.
    private static let launcher = Atomic<pid_t>(0)

    /// Ends this process with the code of the launcher. Throws a line where there is none.
    func run() throws -> Never {
        // First: threads that are made later have the signals blocked.
        let interrupt = Interrupt(atOnce: { Self.signal(SIGTERM) })
        guard let mpirun = ["mpirun", "mpiexec"].lazy.compactMap(Self.find).first else {
            throw ValidationError("--ranks \(count): there is no mpirun in the path; install an MPI (Debian: apt-get install openmpi-bin), or start the processes with a scheduler's launcher")
        }
        var words = [mpirun, "-np", "\(count)"]
        let version = Self.output(of: [mpirun, "--version"])
        if version.contains("Open MPI") || version.contains("OpenRTE") {
            // The processes choose their cores by themselves, and may be more than there are cores.
            words += ["--quiet", "--bind-to", "none", "--oversubscribe"]
            if getuid() == 0 { words.append("--allow-run-as-root") }
        }
        words += [ChildProgram.ownPath] + Self.withoutRanks(Array(CommandLine.arguments.dropFirst()))
        let child = try ChildProgram(words, inOwnSession: true)
        Self.launcher.store(child.process, ordering: .sequentiallyConsistent)
        interrupt.begin()
        wait(child, interrupt)
    }

    private func wait(_ child: ChildProgram, _ interrupt: Interrupt) -> Never {
        let files = folder.map { RunFolder($0) }
        var isTold = false
        while true {
            if let code = child.ended() {
                if isTold, let files { try? Files.removeTree(files.stopPath) }
                exit(code)
            }
            if interrupt.isRequested {
                // Again and again: a run that is only being prepared takes away what it finds in its folder, or has none yet.
                if let files {
                    if Files.isFolder(files.path), !Files.exists(files.stopPath) { leave(files.stopPath) }
                } else if !isTold {
                    Self.signal(SIGTERM)
                }
                isTold = true
            }
            if interrupt.takeSave(), let files { leave(files.savePath) }
            usleep(50_000)
        }
    }

    private func leave(_ path: String) {
        do { try AtomicFile.write([], to: path) } catch { Output.error("\(error)") }
    }

    /// Sends a signal to the launcher and what it has started in its session.
    private static func signal(_ number: Int32) {
        let process = launcher.load(ordering: .sequentiallyConsistent)
        if process > 0 { kill(-process, number) }
    }

    /// The arguments without --ranks: the processes find their number in the environment.
    private static func withoutRanks(_ arguments: [String]) -> [String] {
        var kept: [String] = []
        var skips = false
        for argument in arguments {
            if skips {
                skips = false
            } else if argument == "--ranks" {
                skips = true
            } else if !argument.hasPrefix("--ranks=") {
                kept.append(argument)
            }
        }
        return kept
    }

    private static func find(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// What a short command prints.
    private static func output(of words: [String]) -> String {
        let (process, pipe) = (Process(), Pipe())
        (process.executableURL, process.arguments) = (URL(fileURLWithPath: words[0]), Array(words.dropFirst()))
        (process.standardOutput, process.standardError) = (pipe, pipe)
        guard (try? process.run()) != nil else { return "" }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
