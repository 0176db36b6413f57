import ArgumentParser
import DriftAR
import DriftBench
import DriftFormats

extension Bench {
    struct Summary: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What Scripts/gpu-visit found out, as one JSON document and in lines for people.",
            discussion: "Takes the folder the script works in, at any time: what is there so far is what is told.")
        @ArgumentParser.Argument(help: ArgumentHelp("The folder the script works in.", valueName: "folder")) var folder: String
        @Option(help: ArgumentHelp("Write everything into this file.", valueName: "file")) var json: String?
        @Flag(help: "Print nothing.") var quiet = false

        func run() throws {
            try reporting {
                let visit = try Visit(folder: folder)
                if let json { try AtomicFile.write(text: visit.json.text(breaking: 7) + "\n", to: json) }
                if !quiet { VisitSummary(visit).lines.forEach { Output.line($0) } }
            }
        }
    }
}
