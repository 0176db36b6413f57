import ArgumentParser
import DriftAR
import DriftData
import DriftFormats
import DriftGPU
import Foundation

struct Tune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Search CLBlast's parameters for this device and a model's matrix products.",
        discussion: "Tries parameter sets of CLBlast's GEMM kernels on every product of a training step. Only sets under which every product comes out right can win. What is found is stored for the device and its driver, in DRIFTGPU_CACHE or ~/.cache/driftgpu, and taken whenever the device is opened with CLBlast. Every size and depth of the model is a flag, as for train.")

    @Option(help: "Settings to start from.") var preset: String = "digits"
    @Option(help: "How long to search.") var seconds: Double = 300
    @OptionGroup var deviceOptions: DeviceOptions
    @OptionGroup(title: "Hyper-parameters") var hyperparameters: Hyperparameters

    func run() throws {
        try reporting {
            var settings = try Configuration.preset(preset)
            try hyperparameters.apply(to: &settings)
            try hyperparameters.applyBatch(to: &settings)
            try settings.validate()
            guard seconds > 0, seconds < 1e6 else { throw ConfigurationError("--seconds \(seconds): take a positive number") }
            let device = try deviceOptions.open(forTuning: true)
            guard let folder = Device.Options().tuning else {
                throw ConfigurationError("no folder to store parameters in; set DRIFTGPU_CACHE")
            }
            // Now, and not when the search is over.
            guard CacheFolder.canWrite(folder) else {
                throw ConfigurationError("\(folder): cannot be written; point DRIFTGPU_CACHE to a folder that can")
            }
            let model = try settings.makeGenerator()
            let training = try PartGraph(
                model, settings, imageCount: OptDigits.split().training.count, isSecondPhase: false)
            let shapes = try GEMMShape.all(in: training.graph, traits: device.traits)
            Output.line("\(device.about.name): \(shapes.values.reduce(0, +)) products a step in \(shapes.count) sizes")
            let result = try Tuner(device, shapes: shapes, report: { Output.line($0) }).run(seconds: seconds)
            print(result)
            guard let tuning = result.tuning else {
                Output.line("nothing found that is 2% faster: CLBlast's own parameters stay")
                return
            }
            let path = Tuning.path(of: device.about, in: folder)
            try tuning.write(to: path)
            Output.line("stored in \(path)")
        }
    }

    private func print(_ result: Tuner.Result) {
        Output.line("\(result.tried) parameter sets tried, \(result.rejected) of them failed or gave wrong products")
        Output.line("  count  GFLOP/s before  after   size")
        var sums = (before: 0.0, after: 0.0)
        for row in result.rows {
            let work = row.shape.flops / 1e6
            Output.line(String(format: "%7d %15.1f %6.1f   ", row.count, work / row.before, work / row.after) + row.shape.description)
            sums.before += row.before * Double(row.count)
            sums.after += row.after * Double(row.count)
        }
        Output.line(String(format: "all products of a step: %.3f ms before, %.3f ms after", sums.before, sums.after))
    }
}
