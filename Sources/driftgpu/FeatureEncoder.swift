import ArgumentParser

struct FeatureEncoder: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "features",
        abstract: "Train a feature encoder on your own pictures, to compare images by.", subcommands: [TrainFeatures.self])
}

struct TrainFeatures: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a masked autoencoder on your own pictures: it needs no labels.", usage: "driftgpu features train [<options>]",
        discussion: "As driftgpu train with the preset features: samples/ has pictures that are held out, each beside what the model makes of a quarter of its patches, psnr in metrics.jsonl is how near that comes. driftgpu eval --features RUN compares images by what the encoder makes of them.")

    @OptionGroup var train: Train

    func run() throws {
        var train = train
        train.preset = train.preset ?? (train.dataOptions.latents == nil ? "features" : "latent-features")
        try train.run()
    }
}
