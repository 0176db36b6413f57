import DriftData
import DriftFormats
import DriftReport
import Foundation

/// Generated images with their labels, and the files they become.
public struct SampleSet: Sendable {
    /// [N, channels, height, width], by convention in [-1, 1].
    public let pixels: [Float]
    /// Of `pixels`: the configuration's, or that of pictures decoded from latents.
    public let shape: [Int]
    /// [N].
    public let labels: [Int32]
    public let configuration: Configuration
    /// Images with a value that is not finite; it shows as black.
    public let notFinite: Int
    private let labelList: [Int]
    private let perLabel: Int
    private let rendering: Rendering.Kind
    private let settings: [(String, String)]

    /// `tokens` [labels.count * perLabel, R, C], the images of a label together. `settings` are embedded in the pictures.
    public init(
        tokens: [Float], labels: [Int], perLabel: Int, configuration: Configuration, settings: [(String, String)] = []
    ) {
        self.init(
            pixels: images(fromTokens: tokens, configuration),
            shape: [labels.count * perLabel, configuration.data.channels, configuration.data.height, configuration.data.width],
            labels: labels, perLabel: perLabel, configuration: configuration, settings: settings)
    }

    /// The same from `pixels` of the shape [labels.count * perLabel, channels, height, width], by convention in [-1, 1];
    /// `rendering` says what they show.
    public init(
        pixels: [Float], shape: [Int], labels: [Int], perLabel: Int, configuration: Configuration,
        rendering: Rendering.Kind = .pixels, settings: [(String, String)] = []
    ) {
        self.pixels = pixels
        self.shape = shape
        self.labels = labels.flatMap { Array(repeating: Int32($0), count: perLabel) }
        self.perLabel = perLabel
        self.configuration = configuration
        self.settings = settings
        (labelList, self.rendering) = (labels, rendering)
        notFinite = rowsNotFinite(pixels, width: shape.dropFirst().reduce(1, *)).count(where: { $0 })
    }

    /// The images as a data set, to be judged.
    public func dataset(classNames: [String]) throws -> Dataset {
        try Dataset(images: pixels, shape: shape, labels: labels, classNames: classNames, name: "samples")
    }

    /// What a folder held besides.
    public struct Leftovers: Sendable, Equatable {
        /// Files of the folder's earlier sampling, which were removed.
        public let removed: Int
        /// Pictures and arrays that no list of samples names: they stay, and are no part of this sampling.
        public let others: Int

        /// What a user should know of it; a line each.
        public func lines(in folder: String) -> [String] {
            (removed == 0 ? [] : ["\(counted(removed, "file")) of the sampling before removed"])
                + (others == 0
                    ? [] : ["\(counted(others, "other file")) in \(folder) looking like samples; driftgpu eval passes over what samples.json does not name"])
        }
    }

    /// Most pixels of the grid, and of one of its sides.
    private static let (gridPixels, gridSide) = (1 << 26, 1 << 16)

    /// A row for each label; of very many images the first of the first labels.
    func gridPicture() throws -> Picture {
        let scale = max(1, 48 / shape[2])
        let (high, wide) = (shape[2] * scale + 1, shape[3] * scale + 1)
        let columns = min(perLabel, max(1, Self.gridSide / wide))
        let rows = min(labelList.count, max(1, min(Self.gridSide, Self.gridPixels / (columns * wide)) / high))
        let size = shape.dropFirst().reduce(1, *)
        let shown = (0..<rows).flatMap { pixels[($0 * perLabel * size)..<(($0 * perLabel + columns) * size)] }
        return try Picture(grid: shown, shape: [rows * columns] + shape.dropFirst(), columns: columns, scale: scale)
    }

    /// Writes LABEL-NUMBER.png for each image, grid.png, if asked samples.npy and labels.npy, and samples.json, which lists
    /// them. Files of an earlier sampling in the folder are removed.
    @discardableResult
    public func write(to folder: String, arrays: Bool) throws -> Leftovers {
        let text = [PNG.Text("Software", "driftgpu")] + settings.map { PNG.Text($0.0, $0.1) }
        let (channels, height, width) = (shape[1], shape[2], shape[3])
        let size = channels * height * width
        var manifest = SampleManifest(
            labels: labelList, perLabel: perLabel, shape: [channels, height, width], rendering: rendering, notFinite: notFinite,
            checksum: arrays ? SampleManifest.checksum(of: pixels) : nil,
            settings: settings.map { JSON.Member($0.0, .string($0.1)) })
        let removed = try manifest.prepare(folder)
        let (pixels, labels, names) = (pixels, labels, manifest.pictures)
        let failure = FirstInOrder<any Error>()
        // Packing takes the time: on all cores.
        DispatchQueue.concurrentPerform(iterations: names.count) { index in
            guard failure.isOpen(at: index) else { return }
            do {
                let picture = try Picture(
                    image: Array(pixels[(index * size)..<((index + 1) * size)]), channels: channels, height: height, width: width)
                try PNG.write(
                    picture, text: text + [PNG.Text("driftgpu.label", "\(labels[index])")], to: Files.join(folder, names[index]),
                    synced: false)
            } catch {
                failure.offer(error, at: index)
            }
        }
        if let error = failure.value { throw error }
        try PNG.write(gridPicture(), text: text, to: Files.join(folder, SampleManifest.grid))
        if arrays {
            try NPY.write(NamedTensor(shape: shape, floats: pixels), to: Files.join(folder, SampleManifest.arrays))
            try NPY.write(NamedTensor(shape: [labels.count], ints: labels), to: Files.join(folder, SampleManifest.labelsArray))
        }
        manifest.isComplete = true
        try manifest.write(to: folder)
        return Leftovers(removed: removed, others: try manifest.others(in: folder))
    }
}
