import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Live progress of a run: one line that rewrites itself on a terminal, a plain line now and then elsewhere.
public final class ProgressLine {
    /// Where the text goes.
    public enum Output {
        /// Standard error; a terminal where it is one.
        case standardError
        /// A closure, as a terminal of so many columns, or as a plain stream where nil.
        case custom(columns: Int?, (String) -> Void, environment: [String: String] = [:])
    }

    /// What the environment says of a terminal.
    private struct Terminal {
        /// A dumb terminal has lines, and nothing more.
        let canRewrite: Bool
        /// NO_COLOR asks for text without escape sequences, whatever they do.
        let takesEscapes: Bool

        init(_ environment: [String: String]) {
            canRewrite = environment["TERM"] != "dumb"
            takesEscapes = canRewrite && (environment["NO_COLOR"] ?? "").isEmpty
        }
    }

    private static let clearLine = "\u{1B}[K"

    private let first: Int
    private let total: Int
    private let write: (String) -> Void
    private let columns: () -> Int?
    /// What clears the rest of a terminal's line; nil: blanks do.
    private let clearing: String?
    private let clock: () -> Double
    private let begin: Double
    private var lastShown = -Double.infinity
    private var imagesSinceRate = 0
    private var stepAtRate: Int
    private var timeAtRate: Double
    private var stepsPerSecond: Double?
    private var imagesPerSecond: Double?
    private var shownLine = ""
    private var pending: String?

    /// Seconds between two showings: often enough to look alive, seldom enough to cost nothing.
    private let interval: Double

    /// - Parameters:
    ///   - from: steps done before this run began (of a resumed run).
    ///   - total: the step the run ends at.
    ///   - clock: seconds of a clock that never goes back.
    public init(from first: Int = 0, total: Int, output: Output = .standardError, clock: (() -> Double)? = nil) {
        self.first = first
        self.total = total
        switch output {
        case .standardError:
            write = Self.writeToStandardError
            let terminal = Terminal(ProcessInfo.processInfo.environment)
            columns = { terminal.canRewrite ? Self.terminalColumns() : nil }
            clearing = terminal.takesEscapes ? Self.clearLine : nil
        case .custom(let width, let sink, let environment):
            write = sink
            let terminal = Terminal(environment)
            columns = { terminal.canRewrite ? width : nil }
            clearing = terminal.takesEscapes ? Self.clearLine : nil
        }
        self.clock = clock ?? Self.monotonicSeconds
        begin = self.clock()
        stepAtRate = first
        timeAtRate = begin
        interval = columns() == nil ? 10 : 0.1
    }

    /// Reports a finished step; shows it when it is time. Cheap enough to call every step.
    ///
    /// - Parameters:
    ///   - images: images this step (or the steps since the last call) took.
    ///   - share: what part of the device's peak is reached. It comes last: a narrow terminal can do without it.
    public func update(step: Int, losses: [(String, Double)], images: Int, share: Double? = nil) {
        imagesSinceRate += images
        let now = clock()
        let elapsed = now - timeAtRate
        if elapsed >= 0.5 || stepsPerSecond == nil && elapsed > 0 {
            // A mean that forgets over some ten seconds: steady to read, yet it follows a change of phase.
            let weight = stepsPerSecond == nil ? 1 : min(1, elapsed / 10)
            let (steps, images) = (Double(step - stepAtRate) / elapsed, Double(imagesSinceRate) / elapsed)
            stepsPerSecond = (stepsPerSecond ?? 0) * (1 - weight) + steps * weight
            imagesPerSecond = (imagesPerSecond ?? 0) * (1 - weight) + images * weight
            (stepAtRate, timeAtRate, imagesSinceRate) = (step, now, 0)
        }
        let line = text(step: step, losses: losses, share: share)
        if now - lastShown >= interval || step >= total {
            lastShown = now
            show(line)
        } else {
            pending = line
        }
    }

    /// Shows a line in the place of the progress, when it is time.
    public func status(_ line: String) {
        let now = clock()
        guard now - lastShown >= interval else { return pending = line }
        lastShown = now
        show(line)
    }

    /// Prints a line of its own, above the progress.
    public func message(_ line: String) {
        if columns() != nil {
            let blank = clearing ?? String(repeating: " ", count: shownLine.count) + "\r"
            write("\r" + blank + line + "\n" + shownLine)
        } else {
            write(line + "\n")
        }
    }

    /// Prints a line on standard error from any thread, above the progress where there is one.
    public static func remark(_ line: String) {
        let terminal = Terminal(ProcessInfo.processInfo.environment)
        let isShown = terminal.canRewrite && terminalColumns() != nil
        writeToStandardError((isShown ? "\r" + (terminal.takesEscapes ? clearLine : "") : "") + line + "\n")
    }

    /// Shows the last step and ends the line. Later messages stand below it.
    public func finish() {
        if let pending { show(pending) }
        if columns() != nil, !shownLine.isEmpty { write("\n") }
        shownLine = ""
        pending = nil
    }

    private func text(step: Int, losses: [(String, Double)], share: Double?) -> String {
        let width = String(total).count
        let number = String(repeating: " ", count: max(0, width - String(step).count)) + String(step)
        var parts = ["step \(number)/\(total)"]
        parts += losses.map { "\($0.0) \(NumberText.short($0.1))" }
        if let imagesPerSecond { parts.append("\(NumberText.short(imagesPerSecond)) images/s") }
        if step >= total {
            parts.append("took \(NumberText.duration(clock() - begin))")
        } else if let stepsPerSecond, stepsPerSecond > 0 {
            parts.append("ETA \(NumberText.duration(Double(total - step) / stepsPerSecond))")
        }
        if let share { parts.append("\(NumberText.percent(share)) % of peak") }
        return parts.joined(separator: "  ")
    }

    private func show(_ line: String) {
        pending = nil
        if let columns = columns() {
            // A line that wraps cannot be rewritten, so it ends before the last column.
            let before = shownLine.count
            shownLine = String(line.prefix(max(1, columns - 1)))
            write("\r" + shownLine + (clearing ?? String(repeating: " ", count: max(0, before - shownLine.count))))
        } else {
            write(line + "\n")
        }
    }

    package static func writeToStandardError(_ text: String) {
        let bytes = Array(text.utf8)
        // Progress that cannot be shown is no reason to stop a run.
        #if canImport(Glibc)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
        #elseif canImport(Musl)
        _ = Musl.write(STDERR_FILENO, bytes, bytes.count)
        #else
        _ = Darwin.write(STDERR_FILENO, bytes, bytes.count)
        #endif
    }

    private static func terminalColumns() -> Int? {
        guard isatty(STDERR_FILENO) == 1 else { return nil }
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    private static func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
