import DriftData
import DriftGPU

/// Feeds the real images to training steps, from the device, which holds all of them, or streamed from the data, each step's in
/// time. A step computes the same bits either way.
final class RealImages {
    /// Rows of the image storage.
    let storedCount: Int
    private let data: ImageSet
    private let configuration: Configuration
    private let needs: StepNeeds
    private let share: StepShare
    private let memory: DeviceMemory
    /// Nil where the images stay on the device.
    private var loader: ImageLoader?
    private let room: TransferRoom?
    /// The part whose images were sent last, and where in the room they begin.
    private var sent: (turn: Int, start: Int)?
    private let isResident: Bool
    private var waitedBefore = Duration.zero
    private var partsSinceMetrics = 0

    init(_ data: ImageSet, _ configuration: Configuration, _ needs: StepNeeds, _ share: StepShare, memory: DeviceMemory) throws {
        (self.data, self.configuration, self.needs, self.share, self.memory) = (data, configuration, needs, share, memory)
        let maxAllocation = memory.device.allocationLimit
        isResident = try configuration.data.resident.keeps(data, maxAllocation: maxAllocation)
        storedCount = try Self.storedCount(data, configuration, needs, maxAllocation: maxAllocation)
        room = isResident ? nil : memory.room(byteCount: ImageLoader.depth * storedCount * data.byteCount)
        if isResident { try send() }
    }

    /// Rows of the image storage of a run, each of `data.valueCount` values, on a device of that largest buffer.
    static func storedCount(
        _ data: ImageSet, _ configuration: Configuration, _ needs: StepNeeds, maxAllocation: Int
    ) throws -> Int {
        try configuration.data.resident.keeps(data, maxAllocation: maxAllocation)
            ? data.residentRows : StepPlan.imageCount(needs, labels: configuration.labelsInStep)
    }

    private var storage: Storage { PartGraph.imageStorage(count: storedCount, values: data.valueCount, form: data.form) }

    private func send() throws {
        for isFlipped in data.augmentation.flip ? [false, true] : [false] {
            try data.forEachBlock(flipped: isFlipped) { first, block in
                let row = first + (isFlipped ? data.count : 0)
                try memory.write(bytes: block, to: storage, at: row * data.valueCount)
            }
        }
    }

    /// The row of the storage for each image of this process's part `turn`, counted over all steps. Sends the images first where they
    /// do not stay; parts then come one after the other.
    func rows(of draw: StepPlan, turn: Int) throws -> [Int32] {
        guard let room else { return draw.images.map { Int32(data.residentRow($0)) } }
        let loader = loader ?? ImageLoader(data, capacity: storedCount, first: turn, room: room) { [configuration, needs, share, data] turn in
            try StepPlan(configuration, needs, data.index, data.augmentation, step: share.number(turn)).images
        }
        self.loader = loader
        partsSinceMetrics += 1
        // The device is about to have them, if it has not: the part that takes them was issued before.
        if let sent {
            try room.wait(sent.start)
            loader.release(sent.turn)
        }
        sent = nil
        let range = try loader.take(turn)
        sent = (turn, range.lowerBound)
        try memory.send(range, of: room, to: storage)
        return (0..<Int32(draw.images.count)).map { $0 }
    }

    /// `data_wait`, the milliseconds a step waited for its images, in the mean since the last call; `broken_images`, how many
    /// could not be read so far.
    func metrics() -> [(String, Double)] {
        var result: [(String, Double)] = []
        if let loader {
            let time = (loader.waited - waitedBefore).components
            let milliseconds = Double(time.seconds) * 1000 + Double(time.attoseconds) * 1e-15
            result.append(("data_wait", milliseconds * Double(share.parts) / Double(max(1, partsSinceMetrics))))
            (waitedBefore, partsSinceMetrics) = (loader.waited, 0)
        }
        if data.mayBreak { result.append(("broken_images", Double(data.broken.count))) }
        return result
    }
}

extension TransferRoom: ImageRoom {}
