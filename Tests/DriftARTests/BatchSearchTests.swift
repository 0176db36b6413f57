import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftGPU

@Suite struct BatchSearchTests {
    private static let traits = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)

    private func configuration(labels: Int = 3, samples: Int = 3) -> Configuration {
        var configuration = TinyRun.dit.configuration
        (configuration.run.labelsPerStep, configuration.run.samplesPerLabel) = (labels, samples)
        return configuration
    }

    private func memory(_ configuration: Configuration) throws -> TrainingMemory {
        try TrainingMemory(configuration, data: ImageSet(TinyRun.data()), maxAllocation: 0, traits: Self.traits, gemm: NativeGEMM())
    }

    /// The search on a device that a run of `needed` bytes just fits.
    private func search(_ configuration: Configuration, needed: Int, maxAllocation: Int = 0) throws -> BatchSearch {
        let limits = TrainingMemory.Limits(
            name: "SmallGPU", globalMemory: Int((Double(needed) / BatchSearch.share).rounded(.up)), maxAllocation: maxAllocation)
        return try BatchSearch(configuration, data: ImageSet(TinyRun.data()), limits: limits, traits: Self.traits, gemm: NativeGEMM())
    }

    @Test("the largest number that fits, of those up to a limit", arguments: [0, 1, 2, 3, 7, 8, 63, 64, 100])
    func numbers(_ largest: Int) {
        var tries = 0
        func found(_ limit: Int) -> Int {
            BatchSearch.largest(limit) {
                tries += 1
                return $0 <= largest
            }
        }
        #expect(found(1000) == largest && tries <= 16)
        #expect(found(5) == min(5, largest))
        #expect(found(0) == 0)
    }

    @Test("one image of each label more does not fit")
    func largest() throws {
        let needed = try memory(configuration(samples: 7)).total
        let found = try search(configuration(), needed: needed)
        #expect(found.configuration.run.samplesPerLabel == 7 && found.obstacle != nil && found.memory.total == needed)
        #expect(found.flags(instead: configuration()) == "--batch 21")
        #expect(found.description.hasPrefix("21 images (3 labels, 7 of each)\nneeds "))
        #expect(try memory(configuration(samples: 8)).total > needed)
        // In one piece.
        let piece = try search(configuration(), needed: 1 << 40, maxAllocation: memory(configuration(samples: 5)).largest.bytes)
        #expect(piece.configuration.run.samplesPerLabel == 5)
        #expect(piece.description.contains("\nmore: the run needs ") && piece.description.contains("in one piece"), "\(piece)")
    }

    @Test("sequences of images are taken whole")
    func sequences() throws {
        var mrar = TinyRun.pixels.configuration
        mrar.adopt(.transDiffMRAR)
        mrar.stage.mrar?.images = 3
        var larger = mrar
        larger.run.samplesPerLabel = 6
        let found = try search(mrar, needed: memory(larger).total)
        #expect(found.configuration.run.samplesPerLabel == 6 && found.obstacle != nil)
    }

    @Test("where not one image of each label fits there are fewer labels, and where not one does, a line says so")
    func fewerLabels() throws {
        let needed = try memory(configuration(labels: 2, samples: 1)).total
        let found = try search(configuration(), needed: needed)
        #expect(found.configuration.labelsInStep == 2 && found.configuration.batch == 2)
        #expect(found.flags(instead: configuration()) == "--labels-per-step 2 --batch 2")
        let none = errorText { _ = try search(configuration(), needed: 1000) }
        #expect(none?.hasPrefix("the run needs") == true && none?.contains("\n") == false, "\(none ?? "")")
        #expect(errorText { _ = try search(configuration(), needed: 0) }?.contains("does not say how much memory") == true)
    }

    @Test("more images than there are for training are not looked for")
    func whole() throws {
        let found = try search(configuration(), needed: 1 << 40)
        let count = try TinyRun.data().count
        #expect(found.obstacle == nil && found.configuration.batch == count / 3 * 3)
    }

    @Test("train --find-batch says the largest step and its flags, and trains nothing")
    func command() throws {
        let folder = try TestFolder()
        let result = try folder.run("train --find-batch --output run " + Program.tiny.replacing(" --samples-per-label 3", with: ""))
        #expect(result.code == 0 && result.output.contains("images (3 labels, ") && result.output.contains("train with it: --batch "), "\(result)")
        #expect(!Files.exists(folder.file("run")))
        let refused = try folder.run("train --find-batch --batch 30 --output run")
        #expect(refused.code == 64 && refused.errors.contains("looks for --batch"))
    }
}
