/// Generated images with their labels, and the files they become.
public struct SampleSet: Sendable {
    /// [N, channels, height, width] in [-1, 1].
    public let pixels: [Float]
    /// Of `pixels`: the configuration's, or that of pictures decoded from latents.
    public let shape: [Int]
    /// [N].
    public let labels: [Int32]
    public let configuration: Configuration
    private let perLabel: Int
    private let settings: [(String, String)]

    /// `tokens` [labels.count * perLabel, R, C], the images of a label together. `settings` are embedded in the pictures.
    public init(
        tokens: [Float], labels: [Int], perLabel: Int, configuration: Configuration, settings: [(String, String)] = []
    ) {
        self.init(
            pixels: images(fromTokens: tokens, configuration),
            shape: [labels.count * perLabel, configuration.channels, configuration.height, configuration.width],
            labels: labels, perLabel: perLabel, configuration: configuration, settings: settings)
    }

    /// The same from `pixels` of the shape [labels.count * perLabel, channels, height, width] in [-1, 1].
    public init(
        pixels: [Float], shape: [Int], labels: [Int], perLabel: Int, configuration: Configuration,
        settings: [(String, String)] = []
    ) {
        self.pixels = pixels
        self.shape = shape
        self.labels = labels.flatMap { Array(repeating: Int32($0), count: perLabel) }
        self.perLabel = perLabel
        self.configuration = configuration
        self.settings = settings
    }

    /// The images as a data set, to be judged.
    public func dataset(classNames: [String]) throws -> Dataset {
        try Dataset(images: pixels, shape: shape, labels: labels, classNames: classNames, name: "samples")
    }

    /// Writes LABEL-NUMBER.png for each image, grid.png, and if asked samples.npy and labels.npy.
    public func write(to folder: String, arrays: Bool) throws {
        try Files.makeFolder(folder)
        let text = [PNG.Text("Software", "driftgpu")] + settings.map { PNG.Text($0.0, $0.1) }
        let (channels, height, width) = (shape[1], shape[2], shape[3])
        let size = channels * height * width
        for index in labels.indices {
            let picture = try Picture(
                image: Array(pixels[(index * size)..<((index + 1) * size)]), channels: channels, height: height,
                width: width)
            let name = "\(Self.padded(Int(labels[index]), 4))-\(Self.padded(index % perLabel, 5)).png"
            try PNG.write(
                picture, text: text + [PNG.Text("driftgpu.label", "\(labels[index])")], to: folder + "/" + name,
                synced: false)
        }
        let scale = max(1, 48 / height)
        let grid = try Picture(grid: pixels, shape: shape, columns: perLabel, scale: scale)
        try PNG.write(grid, text: text, to: folder + "/grid.png")
        if arrays {
            try NPY.write(NamedTensor(shape: shape, floats: pixels), to: folder + "/samples.npy")
            try NPY.write(NamedTensor(shape: [labels.count], ints: labels), to: folder + "/labels.npy")
        }
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
