import DriftFormats
import DriftReport

extension ComparisonTable {
    /// Names of the files that `write` leaves.
    public enum File {
        public static let text = "compare.txt"
        public static let json = "compare.json"
        public static let page = "compare.html"
    }

    /// Writes the table as text, as JSON and as a page.
    public func write(to folder: String) throws {
        try AtomicFile.write(text: text, to: Files.join(folder, File.text))
        try AtomicFile.write(text: json.text + "\n", to: Files.join(folder, File.json))
        try AtomicFile.write(text: page(), to: Files.join(folder, File.page))
    }

    /// The tables, a figure, and the rows' images side by side, in one page that needs nothing else.
    func page() throws -> String {
        var page = HTMLPage(title: "Comparison")
        page.header("Comparison", "\(rows.count) rows · \(device) · \(perLabel) images of each label judged")
        for part in Self.parts {
            let cells = cells(part)
            guard cells.count > 1, cells[0].count > 1 else { continue }
            page.section(part.title)
            page.table(cells[0], Array(cells.dropFirst()))
            if part.title == Self.speed.title {
                page.paragraph("A row and its baseline were timed in turns. The ratio is that of the medians, the quartiles are those of the ratios of neighbouring draws.")
            }
        }
        for note in notes { page.note(note + ".") }
        if let figure { page.figures([(figure, try figure.figure.drawing())]) }
        let pictures = rows.compactMap { row in row.figures.grid.map { (png: $0, caption: "\(row.name): \(row.words.head), \(row.words.loop)") } }
        if !pictures.isEmpty {
            page.section("Images")
            page.paragraph("A row of a picture has images of one label. All rows of the table start from the same seed.")
            page.pictures(pictures)
        }
        return page.text
    }

    /// Nearness to real images against time; nil where fewer than two rows have both.
    private var figure: NamedFigure? {
        let series = rows.enumerated().compactMap { number, row -> Plot.Series? in
            guard let timing = row.figures.timing, let frechet = row.figures.quality?.generated.frechet else { return nil }
            return Plot.Series(row.name, color: number, .points([Plot.Point(timing.median * 1000, frechet)], radius: 5, opacity: 0.9))
        }
        guard series.count > 1 else { return nil }
        return NamedFigure(
            name: "frechet_time", caption: "Lower is nearer to real images, further left is faster.",
            figure: Plot(
                "Frechet distance against the time of one image", x: Plot.Axis("ms an image", isLogarithmic: true), y: Plot.Axis("Frechet distance"),
                series: series), isWide: true)
    }
}
