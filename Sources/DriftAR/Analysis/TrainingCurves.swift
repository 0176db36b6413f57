import DriftFormats
import DriftReport

/// The numbers of a run's metrics.jsonl, step by step.
public struct TrainingCurves: Sendable {
    /// Names in the order in which they first appear; without `step`.
    public let names: [String]
    /// Ascending.
    public let steps: [Int]
    /// A step's numbers by name. What was not finite when it was logged is missing.
    let rows: [[String: Double]]

    /// Reads the file. A last line that a kill left half written is passed over; of two lines of one step the later counts.
    /// Throws a line that names the first line that is damaged.
    public init(_ path: String) throws {
        let bytes = try Files.read(path)
        var (names, known): ([String], Set<String>) = ([], [])
        var rows: [Int: [String: Double]] = [:]
        var (start, number) = (0, 0)
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n"))
            let line = bytes[start..<(end ?? bytes.count)]
            start = (end ?? bytes.count) + 1
            number += 1
            if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) { continue }
            guard let object = try? JSON.parse(line), let step = object["step"]?.integer, step >= 0 else {
                if end == nil { break }
                throw DataError("line \(number) is no object with a step", at: path, fix: "remove that line")
            }
            var row: [String: Double] = [:]
            for member in object.members ?? [] where member.key != "step" {
                guard let value = member.value.double, value.isFinite else { continue }
                row[member.key] = value
                if known.insert(member.key).inserted { names.append(member.key) }
            }
            rows[step] = row
        }
        self.names = names
        steps = rows.keys.sorted()
        self.rows = steps.compactMap { rows[$0] }
    }

    /// What was logged under a name; NaN in steps without it, so that a line has a gap there. Empty where it never was.
    func points(_ name: String) -> [Plot.Point] {
        guard names.contains(name) else { return [] }
        // Figures of some steps alone, such as evaluations, have no gaps between them.
        let isEverywhere = rows.filter { $0[name] != nil }.count * 2 > rows.count
        return zip(steps, rows).compactMap { step, row in
            row[name].map { Plot.Point(Double(step), $0) } ?? (isEverywhere ? Plot.Point(Double(step), .nan) : nil)
        }
    }

    /// Seconds that the steps up to `last`, of so many images each, took by the images a second that were logged. Steps for which there
    /// are none, as the first after each start, count at the mean rate of the others. Nil where there are none at all.
    public func seconds(through last: Int, imagesInStep: Int) -> Double? {
        var (before, seconds, timed) = (0, 0.0, 0)
        for (step, row) in zip(steps, rows) where step <= last {
            if let rate = row["images_per_second"], rate > 0 {
                seconds += Double((step - before) * imagesInStep) / rate
                timed += step - before
            }
            before = step
        }
        return timed > 0 ? seconds * Double(last) / Double(timed) : nil
    }

    /// The last value logged under a name.
    func last(_ name: String) -> Double? { rows.last { $0[name] != nil }?[name] }

    var csv: CSV {
        var csv = CSV(["step"] + names)
        for (step, row) in zip(steps, rows) { csv.append([.integer(step)] + names.map { .number(row[$0]) }) }
        return csv
    }
}
