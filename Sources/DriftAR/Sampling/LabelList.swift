import DriftFormats

/// Labels as people write them: `0-9`, `3`, `0-2,7`, or the names of classes.
public enum LabelList {
    /// The labels named, in the order written; all `classes` when `text` is nil. Throws a line that names the wrong part.
    ///
    /// A number or range means labels, whatever the classes are called; `name:10` is the class called 10.
    ///
    /// - Parameter names: what the classes are called, by label; empty where that is not known.
    public static func parse(_ text: String?, classes: Int, names: [String] = []) throws -> [Int] {
        guard let text else { return Array(0..<classes) }
        // A name may hold commas.
        if let label = try label(named: text, in: names, text) { return [label] }
        return try text.split(separator: ",", omittingEmptySubsequences: false).flatMap { part in
            if let range = range(part) {
                guard range.upperBound < classes else {
                    let called = names.contains(String(part)) ? "; the class called \(part) is name:\(part)" : ""
                    throw ConfigurationError("labels \(text): the model has the classes 0 to \(classes - 1)\(called)")
                }
                return Array(range)
            }
            guard let label = try label(named: String(part), in: names, text) else {
                let known = names.isEmpty ? "write them like 0-3,7" : "write them like 0-3,7 or by name, like \(names[0])"
                throw ConfigurationError("labels \(text): '\(part)' is no label or range\(names.isEmpty ? "" : " and no class"); \(known)")
            }
            return [label]
        }
    }

    private static func range(_ part: Substring) -> ClosedRange<Int>? {
        let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, bounds.count <= 2, first <= last else { return nil }
        return first...last
    }

    /// The label of a class by its name, unless that reads as a number or range; a name after `name:` is always looked up.
    private static func label(named part: String, in names: [String], _ text: String) throws -> Int? {
        let mark = "name:"
        if !part.hasPrefix(mark) { return range(part[...]) == nil ? names.firstIndex(of: part) : nil }
        guard let label = names.firstIndex(of: String(part.dropFirst(mark.count))) else {
            if part.contains(",") { return nil }
            throw ConfigurationError("labels \(text): no class is called '\(part.dropFirst(mark.count))'\(names.isEmpty ? "; the run has kept no names" : "")")
        }
        return label
    }
}
