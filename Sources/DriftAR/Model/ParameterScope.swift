import DriftGPU

/// The parameters of a model as tensors of one graph, addressed by name below a prefix.
public struct ParameterScope {
    public let graph: Graph
    public let layout: ParameterLayout
    /// Flat buffer the parameters are read from: `parameters`, or `ema`.
    public let storage: Storage
    let prefix: String
    private let cache: Cache
    /// Whether no gradient reaches the parameters.
    private var isFixed = false

    /// Each parameter becomes one tensor however often it is asked for.
    private final class Cache { var (tensors, fixed): ([String: Tensor], [String: Tensor]) = ([:], [:]) }

    public init(_ graph: Graph, _ layout: ParameterLayout, storage name: String = "parameters") {
        self.graph = graph
        self.layout = layout
        storage = layout.storage(name)
        prefix = ""
        cache = Cache()
    }

    private init(_ parent: ParameterScope, prefix: String) {
        graph = parent.graph
        layout = parent.layout
        storage = parent.storage
        cache = parent.cache
        isFixed = parent.isFixed
        self.prefix = prefix
    }

    /// The scope `name` below this one.
    public func scope(_ name: String) -> ParameterScope { ParameterScope(self, prefix: prefix + name + ".") }

    /// The same parameters as constants: no gradient reaches them.
    public var fixed: ParameterScope {
        var scope = self
        scope.isFixed = true
        return scope
    }

    /// The tensor of parameter `name`. Throws when the model has none of that name.
    public func parameter(_ name: String) throws -> Tensor {
        let full = prefix + name
        if isFixed, let tensor = cache.fixed[full] { return tensor }
        guard let entry = layout[full] else { throw GraphError("parameter \(full): the model has none of that name") }
        let tensor = try cache.tensors[full] ?? graph.stored(entry.shape, in: storage, at: entry.offset)
        cache.tensors[full] = tensor
        guard isFixed else { return tensor }
        let constant = try graph.detach(tensor)
        cache.fixed[full] = constant
        return constant
    }

    /// y = x W^T + b with `name.weight` [out, in] and `name.bias` [out].
    public func linear(_ x: Tensor, _ name: String) throws -> Tensor {
        try graph.linear(x, weight: parameter(name + ".weight"), bias: parameter(name + ".bias"))
    }

    /// y = x W^T with `name.weight` [out, in].
    public func product(_ x: Tensor, _ name: String) throws -> Tensor {
        try graph.linear(x, weight: parameter(name + ".weight"))
    }

    /// RMSNorm over the last dimension with `name.weight`.
    public func rmsNorm(_ x: Tensor, _ name: String, epsilon: Float) throws -> Tensor {
        try graph.rmsNorm(x, weight: parameter(name + ".weight"), epsilon: epsilon)
    }

    /// LayerNorm over the last dimension with `name.weight` and `name.bias`, then the modulation.
    public func layerNorm(
        _ x: Tensor, _ name: String, epsilon: Float, modulation: Modulation? = nil
    ) throws -> Tensor {
        try graph.layerNorm(
            x, weight: parameter(name + ".weight"), bias: parameter(name + ".bias"), epsilon: epsilon,
            modulation: modulation)
    }
}
