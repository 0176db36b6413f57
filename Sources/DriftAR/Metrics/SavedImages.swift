/// Images and labels as `driftgpu sample` writes them.
extension Dataset {
    /// Opens what `path` names: a folder with samples.npy and labels.npy or with LABEL-NUMBER.png files, or an array [N, C, H, W]
    /// with labels.npy beside it. Classes are called by their numbers.
    public init(samples path: String) throws {
        let images: NamedTensor
        let labels: [Int32]
        if Files.isFolder(path), !Files.exists(Files.join(path, "samples.npy")) {
            (images, labels) = try Self.pictures(in: path)
        } else {
            let array = Files.isFolder(path) ? Files.join(path, "samples.npy") : path
            images = try NPY.read(array)
            let list = Files.join(Files.parent(of: array), "labels.npy")
            guard let values = try NPY.read(list).ints else {
                throw DataError("not int32", at: list, fix: "save the labels as int32")
            }
            labels = values
        }
        guard let pixels = images.floats, images.shape.count == 4 else {
            throw DataError("no float32 array [N, C, H, W]", at: path, fix: "name an array that driftgpu sample --format npy wrote")
        }
        if let wrong = labels.first(where: { $0 < 0 || $0 >= Self.labelLimit }) {
            throw DataError("label \(wrong)", at: path, fix: "give labels from 0 on")
        }
        try self.init(
            images: pixels, shape: images.shape, labels: labels, classNames: (0...Int(labels.max() ?? 0)).map(String.init),
            name: path)
    }

    private static let labelLimit = 1_000_000

    /// The same images with other names of classes; `place` is what errors call them.
    public func named(_ classNames: [String], at place: String) throws -> Dataset {
        try Dataset(images: images, shape: shape, labels: labels, classNames: classNames, name: place)
    }

    /// Pictures of one size whose names begin with their label.
    private static func pictures(in folder: String) throws -> (NamedTensor, [Int32]) {
        var (values, labels): ([Float], [Int32]) = ([], [])
        var shape: [Int]?
        for name in try Files.names(in: folder) where name.hasSuffix(".png") && name != "grid.png" {
            let path = Files.join(folder, name)
            guard let label = name.split(separator: "-").first.flatMap({ Int32($0) }) else {
                throw DataError("its name does not begin with a label", at: path, fix: "name pictures LABEL-NUMBER.png, as driftgpu sample does")
            }
            let picture = try PNG.read(path).picture
            let size = [picture.channels, picture.height, picture.width]
            guard shape == nil || shape == size else {
                throw DataError("\(size) among pictures of \(shape ?? [])", at: path, fix: "give pictures of one size and kind")
            }
            shape = size
            values += picture.image
            labels.append(label)
        }
        guard let shape else {
            throw DataError("neither samples.npy nor LABEL-NUMBER.png", at: folder, fix: "name a folder that driftgpu sample wrote")
        }
        return (try NamedTensor(shape: [labels.count] + shape, floats: values), labels)
    }
}
