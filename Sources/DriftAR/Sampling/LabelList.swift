/// Labels as people write them: `0-9`, `3`, `0-2,7`.
public enum LabelList {
    /// The labels named, in the order written; all `classes` when `text` is nil. Throws a line that names the wrong part.
    public static func parse(_ text: String?, classes: Int) throws -> [Int] {
        guard let text else { return Array(0..<classes) }
        var labels: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, bounds.count <= 2, first <= last else {
                throw ConfigurationError("labels \(text): '\(part)' is no label or range; write them like 0-3,7")
            }
            guard last < classes else {
                throw ConfigurationError("labels \(text): the model has the classes 0 to \(classes - 1)")
            }
            labels += Array(first...last)
        }
        return labels
    }
}
