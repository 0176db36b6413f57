import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftGPU

@Suite(.serialized) struct TrainingMemoryTests {
    private func run(
        _ path: String, _ device: Device, _ kind: TinyRun = .pixels, limits: TrainingMemory.Limits? = nil,
        _ change: (inout Configuration) -> Void
    ) throws -> TrainingRun {
        var configuration = kind.configuration
        change(&configuration)
        return try TrainingRun(
            configuration, data: ImageSet(TinyRun.data()), path: path, existing: .refuse, device: device, limits: limits)
    }

    @Test("the figure is what the run allocates, to the byte", arguments: TinyRun.allCases, [1, 2])
    func exact(_ kind: TinyRun, _ parts: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            for freeze in [0, 0.5, 1] {
                let before = device.allocatedBytes
                let run = try run(folder.file("run\(freeze)"), device, kind) {
                    $0.stage.label?.freezeFraction = freeze
                    $0.run.accumulate = parts
                    $0.run.onlineEval = 4
                    $0.run.onlineEvalImages = 3
                }
                let progress = ProgressLine(total: 6, output: .custom(columns: nil, { _ in }))
                #expect(try run.train(progress: progress) == .finished)
                #expect(run.memory.arenas.count == (freeze == 0.5 && kind != .dit ? 2 : 1))
                #expect(device.allocatedBytes - before == run.memory.total, "\(run.memory)")
            }
        }
    }

    @Test("a run that does not fit is refused before anything is allocated or written")
    func refused() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            let memory = try run(folder.file("whole"), device) { _ in }.memory
            let before = device.allocatedBytes
            func error(_ globalMemory: Int, _ maxAllocation: Int) -> String? {
                errorText {
                    _ = try run(
                        path, device,
                        limits: .init(name: "SmallGPU", globalMemory: globalMemory, maxAllocation: maxAllocation)
                    ) { _ in }
                }
            }
            let total = error(memory.total - 1, 0)
            #expect(total?.hasPrefix("the run needs ") == true && total?.contains("\n") == false)
            #expect(total?.contains("SmallGPU has") == true && total?.contains("--grad-checkpointing (activations") == true, "\(total ?? "")")
            let piece = error(0, memory.largest.bytes - 1)
            #expect(piece?.contains("in one piece (\(memory.largest.name)), but SmallGPU gives at most") == true, "\(piece ?? "")")
            var limits = TrainingMemory.Limits(name: "SmallGPU", globalMemory: 0, maxAllocation: memory.largest.bytes - 1)
            limits.hint = ", or ask for more"
            #expect(errorText { try memory.check(limits) } == piece.map { $0 + ", or ask for more" })
            #expect(TrainingMemory.Limits(device).maxAllocation == device.allocationLimit)
            #expect(device.allocatedBytes == before && !Files.exists(path))
            #expect(error(memory.total, memory.largest.bytes) == nil)
        }
    }

    private static let traits = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)

    private func memory(_ kind: TinyRun, _ change: (inout Configuration) -> Void) throws -> TrainingMemory {
        var configuration = kind.configuration
        change(&configuration)
        try configuration.validate()
        return try TrainingMemory(configuration, imageCount: 100, traits: Self.traits, gemm: NativeGEMM())
    }

    @Test("what would help depends on what is large")
    func remedies() throws {
        func error(_ memory: TrainingMemory) -> String {
            errorText { try memory.check(.init(name: "GPU", globalMemory: 1000, maxAllocation: 0)) } ?? ""
        }
        let banks = try memory(.tokens) { ($0.loss.positiveBank, $0.network.embed) = (100_000, 32) }
        #expect(banks.bytes[.banks] ?? 0 > banks.total / 2)
        #expect(error(banks).contains("--bank-contents tokens") && !error(banks).contains("--grad-checkpointing"))
        let smaller = try memory(.tokens) { ($0.loss.positiveBank, $0.network.embed, $0.loss.bankContents) = (100_000, 32, .tokens) }
        // 4 values a token instead of 32.
        #expect((smaller.bytes[.banks] ?? 0) * 7 < banks.bytes[.banks] ?? 0)
        #expect(error(smaller).contains("--positive-bank") && !error(smaller).contains("--bank-contents"))
        let deep = try memory(.pixels) { ($0.run.samplesPerLabel, $0.head.depth) = (64, 8) }
        #expect(error(deep).contains("--grad-checkpointing"))
        let recomputed = try memory(.pixels) { ($0.run.samplesPerLabel, $0.head.depth, $0.run.gradCheckpointing) = (64, 8, true) }
        #expect(recomputed.total < deep.total && !error(recomputed).contains("--grad-checkpointing"))
        let wide = try memory(.pixels) { ($0.network.embed, $0.network.heads, $0.run.samplesPerLabel, $0.loss.positives) = (512, 4, 1, 1) }
        #expect(error(wide).contains("--embed"))
        // A device that does not say what it has.
        try wide.check(.init(name: "GPU", globalMemory: 0, maxAllocation: 0))
    }

    @Test func figures() throws {
        #expect(NumberText.bytes(999) == "999 bytes")
        #expect(NumberText.bytes(1_234_000) == "1.2 MB" && NumberText.bytes(34_600_000_000) == "35 GB")
        let memory = try memory(.tokens) { _ in }
        #expect(memory.description.hasPrefix("needs "))
        for part in ["parameters", "gradients", "moments", "EMA", "images", "banks", "activations", "samples"] {
            #expect(memory.description.contains(part), "\(part)")
        }
        #expect(memory.bytes[.moments] == 2 * (memory.bytes[.parameters] ?? 0))
    }
}
