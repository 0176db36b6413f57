import ArgumentParser
import DriftAR
import DriftFormats
import DriftGPU
import Foundation

struct Autoencode: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vae", abstract: "Train an autoencoder, and look at what it keeps of pictures.", subcommands: [TrainAutoencoder.self, Reconstruct.self])
}

struct TrainAutoencoder: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a KL autoencoder on your own pictures.", usage: "driftgpu vae train [<options>]",
        discussion: "As driftgpu train with the preset autoencoder: samples/ has pictures that are held out, each beside its reconstruction, metrics.jsonl their peak signal-to-noise ratio (psnr, in decibels). At its end the run writes autoencoder.safetensors, with the scale of its latents; --vae takes that file, or the run's folder. Sizes are settings of the head: --set head.width=64 --set head.multipliers=[1,2,4] --set head.latentChannels=4.")

    @OptionGroup var train: Train

    func run() throws {
        var train = train
        train.preset = train.preset ?? "autoencoder"
        try train.run()
    }
}

struct Reconstruct: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Encode and decode pictures; write each beside its reconstruction.",
        discussion: "Prints the peak signal-to-noise ratio of each in decibels and writes it into its PNG (driftgpu.psnr). A file of random weights reconstructs nothing.")

    @ArgumentParser.Argument(help: ArgumentHelp("Pictures: PNG, JPEG, WebP or BMP.", valueName: "image")) var images: [String]
    @OptionGroup var vaeOptions: VAEOptions
    @Option(help: ArgumentHelp("Side the pictures are brought to, as training data is. Default: their own, cropped to whole latents.", valueName: "n"))
    var size: Int?
    @Option(help: "Seed of --vae random.") var seed: UInt64 = 0
    @Option(name: [.short, .long], help: "Folder to write to.") var output: String = "reconstructed"
    @OptionGroup var deviceOptions: DeviceOptions

    func run() throws {
        try reporting {
            let weights = try vaeOptions.required(seed: seed)
            let autoencoder = Autoencoder(weights, device: try deviceOptions.open())
            var failed = false
            for (number, path) in images.enumerated() {
                do {
                    try reconstruct(path, number: number, autoencoder)
                } catch let error as DataError {
                    // One broken picture keeps no other from being looked at.
                    Output.error("\(error)")
                    failed = true
                }
            }
            if failed { throw ExitCode.failure }
        }
    }

    private func reconstruct(_ path: String, number: Int, _ autoencoder: Autoencoder) throws {
        let picture = try Picture.read(path)
        let factor = autoencoder.vae.shape.factor
        func whole(_ length: Int) -> Int { max(factor, length / factor * factor) }
        let result = try Reconstruction(
            picture, height: size ?? whole(picture.height), width: size ?? whole(picture.width), autoencoder: autoencoder)
        let ratio = String(format: "%.2f", result.signalToNoise)
        // Numbered: pictures of different folders may share a name.
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        let target = output + "/" + String(format: "%03d-", number) + name + ".png"
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        try PNG.write(
            result.sideBySide(),
            text: [
                PNG.Text("Software", "driftgpu"), PNG.Text("driftgpu.psnr", ratio),
                PNG.Text("driftgpu.vae", autoencoder.weights.name), PNG.Text("driftgpu.image", path),
            ], to: target)
        Output.line("\(path): \(ratio) dB, \(target)")
    }
}
