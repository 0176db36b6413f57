import DriftData
import DriftFormats
import DriftGPU

/// The largest step of a run that fits into a device's memory, by its plan: nothing is allocated to find it.
public struct BatchSearch: Sendable {
    /// The settings with that step: as many images of each label as fit, and fewer labels where not even one of each does.
    public let configuration: Configuration
    /// What a run of it needs.
    public let memory: TrainingMemory
    /// Why a larger step does not fit: more images of each label, or one more label. Nil where a step takes all training images; larger ones are
    /// not tried.
    public let obstacle: String?

    /// Part of a device's memory that is planned for: drivers, libraries and an autoencoder of samples take some, too.
    static let share = 0.9

    /// Throws where not even a step of one image fits: the line of a run that needs too much.
    public init(
        _ configuration: Configuration, data: ImageSet, limits: TrainingMemory.Limits, traits: DeviceTraits, gemm: any GEMMProvider
    ) throws {
        guard limits.globalMemory > 0 else {
            throw ConfigurationError("\(limits.name) does not say how much memory it has; choose --batch yourself, --print-plan shows what it needs")
        }
        var usable = limits
        usable.globalMemory = Int(Double(limits.globalMemory) * Self.share)
        func planned(labels: Int, samples: Int) throws -> (configuration: Configuration, memory: TrainingMemory) {
            var changed = configuration
            if labels != configuration.labelsInStep { changed.run.labelsPerStep = labels }
            changed.run.samplesPerLabel = samples
            try changed.validate()
            return (changed, try TrainingMemory(changed, data: data, maxAllocation: limits.maxAllocation, traits: traits, gemm: gemm))
        }
        // What is larger than any device is refused by the settings themselves.
        func obstacle(labels: Int, samples: Int) throws -> String? {
            do {
                return try planned(labels: labels, samples: samples).memory.excess(usable)?.what
            } catch let error as ConfigurationError {
                return error.description
            }
        }
        try configuration.validate()
        var labels = configuration.labelsInStep
        // Sequences of images are taken whole.
        let unit = configuration.stage.mrar?.images ?? 1
        let most = max(1, data.count / labels / unit) * unit
        var samples = try unit * Self.largest(most / unit) { try obstacle(labels: labels, samples: unit * $0) == nil }
        if samples == 0 {
            samples = unit
            labels = max(1, try Self.largest(labels - 1) { try obstacle(labels: $0, samples: unit) == nil })
        }
        (self.configuration, memory) = try planned(labels: labels, samples: samples)
        try memory.check(usable)
        if labels < configuration.labelsInStep {
            self.obstacle = try obstacle(labels: labels + 1, samples: unit)
        } else {
            self.obstacle = samples == most ? nil : try obstacle(labels: labels, samples: samples + unit)
        }
    }

    /// The largest number up to `limit` that fits, where smaller ones do; 0 where not even 1 does.
    static func largest(_ limit: Int, fits: (Int) throws -> Bool) rethrows -> Int {
        var (good, bad) = (0, 1)
        while bad <= limit, try fits(bad) { (good, bad) = (bad, bad * 2) }
        bad = min(bad, limit + 1)
        while bad - good > 1 {
            let middle = good + (bad - good) / 2
            if try fits(middle) { good = middle } else { bad = middle }
        }
        return good
    }

    /// The flags that make a run take this step.
    public func flags(instead configuration: Configuration) -> String {
        let labels = self.configuration.labelsInStep == configuration.labelsInStep ? "" : "--labels-per-step \(self.configuration.labelsInStep) "
        return labels + "--batch \(self.configuration.batch)"
    }
}

extension BatchSearch: CustomStringConvertible {
    /// For example: 1240 images (10 labels, 124 of each): needs ...; 3.1e12 operations a step.
    public var description: String {
        let run = configuration.run
        let operations = memory.schedules.reduce(0.0) { $0 + Double($1.traffic.flops) }
        let parts = run.accumulate > 1 ? ", \(run.accumulate) times a step" : ""
        let all = obstacle == nil ? "; more is not looked for: as many as there are for training" : ""
        // What would help is a matter of a run that must fit.
        let reason = obstacle.map { "\nmore: " + ($0.split(separator: ";").first ?? "") } ?? ""
        return "\(counted(configuration.batch, "image")) (\(counted(configuration.labelsInStep, "label")), \(run.samplesPerLabel) of each)\(parts)\(all)\n"
            + "\(memory), and \(NumberText.short(operations / 1e9)) billion operations\(reason)"
    }
}
