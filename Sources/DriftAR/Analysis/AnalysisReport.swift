import DriftFormats
import DriftReport

/// What was found out about a model: sections of a run's report.
package protocol Diagnostics: Sendable {
    /// The device, as it calls itself.
    var device: String { get }
    /// Adds the sections with their figures and tables. Returns a line for each thing found out.
    func write(to report: inout AnalysisReport) throws -> [String]
}

/// The page of an analysis, and the figures and tables that lie beside it.
package struct AnalysisReport {
    var page: HTMLPage
    private let folder: String
    private var files: [String] = []

    init(title: String, folder: String) { (page, self.folder) = (HTMLPage(title: title), folder) }

    /// Writes a table.
    mutating func save(_ csv: CSV, _ name: String) throws {
        try AtomicFile.write(text: csv.text, to: Files.join(folder, name))
        files.append(name)
    }

    /// Writes figures, and puts them on the page.
    mutating func show(_ figures: [NamedFigure]) throws {
        let drawings = try figures.map { figure in
            let drawing = try figure.figure.drawing()
            try AtomicFile.write(Array(drawing.document.utf8), to: Files.join(folder, figure.name + ".svg"), synced: false)
            return (figure: figure, drawing: drawing)
        }
        files += figures.map { $0.name + ".svg" }
        page.figures(drawings)
    }

    /// Names all files on the page, and writes it.
    mutating func finish(_ name: String) throws {
        page.section("Files")
        page.paragraph("The numbers and figures of this page lie beside it.")
        page.files(files.filter { $0.hasSuffix(".csv") } + files.filter { $0.hasSuffix(".svg") })
        try AtomicFile.write(text: page.text, to: Files.join(folder, name))
    }
}
