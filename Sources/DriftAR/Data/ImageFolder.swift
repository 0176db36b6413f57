/// A folder of pictures, one folder for each class: `train/CLASS/*` with `validation/CLASS/*` or the like, or `CLASS/*`.
struct ImageFolder: ImageReader {
    /// Names of the classes' folders, in the order of their bytes.
    let classNames: [String]
    /// Class of each picture.
    private(set) var labels: [Int32] = []
    private let folder: String
    private var names: [String] = []
    private var transform = ImageTransform(channels: 3, height: 1, width: 1)

    private static let endings = [".png", ".jpg", ".jpeg"]

    /// Names of the folder that may hold what is held out.
    static let heldOutNames = ["validation", "val", "test"]

    /// Lists the folder. A class without pictures is an error where classes are new; where they are those of the training
    /// data, any may be missing but no other may appear.
    init(_ folder: String, classes: [String]? = nil) throws {
        self.folder = folder
        let found = try Self.classes(in: folder)
        classNames = classes ?? found
        for (place, name) in found.enumerated() {
            guard let label = classes == nil ? place : classNames.firstIndex(of: name) else {
                throw DataError("class \(name) is not among the \(classNames.count) of the training data", at: folder,
                                fix: "remove the folder or train on the class too")
            }
            let pictures = try Self.sorted(Files.names(in: Files.join(folder, name)).filter(Self.isPicture))
            guard !pictures.isEmpty || classes != nil else {
                throw DataError("no .png, .jpg or .jpeg file", at: Files.join(folder, name), fix: "add pictures or remove the folder")
            }
            names += pictures
            labels += [Int32](repeating: Int32(label), count: pictures.count)
        }
        guard !names.isEmpty else { throw DataError("no pictures", at: folder, fix: "name a folder with CLASS/*.png or .jpg") }
    }

    /// The same pictures brought to another shape.
    func transformed(_ transform: ImageTransform) -> ImageFolder {
        var result = self
        result.transform = transform
        return result
    }

    /// Names of the folders in a folder, in the order of their bytes; hidden ones are left out.
    static func classes(in folder: String) throws -> [String] {
        sorted(try Files.names(in: folder).filter { !$0.hasPrefix(".") && Files.isFolder(Files.join(folder, $0)) })
    }

    var mayBreak: Bool { true }

    func path(_ row: Int) -> String {
        Files.join(Files.join(folder, classNames[Int(labels[row])]), names[row])
    }

    func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableBufferPointer<Float>) throws {
        try transform.write(Picture.read(path(row)), variant, to: buffer)
    }

    /// Channels of the first picture that can be read.
    func channels() throws -> Int {
        for row in labels.indices {
            if let picture = try? Picture.read(path(row)) { return picture.channels }
        }
        throw DataError("none of its \(labels.count) pictures can be read", at: folder, fix: "look at one with another program")
    }

    private static func isPicture(_ name: String) -> Bool {
        !name.hasPrefix(".") && endings.contains { name.lowercased().hasSuffix($0) }
    }

    private static func sorted(_ names: [String]) -> [String] {
        names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}
