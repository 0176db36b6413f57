import ArgumentParser
import DriftAR
import DriftData
import DriftFormats
import Foundation

extension ImageTransform.Crop: ExpressibleByArgument {}
extension Residency: ExpressibleByArgument {}

/// Which images a run trains on, and how they are taken.
struct DataOptions: ParsableArguments {
    @Option(help: ArgumentHelp(
        "Images to train on: a folder train/CLASS/* of pictures (PNG, JPEG, WebP, BMP) with validation/CLASS/* (or just CLASS/*), a folder of IDX files (MNIST; .gz too) or of CIFAR's binary batches, or one IDX file of images. Default: the digits that the program carries.",
        valueName: "path"))
    var data: String?
    @Option(help: ArgumentHelp("Latents to train on: a folder that driftgpu cache wrote. The same as --data with such a folder.", valueName: "folder"))
    var latents: String?
    @Option(help: ArgumentHelp("Side of the images: sets height and width.", valueName: "n")) var size: Int?
    @Option(help: "Part of a picture that is taken: centre, or random.") var crop: ImageTransform.Crop?
    @Flag(inversion: .prefixedNo, help: "Mirror every other image, at random.") var flip: Bool?
    @Option(help: ArgumentHelp("Hold out one image in n of each class where the data has no part for that; 0: none.", valueName: "n"))
    var holdOut: Int?
    @Option(help: "Keep all images on the device: auto (up to 1 GiB), always, or never (read ahead while training).")
    var resident: Residency?

    func validate() throws {
        if data != nil, latents != nil { throw ValidationError("--data and --latents exclude each other") }
        if let size, size < 1 { throw ValidationError("--size \(size): take 1 or more") }
    }

    /// Opens the data and brings the settings in line with it: channels, size and classes are the data's unless a flag sets
    /// them. A folder of pictures has no size; it is the preset's or that of `--config`, but not that of the digits.
    ///
    /// - Parameter isFixed: the settings are those of a run that goes on; the data must fit them.
    func open(
        _ settings: inout Configuration, _ hyperparameters: Hyperparameters, hasSize: Bool, isFixed: Bool
    ) throws -> DataSource {
        if let latents, !FileManager.default.fileExists(atPath: latents + "/latents.json") {
            throw ConfigurationError("\(latents): no latents.json; name a folder that driftgpu cache has finished")
        }
        if let data = data ?? latents { settings.data.path = URL(fileURLWithPath: data).standardizedFileURL.path }
        settings.data.flip = flip ?? settings.data.flip
        settings.data.crop = crop ?? settings.data.crop
        settings.data.holdOut = holdOut ?? settings.data.holdOut
        settings.data.resident = resident ?? settings.data.resident
        if let size { (settings.data.height, settings.data.width) = (hyperparameters.height ?? size, hyperparameters.width ?? size) }
        try settings.requireData()
        if isFixed || settings.data.path.isEmpty {
            let source = try DataSource.open(settings)
            guard source.form == settings.data.form else {
                throw ConfigurationError(
                    "\(DataSource.name(of: settings.data.path)): is of the form \(source.form.rawValue), the run was trained on \(settings.data.form.rawValue); name its data with --data")
            }
            // Runs of old kept none.
            if settings.data.classNames.isEmpty { settings.data.adoptNames(of: source) }
            source.announce()
            return source
        }
        var options = DataSource.Options(settings)
        options.channels = hyperparameters.channels
        options.height = hyperparameters.height ?? size
        options.width = hyperparameters.width ?? size
        if hasSize { options.defaultSize = (settings.data.height, settings.data.width) }
        let source = try DataSource.open(settings.data.path, options)
        settings.data.adopt(source)
        source.announce()
        if let classes = hyperparameters.classes { settings.data.classes = classes }
        return source
    }
}

extension DataSource {
    /// Says what was decided about the data, what of them is left out, and which label is which class.
    func announce() {
        for line in notes + [ClassNames.line(training.classNames)].compactMap({ $0 }) { Output.line(line) }
    }
}
