import DriftAR
import DriftFormats
import DriftGPU

/// A graph whose inputs and parameters hold a case's values, run the way the product runs its own.
final class GoldenGraph {
    let graph = Graph()
    let golden: GoldenCase
    let memory: DeviceMemory
    private var executor: Executor?

    convenience init(_ golden: GoldenCase, _ device: Device) { self.init(golden, memory: DeviceMemory(device)) }

    /// A graph on memory that others have filled.
    init(_ golden: GoldenCase, memory: DeviceMemory) {
        self.golden = golden
        self.memory = memory
    }

    /// An input of the graph with the case's values of the same name; with `rank`, throws unless it has as many dimensions.
    func input(_ name: String, rank: Int? = nil) throws -> Tensor { try input(name, golden.input(name, rank: rank)) }

    /// An input of the graph with these values.
    func input(_ name: String, _ values: NamedTensor) throws -> Tensor {
        if let integers = values.ints {
            let tensor = try graph.input(name, values.shape, .int32)
            try memory.write(integers, to: Storage(name, count: integers.count, element: .int32))
            return tensor
        }
        let floats = values.floats ?? []
        let tensor = try graph.input(name, values.shape)
        try memory.write(floats, to: Storage(name, count: floats.count))
        return tensor
    }

    /// The case's parameters in the flat buffers named. The model must declare exactly those the case has, in their shapes, under
    /// the case's names behind `prefix`.
    func parameters(
        _ declarations: [ParameterDeclaration], prefix: String = "", in buffers: [String] = ["parameters"]
    ) throws -> ParameterScope {
        try parameters(ParameterLayout(declarations.map { ($0.name, $0.shape) }), prefix: prefix, in: buffers)
    }

    func parameters(
        _ layout: ParameterLayout, prefix: String = "", in buffers: [String] = ["parameters"]
    ) throws -> ParameterScope {
        let values = try golden.parameters()
        var flat = [Float](repeating: 0, count: layout.count)
        for entry in layout.entries {
            let own = entry.name.hasPrefix(prefix) ? values[String(entry.name.dropFirst(prefix.count))] : nil
            guard let tensor = own, tensor.shape == entry.shape, let floats = tensor.floats else {
                let found = own.map { "\($0.shape)" } ?? "none"
                throw DataError(
                    "the model's parameter \(entry.name) \(entry.shape) is \(found) there", at: golden.id,
                    fix: "check the names and shapes of both")
            }
            flat.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: floats)
        }
        let unknown = values.keys.filter { layout[prefix + $0] == nil }.sorted()
        guard unknown.isEmpty else {
            throw DataError(
                "the model lacks the parameters \(unknown.joined(separator: ", "))", at: golden.id,
                fix: "check the names of both")
        }
        for buffer in buffers { try memory.write(flat, to: layout.storage(buffer)) }
        return ParameterScope(graph, layout)
    }

    /// Runs the graph once; its outputs are readable then.
    func run() throws {
        let executor = try self.executor ?? memory.executor(graph)
        self.executor = executor
        try executor.run()
    }

    /// The values of an output, or zeros in place of a gradient that does not exist.
    func read(_ tensor: Tensor?, count: Int = 0) throws -> [Float] {
        guard let tensor else { return [Float](repeating: 0, count: count) }
        guard let executor else { throw GraphError("reading from a graph that has not run") }
        return try executor.read(tensor)
    }

    /// Gradients of sum(`output` * `seed`), or of the loss `output` without a seed, for every expected gradient whose tensor
    /// is among `inputs` or is a parameter: by name.
    func gradients(of output: Tensor, seed: Tensor? = nil, inputs: [String: Tensor], _ scope: ParameterScope? = nil) throws
        -> [String: Tensor?]
    {
        let names = golden.tensors.filter { $0.role == "grad" }.map(\.name)
        let targets = try names.map { name in
            if let input = inputs[name] { return input }
            guard let scope else { throw GraphError("\(golden.id): nothing called \(name) to take a gradient of") }
            return try scope.parameter(name)
        }
        let found =
            if let seed { try graph.gradients(of: [(output, seed)], withRespectTo: targets) } else {
                try graph.gradients(of: output, withRespectTo: targets)
            }
        found.compactMap { $0 }.forEach(graph.output)
        return Dictionary(zip(names, found), uniquingKeysWith: { first, _ in first })
    }

    /// Compares gradients after a run.
    func check(_ gradients: [String: Tensor?], with comparison: GoldenComparison) throws {
        for (name, tensor) in gradients.sorted(by: { $0.key < $1.key }) {
            let count = try golden.about("grad", name).shape.reduce(1, *)
            try comparison.check("grad", name, read(tensor ?? nil, count: count))
        }
    }
}

/// The attention weights [B, H, N, M] that a block's packed query, key and value [B, N, 3 D] give.
///
/// The kernel never writes them, so they are drawn out through the value: with the identity's columns as values, the
/// attention's result is a part of the weights, as many columns at a time as a head has.
func attentionWeights(
    _ qkv: [Float], batch: Int, positions: Int, width: Int, heads: Int, mask: AttentionMask, _ device: Device
) throws -> [Float] {
    let size = width / heads
    let parts = (positions + size - 1) / size
    let row = 3 * width
    var values: [Float] = []
    for part in 0..<parts {
        var copy = qkv
        for index in 0..<(batch * positions) {
            for head in 0..<heads {
                for column in 0..<size {
                    copy[index * row + 2 * width + head * size + column] =
                        index % positions == part * size + column ? 1 : 0
                }
            }
        }
        values += copy
    }
    let graph = Graph()
    let input = try graph.input("probe", [parts * batch, positions, row])
    let output = try graph.selfAttention(input, heads: heads, mask: mask)
    graph.output(output)
    let executor = try DeviceMemory(device).executor(graph)
    try executor.write(values, to: input)
    try executor.run()
    let results = try executor.read(output)
    var weights = [Float](repeating: 0, count: batch * heads * positions * positions)
    for image in 0..<batch {
        for head in 0..<heads {
            for query in 0..<positions {
                for key in 0..<positions {
                    let source = ((key / size * batch + image) * positions + query) * width + head * size + key % size
                    weights[((image * heads + head) * positions + query) * positions + key] = results[source]
                }
            }
        }
    }
    return weights
}
