import ArgumentParser
import DriftAR
import DriftData
import DriftFormats
import DriftGPU
import DriftMPI
import Foundation

struct Cache: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Encode a data set once: write the moments of its latents to a folder to train on.",
        discussion: "The folder holds latents.json and shards of moments; train on it with driftgpu train --latents FOLDER. A run that was stopped goes on after its last whole shard when it is started again with the same settings, and is refused with others.")

    @Option(help: ArgumentHelp("Images, in any form that driftgpu train takes.", valueName: "path")) var data: String
    @OptionGroup var vaeOptions: VAEOptions
    @Option(help: ArgumentHelp("Side of the images.", valueName: "n")) var size: Int = 256
    @Option(name: [.short, .long], help: "Folder to write to.") var output: String
    @Flag(help: "Write the moments of the mirrored images too.") var flip = false
    @Flag(help: "Take the part of the data that is held out, instead of that to train on.") var heldOut = false
    @Option(help: ArgumentHelp("Factor from latents to what a model is trained on. Default: the autoencoder's own, which vae train writes; else 0.2325 for kl16, and measured on the images for others.", valueName: "x"))
    var scale: Float?
    @Option(help: "Seed of --vae random.") var seed: UInt64 = 0
    @Option(help: ArgumentHelp("Images of a shard.", valueName: "n")) var shard: Int = 256
    @Option(help: ArgumentHelp("Images encoded at once. Default: as many as take little memory.", valueName: "n")) var batch: Int?
    @OptionGroup var deviceOptions: DeviceOptions
    @OptionGroup var rankOptions: RankOptions

    func validate() throws {
        if size < 1 { throw ValidationError("--size \(size): take 1 or more") }
        if let batch, batch < 1 || batch > 4096 { throw ValidationError("--batch \(batch): take 1 to 4096") }
    }

    func run() throws {
        try reporting {
            // MPI's threads must have the signals blocked, too; a process that starts others takes them by itself.
            let interrupt = rankOptions.startsOthers ? nil : Interrupt()
            let ranks = try rankOptions.start(folder: nil)
            if let interrupt, try !ranks.together({ try encode(ranks, interrupt) }) { throw ExitCode.stopped }
        }
    }

    /// False where a signal ends it first.
    private func encode(_ ranks: any RankGroup, _ interrupt: Interrupt) throws -> Bool {
        let weights = try vaeOptions.required(seed: seed)
        var options = DataSource.Options()
        (options.height, options.width, options.channels) = (size, size, weights.vae.shape.imageChannels)
        // Of latents the same images are held out again as of the pictures.
        options.holdOut = 0
        let source = try DataSource.open(data, options)
        if ranks.isFirst { source.announce() }
        let images = heldOut ? source.heldOut : source.training
        guard images.count > 0 else {
            throw ConfigurationError("\(data): holds nothing out; leave out --held-out")
        }
        let autoencoder = Autoencoder(weights, device: try deviceOptions.open(taking: rankOptions.device(deviceOptions.device, ranks)), batchLimit: batch)
        let scale = try scale ?? weights.latentScale
            ?? (weights.vae.shape == VAE.Shape() || vaeOptions.vae == "random" ? LatentScale.kl16 : LatentScale.measured(autoencoder, on: images))
        var cache = try LatentCache(
            LatentCache.Settings(images: images, scale: scale, flip: flip, shard: shard, isHeldOutApart: source.heldOut.count > 0),
            autoencoder: autoencoder, folder: output, ranks: ranks)
        if cache.done == cache.total {
            _ = try cache.writeShards()
            remark(ranks, "\(output): complete already, \(cache.total) images")
            return true
        }
        if cache.done > 0 { remark(ranks, "\(output): going on after \(cache.done) of \(cache.total) images") }
        return try write(&cache, ranks, interrupt)
    }

    private func remark(_ ranks: any RankGroup, _ text: String) { if ranks.isFirst { Output.line(text) } }

    /// False where a signal ends it first.
    private func write(_ cache: inout LatentCache, _ ranks: any RankGroup, _ interrupt: Interrupt) throws -> Bool {
        let progress = ProgressLine(
            from: cache.done, total: cache.total, output: ranks.isFirst ? .standardError : .custom(columns: nil, { _ in }))
        interrupt.begin()
        var before = cache.done
        while try cache.writeShards() {
            cache.takeReasons().forEach(progress.message)
            progress.update(step: cache.done, losses: [], images: cache.done - before)
            before = cache.done
            // What one is asked to do, all do.
            if try ranks.allgather(interrupt.isRequested).contains(true) {
                progress.finish()
                remark(ranks, "stopped after \(cache.done) of \(cache.total) images; the same command goes on")
                return false
            }
        }
        cache.takeReasons().forEach(progress.message)
        progress.update(step: cache.done, losses: [], images: cache.done - before)
        progress.finish()
        let broken = cache.brokenCount > 0 ? "; \(cache.brokenCount) could not be read, others stand in their places" : ""
        remark(ranks, "\(cache.total) images in \(output)\(broken); next: driftgpu train --latents \(output.shellQuoted)")
        return true
    }
}
