import DriftData

/// Real images and the saved ones that are judged by them, brought to one form; nothing is changed without a note.
public struct Judges: Sendable {
    public let source: DataSource
    public let images: Dataset
    /// What had to be changed; a line each.
    public let notes: [String]

    /// Opens the data at `path` as `DataSource.open` does, in the size of the images. Gray and colour are compared in colour.
    public init(_ path: String, for saved: Dataset) throws {
        var options = DataSource.Options()
        options.defaultSize = (saved.height, saved.width)
        var source = try DataSource.open(path, options)
        var (images, notes) = (saved, [String]())
        let own = source.training
        let canChange = source.form != .latents && source.form != .digits
        if canChange, (own.height, own.width) != (saved.height, saved.width) {
            (options.height, options.width) = (saved.height, saved.width)
            notes.append(
                "real images of \(own.height)x\(own.width) resized to \(saved.height)x\(saved.width), the size of the images to judge")
        }
        if canChange, own.channels == 1, saved.channels == 3 { options.channels = 3 }
        if options.height != nil || options.channels != nil { source = try DataSource.open(path, options) }
        if source.form != .latents, own.channels == 3, saved.channels == 1 {
            images = try saved.inColour(name: "images to judge")
            notes.append("the images to judge are gray, the real ones in colour: compared in colour")
        }
        (self.source, self.images, self.notes) = (source, images, notes)
    }

    /// Which label is which class, where that is not its number; the first few of many.
    public static func order(of names: [String]) -> String? {
        guard names != names.indices.map(String.init) else { return nil }
        let shown = names.prefix(12).enumerated().map { "\($0) is \($1)" }.joined(separator: ", ")
        return "labels count the data's classes in order: \(shown)\(names.count > 12 ? ", ..." : "")"
    }
}

extension Dataset {
    /// Gray images as red, green and blue.
    fileprivate func inColour(name: String) throws -> Dataset {
        let plane = height * width
        var values: [Float] = []
        values.reserveCapacity(3 * images.count)
        for image in 0..<count { for _ in 0..<3 { values += images[(image * plane)..<((image + 1) * plane)] } }
        return try Dataset(images: values, shape: [count, 3, height, width], labels: labels, classNames: classNames, name: name)
    }
}
