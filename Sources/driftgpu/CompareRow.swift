import ArgumentParser
import DriftAR
import DriftBench
import DriftFormats

/// What a row of `compare` says beside the run: how it is drawn from, by the names of the flags that `sample` has, and what it is called.
struct RowOptions: ParsableArguments {
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 1
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @Option(help: "What the row is called. Default: the row as it was given.") var name: String?
    @Option(help: "Name or number of the row it is compared with.") var baseline: String?
    @OptionGroup var drawing: DrawingOptions
    @OptionGroup var speculative: SpeculativeOptions
}

/// A row of `compare`: `RUN,option=value,...`.
struct CompareRow {
    let text: String
    let run: String
    let options: RowOptions

    /// Throws a line that names the row for what is no option of one.
    init(_ text: String) throws {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        (self.text, run) = (text, parts[0])
        func wrong(_ what: String) -> ConfigurationError { Self.wrong(text, what) }
        guard !run.isEmpty else { throw wrong("begins with no run; write one like out/digits-mar,rounds=4") }
        let given = parts.dropFirst().map { String($0.prefix { $0 != "=" }) }
        if given.contains("") { throw wrong("an option is empty; write options like rounds=4,cfg=1.5") }
        if let twice = given.enumerated().first(where: { given[..<$0.offset].contains($0.element) }) {
            throw wrong("\(twice.element.printable) is given twice; give it once")
        }
        do {
            options = try RowOptions.parse(parts.dropFirst().map { "--" + $0 })
        } catch {
            // Asking for help, as one option does, is no error of the parser's.
            guard RowOptions.exitCode(for: error) != .success else { throw wrong("help is no option of a row; see driftgpu help compare") }
            throw wrong(Usage.line(RowOptions.message(for: error), ["compare"], of: [Compare.self]))
        }
    }

    /// An error of the row `text`. Flags have no dashes in a row.
    private static func wrong(_ text: String, _ what: String) -> ConfigurationError {
        ConfigurationError("row \(text.printable): \(what.replacing("--", with: ""))")
    }

    /// The row as it is called unless it has a name.
    private var ownName: String {
        text.split(separator: ",").filter { !$0.hasPrefix("name=") && !$0.hasPrefix("baseline=") }.joined(separator: ",")
    }

    /// The run's model and how it is drawn from. Throws a line that names the row.
    func opened() throws -> ComparedRow {
        do {
            var saved = try SavedModel(run, weights: options.weights)
            try options.drawing.apply(to: &saved.configuration)
            return try ComparedRow(
                name: options.name ?? ownName, path: run, model: saved, cfg: options.cfg,
                speculation: options.speculative.settings(of: saved.configuration))
        } catch let error as ConfigurationError {
            throw Self.wrong(text, "\(error)")
        }
    }
}
