import DriftGPU

/// A model's parameters on a device, and what training keeps beside them.
public final class ModelState {
    public let model: any ImageModel
    public let memory: DeviceMemory

    public init(_ model: any ImageModel, memory: DeviceMemory) {
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
        let values = try model.layout.initialValues(of: model.declarations, seed: seed) { entry in
            try weights.flatMap { try initial?.take(entry, from: $0) }
        }
        try initial?.check()
        try memory.write(values, to: model.layout.storage("parameters"))
        try memory.write(values, to: model.layout.storage("ema"))
        return initial
    }

    /// The tensors of a flat buffer by parameter name.
    public func tensors(of buffer: String) throws -> [String: NamedTensor] {
        try model.layout.tensors(memory.read(Float.self, from: model.layout.storage(buffer)))
    }

    /// Fills a flat buffer from a file that has every parameter under its name and in its shape. Throws a line that names
    /// the first that is missing or has another shape.
    public func load(_ file: SafeTensorsFile, into buffer: String) throws {
        try memory.reserve(model.layout.storage(buffer))
        try memory.write(model.layout.values(from: file), to: model.layout.storage(buffer))
    }
}
