import DriftData
import DriftFormats
import DriftReport
import Foundation
import Synchronization

/// Images with labels that were saved to be judged: by `driftgpu sample`, by ADM, DiT and others in an .npz archive, as arrays of
/// NumPy, or as pictures named after their label.
public struct SavedImages: Sendable {
    /// Classes are called by their numbers.
    public let images: Dataset
    /// What was read: how many images from where.
    public let origin: String
    /// What should be known of it beside the figures; a line each.
    public let notes: [String]

    /// Opens what `path` names: a folder that `driftgpu sample` wrote, with samples.npy and labels.npy, or with
    /// LABEL-NUMBER.png files; an array [N, C, H, W], [N, H, W, C] or [N, H, W] with labels.npy beside it; or an .npz archive
    /// with images (arr_0) and labels (arr_1).
    ///
    /// Of a folder with a list of samples exactly the newest sampling is read. Values of an array are taken to be in [-1, 1],
    /// whole numbers to be in 0...255; numbers that can hardly be that are refused, unless `range` says what they are.
    public init(_ path: String, range: ValueRange? = nil) throws {
        if let (folder, manifest) = try Self.sampling(path) {
            try self.init(manifest, in: folder, range: range)
        } else if Files.isFolder(path) {
            let array = Files.join(path, SampleManifest.arrays)
            if Files.exists(array) {
                try self.init(array: array, range: range, notes: Self.pictureNames(in: path).count)
            } else {
                try self.init(pictures: Self.pictureNames(in: path), in: path, of: "", range: range)
            }
        } else if try Self.isArchive(path) {
            try self.init(archive: path, range: range)
        } else {
            try self.init(array: path, range: range, notes: 0)
        }
    }

    /// The folder and list of samples that `path` is, or is the array of.
    private static func sampling(_ path: String) throws -> (folder: String, manifest: SampleManifest)? {
        if Files.isFolder(path) { return try SampleManifest.read(in: path).map { (path, $0) } }
        guard Files.name(of: path) == SampleManifest.arrays, Files.exists(path) else { return nil }
        let folder = Files.parent(of: path)
        guard let manifest = try SampleManifest.read(in: folder), manifest.checksum != nil else { return nil }
        return (folder, manifest)
    }

    private init(
        _ pixels: PixelArray, labels: NamedTensor, labelPlace: String, at place: String, origin: String, notes: [String] = []
    ) throws {
        let list = try Self.labels(labels, at: labelPlace)
        guard list.count == pixels.shape[0] else {
            throw DataError(
                "\(list.count) labels for \(pixels.shape[0]) images", at: labelPlace, fix: "save a label for each image")
        }
        guard !list.isEmpty else { throw DataError("no images", at: place, fix: "draw some: driftgpu sample") }
        images = try Dataset(
            images: pixels.values, shape: pixels.shape, labels: list,
            classNames: (0...Int(list.max() ?? 0)).map(String.init), name: place)
        self.origin = origin
        self.notes = notes + pixels.notes
    }

    // MARK: Arrays

    private init(array path: String, range: ValueRange?, notes pictures: Int) throws {
        let pixels = try PixelArray(NPY.read(path), range: range, at: path)
        let list = Files.join(Files.parent(of: path), SampleManifest.labelsArray)
        guard Files.exists(list) else {
            throw DataError("no labels.npy beside it", at: path, fix: "save the label of each image there: whole numbers [N]")
        }
        let beside = pictures == 0 ? [] : ["\(counted(pictures, "picture")) beside \(Files.name(of: path)) not judged"]
        try self.init(
            pixels, labels: NPY.read(list), labelPlace: list, at: path, origin: "\(counted(pixels.shape[0], "image")) of \(path)",
            notes: beside)
    }

    /// Names of images and of labels in archives: what numpy.savez calls arrays without a name, and what people call them.
    private static let names = (images: ["arr_0", "samples", "images", "x"], labels: ["arr_1", "labels", "y"])
    /// Most bytes of an array in an archive.
    private static let byteLimit = 1 << 36

    private init(archive path: String, range: ValueRange?) throws {
        let archive = try ZipArchive(path)
        let found = archive.entries.keys.filter { $0.hasSuffix(".npy") }.map { String($0.dropLast(4)) }.sorted()
        func array(_ names: [String], _ what: String) throws -> (place: String, tensor: NamedTensor) {
            guard let name = names.first(where: found.contains) else {
                let others = found.isEmpty ? "no arrays" : found.prefix(6).joined(separator: ", ")
                throw DataError(
                    "no \(what) among its arrays (\(others))", at: path,
                    fix: "save images [N, H, W, C] as arr_0 and labels [N] as arr_1, as ADM does")
            }
            let place = "\(path), \(name)"
            return (place, try NPY.read(archive.contents(name + ".npy", limit: Self.byteLimit), place))
        }
        let (images, labels) = (try array(Self.names.images, "images"), try array(Self.names.labels, "labels"))
        let pixels = try PixelArray(images.tensor, range: range, at: images.place)
        try self.init(
            pixels, labels: labels.tensor, labelPlace: labels.place, at: path,
            origin: "\(counted(pixels.shape[0], "image")) of \(path)")
    }

    private static func isArchive(_ path: String) throws -> Bool {
        let file = try InputFile(path)
        var start = [UInt8](repeating: 0, count: min(ZipArchive.magic.count, file.byteCount))
        try start.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        return start == ZipArchive.magic
    }

    private static let labelLimit = 1_000_000

    /// Whole numbers [N] or [N, 1] of any type.
    private static func labels(_ tensor: NamedTensor, at place: String) throws -> [Int32] {
        let fix = "save whole numbers from 0 on, [N]"
        guard tensor.shape.count == 1 || tensor.shape.count == 2 && tensor.shape[1] == 1 else {
            throw DataError("labels of the shape \(tensor.shape)", at: place, fix: fix)
        }
        let numbers: [Int64?] =
            switch tensor.values {
            case .floats(let floats): floats.map { Int64(exactly: $0) }
            case .ints(let ints): ints.map(Int64.init)
            case .longs(let longs): longs
            case .bytes(let bytes): bytes.map(Int64.init)
            }
        return try numbers.enumerated().map { index, number in
            guard let number, number >= 0, number < labelLimit else {
                throw DataError("image \(index) has the label \(number.map(String.init) ?? "that is no whole number")", at: place, fix: fix)
            }
            return Int32(number)
        }
    }

    // MARK: Samples

    /// What the list of samples names, and nothing else of the folder.
    private init(_ manifest: SampleManifest, in folder: String, range: ValueRange?) throws {
        guard manifest.isComplete else {
            throw DataError("its sampling was not finished", at: folder, fix: "draw the samples again: driftgpu sample")
        }
        guard manifest.rendering != .falseColours else {
            throw DataError(
                "latents in false colours, which are no images to judge", at: folder, fix: "sample with --vae FILE.safetensors")
        }
        let settings = manifest.settings.compactMap { member -> String? in
            guard let value = member.value.string, let name = member.key.split(separator: ".").last else { return nil }
            return "\(name) \(value)"
        }.joined(separator: ", ")
        let drawn = settings.isEmpty ? "" : ", drawn with \(settings)"
        let others = try manifest.others(in: folder)
        let notes = others == 0 ? [] : ["\(counted(others, "file")) in \(folder) that samples.json does not name: not judged"]
        let path = Files.join(folder, SampleManifest.arrays)
        guard manifest.checksum != nil, Files.exists(path) else {
            try self.init(pictures: manifest.pictures, in: folder, of: drawn, range: range, notes: notes)
            return
        }
        let tensor = try NPY.read(path)
        guard let values = tensor.floats, tensor.shape == [manifest.count] + manifest.shape,
            SampleManifest.checksum(of: values) == manifest.checksum
        else {
            throw DataError(
                "not the samples that samples.json beside it names", at: path,
                fix: "draw the samples again, or remove samples.json to judge what is there")
        }
        // They are in [-1, 1], however few of them are below 0.
        let pixels = try PixelArray(tensor, range: range ?? .signed, at: path)
        let labels = try NamedTensor(shape: [manifest.count], ints: manifest.imageLabels)
        try self.init(pixels, labels: labels, labelPlace: folder, at: folder,
            origin: "\(counted(manifest.count, "image")) of \(path)\(drawn)", notes: notes)
    }

    // MARK: Pictures

    private static func pictureNames(in folder: String) throws -> [String] {
        try Files.names(in: folder).filter { SampleManifest.isPicture($0) && $0 != SampleManifest.grid }
    }

    /// The pictures of these files, read on all cores. Throws for the first that cannot be read.
    private static func read(_ paths: [String]) throws -> [Picture] {
        let failure = FirstInOrder<any Error>()
        let found = Mutex<[Int: Picture]>([:])
        DispatchQueue.concurrentPerform(iterations: paths.count) { index in
            guard failure.isOpen(at: index) else { return }
            do {
                let picture = try Picture.read(paths[index])
                found.withLock { $0[index] = picture }
            } catch {
                failure.offer(error, at: index)
            }
        }
        if let error = failure.value { throw error }
        let pictures = found.withLock { $0 }
        return paths.indices.compactMap { pictures[$0] }
    }

    /// Pictures of one size whose names begin with their label. Where some are gray and others in colour, all are in colour.
    private init(pictures names: [String], in folder: String, of drawn: String, range: ValueRange?, notes: [String] = []) throws {
        guard range == nil else {
            throw DataError("pictures, whose values have one range", at: folder, fix: "leave out --range, which is for arrays")
        }
        let labels = try names.map { name in
            guard let label = name.split(separator: "-").first.flatMap({ Int32($0) }) else {
                throw DataError(
                    "its name does not begin with a label", at: Files.join(folder, name),
                    fix: "name pictures LABEL-NUMBER.png, as driftgpu sample does")
            }
            return label
        }
        let pictures = try Self.read(names.map { Files.join(folder, $0) })
        guard let first = pictures.first else {
            throw DataError(
                "neither samples.npy nor LABEL-NUMBER.png", at: folder, fix: "name a folder that driftgpu sample wrote, or an .npz file")
        }
        for (name, picture) in zip(names, pictures) where (first.width, first.height) != (picture.width, picture.height) {
            throw DataError(
                "\(picture.width)x\(picture.height) among pictures of \(first.width)x\(first.height)", at: Files.join(folder, name),
                fix: "give pictures of one size")
        }
        let channels = pictures.map(\.channels).max() ?? 1
        let gray = pictures.count { $0.channels != channels }
        let values = try pictures.flatMap { try $0.converted(channels: channels).image }
        let mixed = gray == 0 ? [] : ["\(counted(gray, "gray picture")) among \(pictures.count), taken as colour"]
        let pixels = PixelArray(values: values, shape: [pictures.count, channels, first.height, first.width])
        try self.init(
            pixels, labels: NamedTensor(shape: [labels.count], ints: labels), labelPlace: folder, at: folder,
            origin: "\(counted(pictures.count, "picture")) in \(folder)\(drawn)", notes: notes + mixed)
    }
}

extension Dataset {
    /// The same images with other names of classes; `place` is what errors call them.
    public func named(_ classNames: [String], at place: String) throws -> Dataset {
        try Dataset(images: images, shape: shape, labels: labels, classNames: classNames, name: place)
    }
}
