import ArgumentParser

@main
struct Driftgpu: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "driftgpu",
        abstract: "Train and sample Drift-AR, a one-pass class-conditional image generator, on any OpenCL device.",
        version: "0.1.0",
        subcommands: [
            Train.self, Sample.self, Eval.self, Analyze.self, Toy.self, Cache.self, Autoencode.self, Import.self, Export.self,
            Inspect.self, Bench.self, Devices.self, Selftest.self, Tune.self,
        ])
}
