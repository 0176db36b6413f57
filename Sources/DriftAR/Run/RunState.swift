import DriftData
import DriftFormats
import DriftGPU

extension RunFolder {
    /// Throws where the folder does not allow for `existing`: it holds a run, or holds none to resume.
    package func check(_ existing: TrainingRun.Existing) throws {
        let hasCheckpoint = try checkpoints.latest() != nil
        switch existing {
        case .refuse:
            guard hasCheckpoint || Files.exists(configurationPath) else { return }
            throw ConfigurationError(
                "\(path): holds a run already; continue it with --resume, replace it with --overwrite, or choose another --output")
        case .resume:
            if hasCheckpoint { return }
            throw ConfigurationError(
                "\(path): nothing to resume, there is no checkpoint; check --output, or start a run with --auto-resume")
        case .resumeIfAny, .overwrite: return
        }
    }

    // MARK: Saving

    /// Writes everything a resumed run needs: weights, EMA, moments, counters, rings. Waits for the device. With `prunes` the
    /// checkpoints beyond those that are kept go.
    @discardableResult
    public func save(_ trainer: Trainer, prunes: Bool = true) throws -> String {
        let state = trainer.state
        let metadata = try ["format": "pt", Self.configurationKey: String(decoding: trainer.configuration.json(), as: UTF8.self)]
        let rest =
            ["moment1", "moment2"].flatMap { state.parts(of: $0, prefix: $0 + "/") }
            + (try trainer.extraStorages().map { Self.part(of: $0, in: state.memory) })
        // Tensor by tensor: the host never holds more than one of them.
        func writer(_ parts: [SafeTensorsPart], _ metadata: [String: String]) -> (AtomicFile) throws -> Void {
            { try SafeTensors.write(parts, metadata: metadata, to: $0) }
        }
        return try checkpoints.save(
            step: trainer.step,
            writers: [
                File.model: writer(state.parts(of: "parameters"), metadata),
                File.ema: writer(state.parts(of: "ema"), metadata),
                File.state: writer(rest, ["step": String(trainer.step)]),
            ], prunes: prunes)
    }

    private static func part(of storage: Storage, in memory: DeviceMemory) -> SafeTensorsPart {
        SafeTensorsPart(
            name: "storage/" + storage.name, type: storage.element == .float32 ? .f32 : .i32, shape: [storage.count],
            count: storage.count
        ) { file in
            switch storage.element {
            case .float32: try file.write(memory.read(Float.self, from: storage))
            default: try file.write(memory.read(Int32.self, from: storage))
            }
        }
    }

    // MARK: Loading

    /// Brings `state` and the stored tensors to what checkpoint `step` holds.
    public func restore(step: Int, configuration: Configuration, state: ModelState, data: ImageSet) throws -> Trainer {
        try restore(step: step, configuration: configuration, state: state, data: data, exchange: SingleProcess())
    }

    /// The same for one of the processes of `exchange`.
    func restore(
        step: Int, configuration: Configuration, state: ModelState, data: ImageSet, exchange: any GradientExchange
    ) throws -> Trainer {
        let checkpoint = try checkpoints.open(step: step)
        try state.load(checkpoint.tensors(File.model), into: "parameters")
        try state.load(checkpoint.tensors(File.ema), into: "ema")
        let rest = try checkpoint.tensors(File.state)
        for moment in ["moment1", "moment2"] { try state.load(rest, into: moment, prefix: moment + "/") }
        let trainer = try Trainer(configuration, state: state, data: data, step: step, exchange: exchange)
        for storage in try trainer.extraStorages() {
            let tensor = try rest.tensor("storage/" + storage.name)
            guard tensor.count == storage.count else {
                throw DataError(
                    "tensor storage/\(storage.name) has \(tensor.count) values, the run needs \(storage.count)",
                    at: rest.path, fix: "resume with the settings of the run")
            }
            if let values = tensor.floats, storage.element == .float32 {
                try state.memory.write(values, to: storage)
            } else if let values = tensor.ints, storage.element != .float32 {
                try state.memory.write(values, to: storage)
            } else {
                throw DataError(
                    "tensor storage/\(storage.name) has the wrong element type", at: rest.path,
                    fix: "resume from an earlier checkpoint")
            }
        }
        return trainer
    }
}
