import DriftFormats

/// A data set opened for training or judging: what a path holds, as a training and a held-out part.
public struct DataSource: Sendable {
    /// The forms that are understood.
    public enum Form: String, Codable, Sendable, CaseIterable {
        /// The handwritten digits that the program carries.
        case digits
        /// `train/CLASS/*` or `CLASS/*` directly, pictures of any `PictureFormat`.
        case folder
        /// `train-images-idx3-ubyte` and the like, as they are or as .gz.
        case idx
        /// `data_batch_1.bin`... (CIFAR-10) or `train.bin` (CIFAR-100).
        case cifar
        /// `latents.json` and its shards.
        case latents
    }

    /// What is wanted of the images.
    public struct Options: Sendable {
        /// Nil: as the data has it.
        public var channels: Int?
        /// Nil: as the data has it.
        public var height: Int?
        public var width: Int?
        /// For pictures, which have no one size, where `height` and `width` are nil.
        public var defaultSize: (height: Int, width: Int)?
        public var augmentation = ImageSet.Augmentation()
        /// One image in so many of each class is held out where the data has no part for that; 0: none.
        public var holdOut = 5

        public init() {}
    }

    public let form: Form
    public let training: ImageSet
    /// Empty where nothing is held out.
    public let heldOut: ImageSet
    /// What was decided about the data, and what of them is left out: a line each.
    public private(set) var notes: [String] = []

    /// Opens the data at `path`, an empty path being the digits the program carries.
    ///
    /// Throws a one-line error for what cannot be read, is of no known form, or does not go with the options.
    public static func open(_ path: String, _ options: Options = Options()) throws -> DataSource {
        if path.isEmpty { return try digits(options) }
        guard Files.exists(path) else {
            throw DataError("no such file or folder", at: path, fix: "name a folder of images, IDX files or CIFAR batches")
        }
        let found = try DataRoot.find(path)
        var source = switch found.root {
        case .latents: try latents(found.folder, options)
        case .idx(let training, let heldOut): try idx(training: training, heldOut: heldOut, options)
        case .cifar(let kind): try cifar(kind, found.folder, options)
        case .pictures: try folder(found.folder, options)
        }
        if Files.isFolder(path), found.folder != path { source.notes.insert("the data are those of \(found.folder)", at: 0) }
        return try source.withoutEmptyClasses()
    }

    /// The data without the classes of which there is no image for training; later labels move down.
    private func withoutEmptyClasses() throws -> DataSource {
        let members = training.index.members
        let kept = members.indices.filter { !members[$0].isEmpty }
        guard kept.count < members.count else { return self }
        let names = members.indices.filter { members[$0].isEmpty }.map { training.classNames[$0] }
        let shown = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", ..." : "")
        var source = try DataSource(form, training: training.keeping(kept), heldOut: heldOut.keeping(kept), holdOut: 0)
        let held = heldOut.count - source.heldOut.count
        source.notes = notes + [
            "\(names.count) of \(members.count) classes left out, as there are no images of them: \(shown)"
                + (held > 0 ? "; \(held) images that are held out are of those classes" : "")
        ]
        return source
    }

    /// What errors call the data at `path`; an empty path has no name of its own.
    package static func name(of path: String) -> String { path.isEmpty ? "the digits the program carries" : path }

    private init(_ form: Form, training: ImageSet, heldOut: ImageSet?, holdOut: Int) throws {
        self.form = form
        if let heldOut {
            (self.training, self.heldOut) = (training, heldOut)
        } else {
            (self.training, self.heldOut) = try training.split(holdingOut: holdOut)
        }
    }

    private static func digits(_ options: Options) throws -> DataSource {
        guard options.augmentation.crop == .centre else {
            throw DataError("the digits cannot be cropped", at: "digits", fix: "leave out --crop random, or name other data with --data")
        }
        return try DataSource(.digits, training: ImageSet(OptDigits.all(), augmentation: options.augmentation), heldOut: nil,
                              holdOut: options.holdOut)
    }

    private static func shape(
        _ options: Options, _ own: (channels: Int, height: Int, width: Int), at place: String
    ) throws -> ImageTransform {
        let shape = ImageTransform(
            channels: options.channels ?? own.channels, height: options.height ?? own.height, width: options.width ?? own.width)
        guard shape.channels == 1 || shape.channels == 3 else {
            throw DataError("images have 1 or 3 channels, not \(shape.channels)", at: place, fix: "set channels to 1 or 3")
        }
        guard (1...4096).contains(shape.height), (1...4096).contains(shape.width) else {
            throw DataError("images of \(shape.height)x\(shape.width)", at: place, fix: "take sizes of 1 to 4096")
        }
        return shape
    }

    private static func idx(training path: String, heldOut: String?, _ options: Options) throws -> DataSource {
        let (bytes, count, height, width, warning) = try IDX.images(path)
        var notes = [warning]
        let shape = try Self.shape(options, (1, height, width), at: path)
        let labels = try Self.labels(of: path, count: count)
        let other = try heldOut.map { path in
            let images = try IDX.images(path)
            guard (images.height, images.width) == (height, width) else {
                throw DataError("images of \(images.height)x\(images.width), those for training are \(height)x\(width)", at: path,
                                fix: "take files that belong together")
            }
            notes.append(images.warning)
            return (path: path, bytes: images.bytes, labels: try Self.labels(of: path, count: images.count))
        }
        // A class that one part alone has is left out later, with a line.
        let classNames = (0...Int((labels + (other?.labels ?? [])).max() ?? 0)).map(String.init)
        func set(_ bytes: [UInt8], _ labels: [Int32], _ path: String) throws -> ImageSet {
            ImageSet(
                PackedImages(bytes: bytes, channels: 1, height: height, width: width, transform: shape), shape: shape,
                index: try LabelIndex(labels: labels, classNames: classNames, name: path), augmentation: options.augmentation)
        }
        var source = try DataSource(
            .idx, training: set(bytes, labels, path), heldOut: other.map { try set($0.bytes, $0.labels, $0.path) }, holdOut: options.holdOut)
        source.notes = notes.compactMap { $0 }
        return source
    }

    private static func labels(of images: String, count: Int) throws -> [Int32] {
        let path = try IDX.labelsPath(for: images)
        let labels = try IDX.labels(path)
        guard labels.count == count, count > 0 else {
            throw DataError("\(labels.count) labels for the \(count) images of \(Files.name(of: images))", at: path,
                            fix: "take files that belong together")
        }
        return labels
    }

    private static func cifar(_ kind: CIFAR.Kind, _ path: String, _ options: Options) throws -> DataSource {
        let shape = try Self.shape(options, (CIFAR.channels, CIFAR.side, CIFAR.side), at: path)
        let classNames = try CIFAR.classNames(of: kind, in: path)
        func set(_ files: [String]) throws -> ImageSet {
            let part = try CIFAR.read(files, of: kind, in: path)
            return ImageSet(
                PackedImages(
                    bytes: part.bytes, channels: CIFAR.channels, height: CIFAR.side, width: CIFAR.side, transform: shape),
                shape: shape, index: try LabelIndex(labels: part.labels, classNames: classNames, name: path),
                augmentation: options.augmentation)
        }
        return try DataSource(
            .cifar, training: set(kind.training), heldOut: kind.heldOut.isEmpty ? nil : set(kind.heldOut),
            holdOut: options.holdOut)
    }

    /// Whether the folder's `train` is the part to train on, and not one class of several.
    private static func hasPart(_ path: String) throws -> Bool {
        let inner = Files.join(path, "train")
        guard Files.isFolder(inner) else { return false }
        let holdsPictures = try Files.entries(in: inner).contains { !$0.isFolder && PictureFormat.isPicture($0.name) }
        return try !holdsPictures || besides(path).isEmpty || !ImageFolder.classes(in: inner).isEmpty
    }

    /// Folders beside the parts for training and holding out.
    private static func besides(_ path: String) throws -> [String] {
        try ImageFolder.classes(in: path).filter { $0 != "train" && !ImageFolder.heldOutNames.contains($0) }
    }

    private static func folder(_ path: String, _ options: Options) throws -> DataSource {
        let hasTrain = try hasPart(path)
        let training = try ImageFolder(hasTrain ? Files.join(path, "train") : path)
        guard let height = options.height ?? options.defaultSize?.height, let width = options.width ?? options.defaultSize?.width else {
            throw DataError("pictures have no one size", at: path, fix: "set the images' side with --size, a multiple of --patch")
        }
        let decided = options.channels == nil ? try training.channels() : nil
        let own = (channels: decided?.channels ?? 3, height: height, width: width)
        let shape = try Self.shape(options, own, at: path)
        func set(_ folder: ImageFolder) throws -> ImageSet {
            ImageSet(
                folder.transformed(shape), shape: shape,
                index: try LabelIndex(labels: folder.labels, classNames: folder.classNames, name: path),
                augmentation: options.augmentation)
        }
        let name = hasTrain ? ImageFolder.heldOutNames.first { Files.isFolder(Files.join(path, $0)) } : nil
        let other = try name.map { try ImageFolder(Files.join(path, $0), classes: training.classNames) }
        var source = try DataSource(.folder, training: set(training), heldOut: other.map(set), holdOut: options.holdOut)
        source.notes = [decided?.reason].compactMap { $0 }
        let leftOut = training.leftOut.merging(other?.leftOut ?? [:], uniquingKeysWith: +)
        let unread = hasTrain ? try besides(path) : []
        if !unread.isEmpty {
            let shown = unread.prefix(5).joined(separator: ", ") + (unread.count > 5 ? ", ..." : "")
            source.notes.append("\(counted(unread.count, "folder")) beside train not read: \(shown)")
        }
        if !leftOut.isEmpty {
            source.notes.append(
                "\(leftOut.values.reduce(0, +)) files left out: \(PictureTree.text(ofLeftOut: leftOut)); pictures are \(PictureFormat.endingsText)")
        }
        return source
    }

    private static func latents(_ path: String, _ options: Options) throws -> DataSource {
        let latents = try LatentFolder(path)
        let own = latents.manifest
        guard options.channels ?? own.channels == own.channels, options.height ?? own.height == own.height,
              options.width ?? own.width == own.width
        else {
            throw DataError("latents are \(own.channels)x\(own.height)x\(own.width)", at: path,
                            fix: "leave out channels and size, or write other latents: driftgpu cache")
        }
        guard options.augmentation.crop == .centre, !options.augmentation.flip || own.isFlipped else {
            throw DataError(options.augmentation.flip ? "no latents of mirrored images" : "latents cannot be cropped", at: path,
                            fix: options.augmentation.flip ? "leave out --flip, or write them: driftgpu cache --flip" : "leave out --crop random")
        }
        let set = ImageSet(
            latents, shape: ImageTransform(channels: own.channels, height: own.height, width: own.width),
            index: try LabelIndex(labels: latents.labels, classNames: own.classNames, name: path), augmentation: options.augmentation)
        // Of pictures with a part that is held out the others are all there to train on.
        return try DataSource(.latents, training: set, heldOut: nil, holdOut: own.isHeldOutApart ? 0 : options.holdOut)
    }
}
