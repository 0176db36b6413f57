import DriftFormats

/// Which class each label stands for.
public enum ClassNames {
    /// Whether the names are the labels themselves.
    public static func areLabels(_ names: [String]) -> Bool {
        names.enumerated().allSatisfy { $0.element == String($0.offset) }
    }

    /// The line that says which class each of the labels is, by default all; nil where the names are the labels or not known.
    /// Of many classes it shows some.
    public static func line(_ names: [String], of labels: [Int]? = nil) -> String? {
        let labels = (labels ?? Array(names.indices)).filter(names.indices.contains)
        if areLabels(names) || labels.isEmpty { return nil }
        func text(_ label: Int) -> String { "\(label) = \(names[label].shortened(to: 60).printable)" }
        if labels.count <= 20 { return "classes: " + labels.map(text).joined(separator: ", ") }
        return "\(labels.count) classes: " + labels.prefix(5).map(text).joined(separator: ", ") + " ... " + labels.suffix(1).map(text)[0]
    }

    /// Throws where labels of data would not mean what they mean to a run, which may know more classes behind those of the data.
    /// An empty list stands for numbers and for runs that kept no names: nothing is compared then.
    package static func check(_ names: [String], against run: [String], at place: String) throws {
        guard !run.isEmpty, names.count <= run.count, let label = names.indices.first(where: { names[$0] != run[$0] }) else { return }
        throw DataError("label \(label) is the class \(names[label]), in the run it is \(run[label])", at: place,
                        fix: "name data with the run's classes in the run's order")
    }
}
