import Foundation
import Synchronization

/// Ends this process where a message is waited for too long: a machine that is gone, or a cable that was cut, is told to nobody, and MPI
/// waits for ever.
final class MessageWatch: Sendable {
    /// Environment variable of the longest wait, in seconds; 0: for ever.
    static let variable = "DRIFTGPU_MPI_TIMEOUT"
    /// Longer than a checkpoint or an evaluation of the first process takes, which the others wait for.
    static let usual = 1800

    /// When the message that is under way began, in seconds of the system's clock; 0 where none is.
    private let begun = Atomic<Int>(0)

    /// `give`: says that nothing came for so many seconds, and ends the process.
    init(seconds: Int, give: @escaping @Sendable (Int) -> Void) {
        guard seconds > 0 else { return }
        Thread.detachNewThread { [self] in
            while true {
                Thread.sleep(forTimeInterval: min(1, Double(seconds) / 4))
                let start = begun.load(ordering: .relaxed)
                if start > 0, Self.now() - start > seconds { give(seconds) }
            }
        }
    }

    /// The seconds that an environment asks for. Throws where they are no number.
    static func seconds(_ environment: [String: String]) throws -> Int {
        guard let text = environment[variable], !text.isEmpty else { return usual }
        guard let seconds = Int(text), (0...1_000_000).contains(seconds) else {
            throw MPIError("MPI: \(variable)=\(text): take seconds, 0 to 1000000")
        }
        return seconds
    }

    /// A message, from its beginning to its end.
    func during<Result>(_ body: () throws -> Result) rethrows -> Result {
        begun.store(Self.now(), ordering: .relaxed)
        defer { begun.store(0, ordering: .relaxed) }
        return try body()
    }

    private static func now() -> Int { Int(ProcessInfo.processInfo.systemUptime) + 1 }
}
