import ArgumentParser
import DriftAR
import DriftFormats

extension ToyDistribution: ExpressibleByArgument {}

struct Toy: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show drifting in the plane: points that move towards a distribution, as an animated picture.",
        discussion: "Three generators learn the same data at once, started far from it, collapsed to a point of it, and spread over its middle. Real points are gray, generated ones coloured.")

    @Argument(help: "Data: swiss-roll, checkerboard or moons.") var distribution: ToyDistribution
    @Option(name: [.short, .long], help: ArgumentHelp("File to write. Default: toy-NAME.png.", valueName: "file")) var output: String?
    @Flag(help: "Write a strip of still pictures instead, one row a start.") var strip = false
    @Option(help: "Steps to train.") var steps: Int = ToyRun.Settings().steps
    @Option(help: "Points of each generator, and real ones, in a step.") var points: Int = ToyRun.Settings().points
    @Option(help: "Seed of everything random.") var seed: UInt64 = 0
    @OptionGroup var deviceOptions: DeviceOptions

    func run() throws {
        try reporting {
            var settings = ToyRun.Settings()
            (settings.distribution, settings.steps, settings.points, settings.seed) = (distribution, steps, points, seed)
            try settings.validate()
            let path = output ?? "toy-\(distribution.rawValue).png"
            let toy = try ToyRun(settings, device: deviceOptions.open())
            let moments = try toy.run(moments: strip ? 6 : 36)
            let picture = ToyPicture(real: distribution.points(2000, seed: seed &+ 2, step: 0))
            if strip {
                try PNG.write(picture.strip(moments), text: [PNG.Text("Software", "driftgpu")], to: path)
            } else {
                try AtomicFile.write(picture.animation(moments).encode(), to: path)
            }
            Output.line("\(moments.count) pictures of \(steps) steps in \(path)")
        }
    }
}
