import DriftAR
import DriftFormats
import DriftGPU

/// A row's model on a device.
final class RowDrawing {
    let memory: DeviceMemory
    let sampler: Sampler
    /// From tokens to pixels.
    let rendering: Rendering
    private let row: ComparedRow

    /// `vae`: decodes what a model of latents draws.
    init(_ row: ComparedRow, _ vae: VAEWeights?, on device: Device) throws {
        let state = try row.model.load(into: DeviceMemory(device))
        (self.row, memory) = (row, state.memory)
        sampler = Sampler(state.model, memory: state.memory)
        rendering = try Rendering(row.model.configuration, autoencoder: vae.map { Autoencoder($0, memory: state.memory) })
    }

    /// Tokens of images, label by label.
    func tokens(labels: [Int], perLabel: Int, seed: UInt64) throws -> [Float] {
        try sampler.tokens(labels: labels, perLabel: perLabel, cfg: row.cfg, seed: seed, speculation: row.speculation)
    }

    /// Draws as if no label had been encoded before, down to the pixels.
    func draw(labels: [Int], perLabel: Int) throws {
        sampler.forgetLabels()
        _ = try rendering(tokens(labels: labels, perLabel: perLabel, seed: 1))
    }

    /// Draws one image, its label by its number.
    func image(_ number: Int) throws { try draw(labels: [number % row.model.configuration.data.classes], perLabel: 1) }

    func warmUp() throws {
        var number = 0
        try DriftBench.warmUp {
            try image(number)
            number += 1
        }
    }

    /// What an image takes, in the mean over one of each of some labels. For a device that profiles.
    func cost() throws -> RowCost {
        try warmUp()
        let count = min(row.model.configuration.data.classes, Self.profiledImages)
        let run = try ProfiledRun(memory) { try seconds { for number in 0..<count { try image(number) } } }
        func mean(_ sum: Int) -> Double { Double(sum) / Double(count) }
        return RowCost(
            launches: mean(run.launches), flops: mean(run.traffic.flops), bytes: mean(run.traffic.bytes), stageShare: run.stageShare,
            headShare: run.headShare, outsideKernels: run.outsideKernels)
    }

    private static let profiledImages = 10

    /// Times of batches: one image of each of up to 16 labels, then more of each. Larger ones are left out once a batch takes long or
    /// more than the device has.
    func batches(repetitions: Int) throws -> [BatchTiming] {
        let labels = Array(0..<min(row.model.configuration.data.classes, 16))
        var found: [BatchTiming] = []
        for perLabel in [1, 4, 16] {
            do {
                let first = try seconds { try draw(labels: labels, perLabel: perLabel) }
                if first > Self.patience, !found.isEmpty { break }
                let timing = try Timing(repetitions: min(repetitions, 7), patience: Self.patience) {
                    try seconds { try draw(labels: labels, perLabel: perLabel) }
                }
                found.append(BatchTiming(images: labels.count * perLabel, timing: timing))
            } catch where error is OpenCLError || error is DeviceError {
                guard !found.isEmpty else { throw error }
                break
            }
        }
        return found
    }

    private static let patience = 20.0
}
