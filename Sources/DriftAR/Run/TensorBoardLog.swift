import DriftFormats
import Foundation

/// The run's figures and grids of samples as TensorBoard reads them: event files in `tensorboard`, one for each start of the run.
///
/// Tags are `train/NAME` and `eval/NAME`, with the names of metrics.jsonl, and `samples`. TensorBoard reads the files of a folder in the
/// order of their names as one curve, and nothing may be cut from a file that it has read. So a resumed run, which does the steps after
/// its checkpoint again, begins its file with a START: readers then drop what earlier files have of these steps.
final class TensorBoardLog {
    private let file: AppendedFile

    /// A new file in `folder`, for a run that has done `step` steps.
    init(_ folder: String, after step: Int) throws {
        let earlier = Files.isFolder(folder) ? try Files.names(in: folder).compactMap(Self.second) : []
        // Later than the others by its name also within their second, or where the clock was set back.
        let second = max(Int(Self.now()), (earlier.max() ?? 0) + 1)
        let digits = String(second)
        let padded = String(repeating: "0", count: max(0, 10 - digits.count)) + digits
        file = try AppendedFile(Files.join(folder, "\(Self.prefix)\(padded).\(FolderLock.host()).\(getpid())"), keep: 0)
        try append(0, .fileVersion)
        try append(step + 1, .start)
    }

    /// The step's figures, and those of an evaluation where there was one.
    func append(step: Int, training: [(String, Double)], judged: [(String, Double)]) throws {
        try append(step, .scalars(training.map { ("train/" + $0.0, $0.1) } + judged.map { ("eval/" + $0.0, $0.1) }))
    }

    /// A grid of samples.
    func append(step: Int, samples: Picture) throws {
        try append(
            step,
            .image(
                tag: "samples", png: PNG.encode(samples), width: samples.width, height: samples.height, channels: samples.channels))
    }

    /// Makes the events survive a power cut; called with each checkpoint.
    func sync() throws { try file.sync() }

    private func append(_ step: Int, _ content: TensorBoardEvent.Content) throws {
        try file.append(TensorBoardEvent(time: Self.now(), step: step, content: content).record)
    }

    private static let prefix = "events.out.tfevents."

    private static func now() -> Double { Date().timeIntervalSince1970 }

    /// The time in the name of an event file; nil for others.
    private static func second(_ name: String) -> Int? {
        guard name.hasPrefix(prefix) else { return nil }
        return Int(name.dropFirst(prefix.count).prefix { $0 != "." }).flatMap { (0..<9_999_999_999).contains($0) ? $0 : nil }
    }
}
