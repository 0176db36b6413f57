import DriftGPU

/// A model's parameters on a device, and what training keeps beside them.
public final class ModelState {
    public let model: DriftARModel
    public let memory: DeviceMemory

    public init(_ model: DriftARModel, memory: DeviceMemory) {
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
        let random = Philox(seed: seed)
        var values = [Float](repeating: 0, count: model.layout.count)
        for (index, declaration) in model.declarations.enumerated() {
            guard let entry = model.layout[declaration.name] else { continue }
            let range = entry.offset..<(entry.offset + entry.count)
            if let weights, let taken = try initial?.take(entry, from: weights) {
                values.replaceSubrange(range, with: taken)
                continue
            }
            switch declaration.initial {
            case .zeros: break
            case .ones: for i in range { values[i] = 1 }
            case .normal(let deviation):
                for (k, i) in range.enumerated() {
                    values[i] = deviation * Float(random.normal(stream: Self.stream, tensor: index, element: k))
                }
            case .glorot, .fanIn:
                let inputs = Float(entry.shape.last ?? 1)
                let bound =
                    declaration.initial == .fanIn
                    ? 1 / inputs.squareRoot() : (6 / (inputs + Float(entry.shape.first ?? 1))).squareRoot()
                for (k, i) in range.enumerated() {
                    values[i] = bound * (2 * Float(random.uniform(stream: Self.stream, tensor: index, element: k)) - 1)
                }
            case .copy(let name):
                // Declared earlier, so already drawn.
                guard let source = model.layout[name], source.count == entry.count else {
                    throw GraphError("parameter \(entry.name): nothing like it is called \(name)")
                }
                for k in 0..<entry.count { values[entry.offset + k] = values[source.offset + k] }
            }
        }
        try initial?.check()
        try memory.write(values, to: model.layout.storage("parameters"))
        try memory.write(values, to: model.layout.storage("ema"))
        return initial
    }

    private static let stream: UInt32 = 0x2001_0000

    /// The tensors of a flat buffer by parameter name.
    public func tensors(of buffer: String) throws -> [String: NamedTensor] {
        let values = try memory.read(Float.self, from: model.layout.storage(buffer))
        return try Dictionary(
            uniqueKeysWithValues: model.layout.entries.map { entry in
                let part = Array(values[entry.offset..<(entry.offset + entry.count)])
                return (entry.name, try NamedTensor(shape: entry.shape, floats: part))
            })
    }

    /// Fills a flat buffer from a file that has every parameter under its name and in its shape. Throws a line that names
    /// the first that is missing or has another shape.
    public func load(_ file: SafeTensorsFile, into buffer: String) throws {
        try memory.reserve(model.layout.storage(buffer))
        var values = [Float](repeating: 0, count: model.layout.count)
        for entry in model.layout.entries {
            let tensor = try file.floats(entry.name, shape: entry.shape)
            values.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: tensor)
        }
        try memory.write(values, to: model.layout.storage(buffer))
    }
}

extension Philox {
    /// Uniform in [0, 1).
    func uniform(stream: UInt32, tensor: Int, element: Int) -> Double {
        Double(word(stream: stream, tensor: tensor, element: element).0) / 4_294_967_296
    }

    /// Standard normal, by Box and Muller's transform.
    func normal(stream: UInt32, tensor: Int, element: Int) -> Double {
        let (a, b) = word(stream: stream, tensor: tensor, element: element)
        return BoxMuller.normal(a, b)
    }

    private func word(stream: UInt32, tensor: Int, element: Int) -> (UInt32, UInt32) {
        let words = words(
            UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: element >> 32),
            UInt32(truncatingIfNeeded: tensor), stream)
        return (words[0], words[1])
    }
}
