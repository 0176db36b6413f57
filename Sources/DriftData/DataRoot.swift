import DriftFormats

/// What a path of data holds, found by names and first bytes.
enum DataRoot {
    case latents
    case idx(training: String, heldOut: String?)
    case cifar(CIFAR.Kind)
    /// A folder of pictures.
    case pictures

    /// Folders in which torchvision and the archives of the sets keep their files.
    private static let innerFolders = ["raw"] + ["MNIST", "FashionMNIST", "KMNIST", "EMNIST"].map { $0 + "/raw" } + [
        "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python",
    ]

    /// What `path` holds and the folder in which that is: the path itself or a known folder in it. Throws where it holds nothing
    /// that is read, with what it does hold.
    static func find(_ path: String) throws -> (root: DataRoot, folder: String) {
        if !Files.isFolder(path) {
            try FileSignature.checkData(path)
            return (.idx(training: path, heldOut: nil), Files.parent(of: path))
        }
        if let root = try known(path) { return (root, path) }
        let inner = try innerFolders.map { Files.join(path, $0) }.filter(Files.isFolder).compactMap { folder in
            try known(folder).map { (root: $0, folder: folder) }
        }
        guard inner.count <= 1 else {
            throw DataError("it holds \(Files.name(of: inner[0].folder)) and \(Files.name(of: inner[1].folder))", at: path,
                            fix: "name one of them, like \(inner[0].folder)")
        }
        if let inner = inner.first { return inner }
        let entries = try Files.entries(in: path).filter { !$0.name.hasPrefix(".") }
        if entries.contains(where: \.isFolder) { return (.pictures, path) }
        let files = entries.map(\.name)
        if let archive = files.first(where: isArchive) {
            throw DataError("it holds \(archive), which is packed", at: path, fix: "unpack it and name the folder that comes out")
        }
        let pictures = files.filter(PictureFormat.isPicture).count
        guard pictures == 0 else {
            throw DataError("its \(pictures) pictures lie in no folder of a class", at: path,
                            fix: "move them to FOLDER/CLASS, even if there is one class")
        }
        throw DataError("neither folders of images, IDX files, CIFAR batches nor latents.json", at: path,
                        fix: "name a folder with CLASS/*.png or .jpg, or one of the others")
    }

    /// Whether a file of that name is an archive of files.
    private static func isArchive(_ name: String) -> Bool {
        let endings = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar"]
        return endings.contains(where: name.lowercased().hasSuffix)
    }

    private static func known(_ folder: String) throws -> DataRoot? {
        if Files.exists(Files.join(folder, LatentFolder.manifestName)) { return .latents }
        if let files = try IDX.files(in: folder) { return .idx(training: files.training, heldOut: files.heldOut) }
        return try CIFAR.kind(of: folder).map(DataRoot.cifar)
    }
}
