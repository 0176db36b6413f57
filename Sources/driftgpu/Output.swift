import ArgumentParser
import Foundation
import Synchronization

/// What a command prints.
enum Output {
    /// The first write of a result that failed: its `errno`.
    private static let failure = Atomic<Int32>(0)

    /// Takes the places of standard streams that were closed: the next file opened would get one, a checkpoint the progress
    /// line. Writing to them still fails.
    static func reserveStandardStreams() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is the one that open takes.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// A result: standard output. That it could not be written fails the command when its work is done; see `check`.
    static func line(_ text: String) {
        guard failure.load(ordering: .relaxed) == 0 else { return }
        let code = write(text, to: STDOUT_FILENO)
        if code != 0 { failure.store(code, ordering: .relaxed) }
    }

    /// A remark beside a result that lies in files: standard output, where it can be written.
    static func remark(_ text: String) { _ = write(text, to: STDOUT_FILENO) }

    /// What went wrong: standard error. Where that cannot be written, there is nowhere left to say it.
    static func error(_ text: String) { _ = write("error: " + text, to: STDERR_FILENO) }

    /// Throws where a result could not be written. A reader that went away, as `head` does, has seen what it wanted: the code
    /// is the one a shell gives a broken pipe, and nothing is said.
    static func check() throws {
        let code = failure.exchange(0, ordering: .relaxed)
        if code == 0 { return }
        if code == EPIPE { throw ExitCode(128 + SIGPIPE) }
        error("standard output: cannot write it: \(String(cString: strerror(code))); free some space or send it elsewhere")
        throw ExitCode.failure
    }

    /// Zero, or the `errno` of the write that failed.
    private static func write(_ text: String, to descriptor: Int32) -> Int32 {
        var bytes = Array((text + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                return errno
            }
            bytes = bytes.dropFirst(count)
        }
        return 0
    }
}
