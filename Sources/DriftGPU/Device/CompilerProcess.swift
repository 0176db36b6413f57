import Foundation

/// A process of this program that compiles kernels for another one, which then finds them in the cache that the driver keeps
/// on disk. PoCL compiles one kernel at a time in a process, on however many threads it is asked.
///
/// Both hold an end of a socket, the compiler its standard input: a line of JSON there and a line back. It ends when its end is
/// closed, so it outlives nobody.
package final class CompilerProcess: Sendable {
    /// The device it opens, and how.
    struct Setting: Codable {
        let index: Int
        let name: String
        let team: String
        let lanes: Int
        let kernels: String?
    }

    private struct Answer: Codable {
        /// Nil where the kernel could not be compiled.
        let seconds: Double?
    }

    private let process: pid_t
    private let socket: Int32

    /// Starts `command`, the program's path and its arguments. Nil where that does not work.
    init?(_ command: [String], setting: Setting) {
        #if os(Linux)
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { return nil }
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        // Signals that are blocked or ignored here shall end it.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let environment = ProcessInfo.processInfo.environment.map { $0.key + "=" + $0.value }
        func strings(_ values: [String]) -> [UnsafeMutablePointer<CChar>?] { values.map { strdup($0) } + [nil] }
        let (arguments, variables) = (strings(command), strings(environment))
        defer { for string in arguments + variables { free(string) } }
        var process: pid_t = 0
        guard posix_spawn(&process, command[0], &actions, &attributes, arguments, variables) == 0 else {
            close(ends[0])
            return nil
        }
        self.process = process
        socket = ends[0]
        Self.transmit(setting, socket)
        #else
        return nil
        #endif
    }

    deinit {
        close(socket)
        // It may be within the driver's compiler, which does not look.
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }

    /// Has it give up what it is at.
    func end() { shutdown(socket, Int32(SHUT_RDWR)) }

    /// Compiles one kernel; nil where the process is gone or could not.
    func compile(_ compilation: KernelCompilation) -> Double? {
        guard Self.transmit(compilation, socket), let line = Self.line(socket) else { return nil }
        return (try? JSONDecoder().decode(Answer.self, from: line))?.seconds
    }

    /// Sends a line; false where nobody is there.
    @discardableResult
    private static func transmit(_ value: some Encodable, _ socket: Int32) -> Bool {
        #if os(Linux)
        let flags = Int32(MSG_NOSIGNAL)
        #else
        let flags: Int32 = 0
        #endif
        guard var bytes = try? JSONEncoder().encode(value)[...] else { return false }
        bytes.append(UInt8(ascii: "\n"))
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, flags) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            bytes = bytes.dropFirst(count)
        }
        return true
    }

    /// The next line; nil at the end.
    private static func line(_ socket: Int32) -> Data? {
        var line = Data()
        while true {
            var byte: UInt8 = 0
            let count = recv(socket, &byte, 1, 0)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return line }
            line.append(byte)
        }
    }

    /// What the process does: compiles what comes by standard input until that is closed. Never returns.
    package static func serve() -> Never {
        let requests = RequestLines()
        // The end is seen while a kernel is compiled, too.
        Thread.detachNewThread {
            while let line = Self.line(STDIN_FILENO) { requests.append(line) }
            _exit(0)
        }
        guard let setting = try? JSONDecoder().decode(Setting.self, from: requests.next()) else { _exit(1) }
        var options = Device.Options()
        (options.team, options.lanes, options.kernels) = (setting.team, setting.lanes, setting.kernels)
        options.gemm = "native"
        options.compilers = nil
        guard let about = try? DeviceDescription.choose("\(setting.index)"), about.name == setting.name,
            let device = try? Device(about, options: options)
        else { _exit(1) }
        while true {
            guard let compilation = try? JSONDecoder().decode(KernelCompilation.self, from: requests.next()) else { _exit(1) }
            let start = ContinuousClock.now
            let isDone = (try? device.compile(compilation)) != nil
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            guard transmit(Answer(seconds: isDone ? seconds : nil), STDIN_FILENO) else { _exit(1) }
        }
    }

    /// Lines that one thread reads and another takes.
    private final class RequestLines: @unchecked Sendable {
        private let lock = NSCondition()
        private var lines: [Data] = []

        func append(_ line: Data) {
            lock.lock()
            lines.append(line)
            lock.signal()
            lock.unlock()
        }

        func next() -> Data {
            lock.lock()
            defer { lock.unlock() }
            while lines.isEmpty { lock.wait() }
            return lines.removeFirst()
        }
    }
}
