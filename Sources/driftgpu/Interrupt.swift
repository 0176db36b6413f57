import ArgumentParser
import DriftAR
import DriftFormats
import Foundation
import Synchronization

extension ExitCode {
    /// Stopped as asked, with everything saved: the same work goes on where it was left (EX_TEMPFAIL of sysexits.h, "try
    /// again"). Neither done (0), failed (1) nor killed (128 and more, as shells say it), so a batch script can tell.
    static let stopped = ExitCode(75)
}

/// What signals ask of long work that saves what it has: INT, TERM, HUP and USR1 to save and stop, USR2 to save and go on.
///
/// The signals are blocked in every thread, and one thread waits for them. So no handler ever runs, and it does not matter
/// which ones a driver installs (the LLVM in PoCL does, and puts what was there before back with the first signal). Processes
/// that a driver starts (PoCL's linker) inherit the mask: a Ctrl-C, which goes to them too, does not break a compilation.
final class Interrupt: Sendable {
    /// What is under way; nothing, until there is something to save.
    private enum Stage: Int { case preparing, working, stopping }

    private let stage = Atomic(Stage.preparing.rawValue)
    private let wantsSave = Atomic(false)
    private let atOnce: @Sendable () -> Void

    /// Takes the signals from here on. To be made before a device is opened: threads made earlier would not have them blocked.
    ///
    /// A HUP that was ignored stays so: that is what nohup is for. Broken pipes become errors of a write: that nobody reads
    /// the log any more is no reason to stop.
    ///
    /// `atOnce`: what to do before this process is left without saving.
    init(atOnce: @escaping @Sendable () -> Void = {}) {
        self.atOnce = atOnce
        let ignoresHangup = Self.isIgnored(SIGHUP)
        signal(SIGPIPE, SIG_IGN)
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let awaited = signals
        Thread.detachNewThread { [self] in
            var set = awaited
            var asked: ContinuousClock.Instant?
            while true {
                var number: Int32 = 0
                guard sigwait(&set, &number) == 0 else { continue }
                if number == SIGHUP, ignoresHangup { continue }
                take(number, asked: &asked)
            }
        }
    }

    /// From here on there is something to save: a signal no longer ends the process at once.
    func begin() {
        _ = stage.compareExchange(
            expected: Stage.preparing.rawValue, desired: Stage.working.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Whether to save and stop.
    var isRequested: Bool { stage.load(ordering: .sequentiallyConsistent) == Stage.stopping.rawValue }

    /// Whether to save and go on; asked for once a signal.
    func takeSave() -> Bool { wantsSave.exchange(false, ordering: .sequentiallyConsistent) }

    /// What a signal does. Runs in the waiting thread alone, outside of any handler, so it may do everything.
    private func take(_ number: Int32, asked: inout ContinuousClock.Instant?) {
        let name = Self.name(number)
        if number == SIGUSR2 {
            if stage.load(ordering: .sequentiallyConsistent) == Stage.working.rawValue {
                wantsSave.store(true, ordering: .sequentiallyConsistent)
                remark("\(name): saving after this step")
            }
            return
        }
        let (began, before) = stage.compareExchange(
            expected: Stage.working.rawValue, desired: Stage.stopping.rawValue, ordering: .sequentiallyConsistent)
        if began {
            asked = .now
            remark("\(name): stopping after this step; Ctrl-C again stops at once, without saving")
        } else if before == Stage.preparing.rawValue {
            remark("\(name): stopped before there was anything to save")
            _exit(ExitCode.stopped.rawValue)
        } else if number == SIGINT, let asked, .now - asked > .milliseconds(200) {
            // Wrappers (timeout, make) send a signal twice within moments; people take longer.
            leave(by: number)
        }
    }

    /// Of the processes of a job the first speaks: a launcher sends a signal to all of them.
    private func remark(_ text: String) {
        if Job.isFirst { ProgressLine.remark(text) }
    }

    /// Ends the process as the signal would have.
    private func leave(by number: Int32) {
        atOnce()
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        _exit(128 + number)
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        #if canImport(Darwin)
        let handler = action.__sigaction_u.__sa_handler
        #else
        let handler = action.__sigaction_handler.sa_handler
        #endif
        return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    private static func name(_ number: Int32) -> String {
        switch number {
        case SIGHUP: "SIGHUP"
        case SIGINT: "SIGINT"
        case SIGTERM: "SIGTERM"
        case SIGUSR1: "SIGUSR1"
        default: "SIGUSR2"
        }
    }
}
