import DriftFormats
import DriftGPU

/// A model's parameters on a device, and what training keeps beside them.
public final class ModelState {
    public let model: Generator
    public let memory: DeviceMemory

    public init(_ model: Generator, memory: DeviceMemory) {
        self.model = model
        self.memory = memory
    }

    /// Draws the parameters of a new model from `seed`, or takes them from `weights` where that has one of the same name and
    /// shape; the EMA begins as a copy. phi is never taken: it is the penultimate block as it stands then, and a draft that
    /// `weights` does not have starts from the encoder it does have. Returns what was taken, with `weights`.
    @discardableResult
    public func initialize(seed: UInt64, from weights: SafeTensorsFile? = nil) throws -> InitialWeights? {
        var initial = weights.map(InitialWeights.init)
        // The device refuses what is too large before the host allocates as much.
        for name in ["parameters", "ema"] { try memory.reserve(model.layout.storage(name)) }
        let parameters = model.layout.storage("parameters")
        try model.layout.forEachInitialValue(of: model.declarations, seed: seed) { declaration, entry in
            try weights.flatMap { try initial?.take(entry, of: declaration, from: $0) }
        } earlier: { entry in
            try memory.read(Float.self, from: parameters, at: entry.offset, count: entry.count)
        } body: { entry, values in
            for storage in [parameters, model.layout.storage("ema")] {
                try memory.write(values, to: storage, at: entry.offset)
            }
        }
        try initial?.check()
        return initial
    }

    /// The tensors of a flat buffer by parameter name.
    public func tensors(of buffer: String) throws -> [String: NamedTensor] {
        try model.layout.tensors(memory.read(Float.self, from: model.layout.storage(buffer)))
    }

    /// The tensors of a flat buffer under `prefix` and their names, each read from the device when its turn to be written
    /// comes.
    func parts(of buffer: String, prefix: String = "") -> [SafeTensorsPart] {
        let (memory, storage) = (memory, model.layout.storage(buffer))
        return model.layout.entries.map { entry in
            SafeTensorsPart(name: prefix + entry.name, type: .f32, shape: entry.shape, count: entry.count) { file in
                try file.write(memory.read(Float.self, from: storage, at: entry.offset, count: entry.count))
            }
        }
    }

    /// Fills a flat buffer from a file that has every parameter under `prefix` and its name and in its shape. Throws a line
    /// that names the first that is missing or has another shape.
    public func load(_ file: SafeTensorsFile, into buffer: String, prefix: String = "") throws {
        try memory.load(file, model.layout, into: buffer, prefix: prefix)
    }
}

extension DeviceMemory {
    /// Fills a flat buffer of that layout from a file, as `ModelState.load` does.
    func load(_ file: SafeTensorsFile, _ layout: ParameterLayout, into buffer: String, prefix: String = "") throws {
        let storage = layout.storage(buffer)
        try reserve(storage)
        // One after the other: a model on the host as a whole would take as much again as on the device.
        for entry in layout.entries {
            try write(file.floats(prefix + entry.name, shape: entry.shape), to: storage, at: entry.offset)
        }
    }
}
