import ArgumentParser
import DriftFormats
import Foundation

/// Another process that this one starts and waits for.
struct ChildProgram {
    let process: pid_t

    /// POSIX_SPAWN_SETSID of spawn.h, which defines it for GNU's C alone.
    private static let newSession: Int16 = 0x80

    /// This program, to be started again.
    static var ownPath: String { Bundle.main.executablePath ?? CommandLine.arguments[0] }

    /// Starts the program `words[0]` with no signal blocked; in a session of its own where asked for.
    init(_ words: [String], inOwnSession: Bool = false) throws {
        // Ignored by who started this program, it would leave no exit code to read.
        signal(SIGCHLD, SIG_DFL)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | (inOwnSession ? Self.newSession : 0))
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, words[0], nil, &attributes, arguments, environ)
        guard code == 0 else { throw ConfigurationError("cannot start \(words[0]): \(String(cString: strerror(code)))") }
        self.process = process
    }

    /// The exit code that a shell would show; nil while it runs.
    func ended() -> Int32? {
        var status: Int32 = 0
        let ended = waitpid(process, &status, WNOHANG)
        if ended < 0, errno == ECHILD { return 1 }
        guard ended == process else { return nil }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }

    /// Waits for it, and passes on what a signal asks of this process. Returns its exit code.
    func wait(_ interrupt: Interrupt) -> Int32 {
        var isTold = false
        while true {
            if let code = ended() { return code }
            if interrupt.isRequested, !isTold {
                kill(process, SIGTERM)
                isTold = true
            }
            if interrupt.takeSave() { kill(process, SIGUSR2) }
            usleep(50_000)
        }
    }
}
