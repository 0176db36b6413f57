import Dispatch
import DriftFormats

/// A folder of pictures, one folder for each class: `train/CLASS/*` with `validation/CLASS/*` or the like, or `CLASS/*`. A
/// class's pictures may lie in folders of their own.
struct ImageFolder: ImageReader {
    /// Names of the classes' folders, in the order of their bytes.
    let classNames: [String]
    /// Class of each picture.
    private(set) var labels: [Int32] = []
    /// Number of files in the classes' folders that are no pictures this program reads, by their ending.
    private(set) var leftOut: [String: Int] = [:]
    private let folder: String
    /// Paths within the class's folder.
    private var names: [String] = []
    private var transform = ImageTransform(channels: 3, height: 1, width: 1)

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
            let tree = try PictureTree(Files.join(folder, name))
            guard !tree.pictures.isEmpty || classes != nil else {
                let others = tree.leftOut.isEmpty ? "" : " (\(PictureTree.text(ofLeftOut: tree.leftOut)))"
                throw DataError("no \(PictureFormat.endingsText) file\(others)", at: Files.join(folder, name),
                                fix: "add pictures or remove the folder")
            }
            names += tree.pictures
            labels += [Int32](repeating: Int32(label), count: tree.pictures.count)
            leftOut.merge(tree.leftOut, uniquingKeysWith: +)
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
        try Files.entries(in: folder).filter { $0.isFolder && !$0.name.hasPrefix(".") }.map(\.name)
    }

    var mayBreak: Bool { true }
    var form: ImageForm { .bytes }

    func path(_ row: Int) -> String {
        Files.join(Files.join(folder, classNames[Int(labels[row])]), names[row])
    }

    func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        try transform.write(file: path(row), variant, to: buffer)
    }

    func storedBytes(_ row: Int) throws -> Int { try InputFile(path(row)).byteCount }

    /// Channels of the set, by the headers of its pictures: 3 where one of them is in colour, 1 where all are gray. With a line
    /// that says why.
    func channels() throws -> (channels: Int, reason: String) {
        let coloured = FirstInOrder<Int>()
        let gray = FirstInOrder<Int>()
        DispatchQueue.concurrentPerform(iterations: names.count) { row in
            guard coloured.isOpen(at: row), let channels = try? PictureFormat.channels(of: path(row)) else { return }
            (channels == 1 ? gray : coloured).offer(row, at: row)
        }
        if let row = coloured.value {
            return (3, "3 channels, as \(path(row)) is in colour; --channels 1 makes all pictures gray")
        }
        guard gray.value != nil else {
            throw DataError("none of its \(labels.count) pictures can be read", at: folder, fix: "look at one with another program")
        }
        return (1, "1 channel, as all \(names.count) pictures are gray; --channels 3 makes them RGB")
    }
}
