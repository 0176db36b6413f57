/// What a device will do: the nodes that are needed, in order, fused, with their commands and the memory of every
/// tensor. Made without a device; an `Executor` binds it to one.
public struct Schedule: Sendable {
    /// One node's turn.
    public struct Step: Sendable {
        public let node: Node
        public let commands: [Command]
        public let scratch: [TensorType]
        /// The matrix product, of a node that is one.
        public let product: GEMM?

        init(_ node: Node, _ parts: TensorParts, traits: DeviceTraits, gemm: any GEMMProvider) {
            self.node = node
            let context = LaunchContext(
                inputs: node.inputs.map(\.type), outputs: node.outputs.map(\.type), inputStrides: parts.strides(node.inputs),
                outputStrides: parts.strides(node.outputs), traits: traits, gemm: gemm)
            let isView = node.operation.isView
            commands = isView ? [] : node.operation.commands(context)
            scratch = isView ? [] : node.operation.scratch(context)
            product = (node.operation as? MatrixMultiply)?.product(context)
        }

        /// Operation and output shapes, or the product's m x n x k.
        public var label: String {
            if let product { return node.operation.name + " " + product.description }
            return ([node.operation.name] + node.outputs.map(\.type.description)).joined(separator: " ")
        }
    }

    public struct Options: Sendable {
        public var fuse = true
        public var reuse = true
        /// Bytes kept free on both sides of every tensor, filled with a sentinel that `Executor.damage` looks at. They
        /// need blocks that never share memory, so a number above 0 turns reuse off.
        public var guardBytes = 0
        public init() {}
    }

    /// The graph it was made from: only tensors of that one can be looked up in it.
    let graph: GraphIdentity
    public let steps: [Step]
    public let plan: MemoryPlan
    /// Nodes before fusion and after removing the unneeded.
    public let nodeCount: Int
    public let traits: DeviceTraits
    /// Stored tensors by id, constants by storage name.
    public let places: [Int: Graph.Place]
    public let constants: [String: [UInt8]]

    /// Kernel launches and library calls of one run.
    public var launches: Int { steps.reduce(0) { $0 + $1.commands.count } }
    /// Storages the schedule touches, by name.
    public let storages: [String: Storage]

    /// Orders, fuses and plans `graph` for a device of these traits. Throws a `GraphError` when one storage name is used
    /// with two sizes, an output belongs to another graph, or an operation is too large for its kernel's indices or for the
    /// device's work-groups.
    public init(_ graph: Graph, traits: DeviceTraits, gemm: any GEMMProvider, options: Options = Options()) throws {
        try graph.identity.check(graph.outputs, "output")
        self.graph = graph.identity
        let kept = Set(graph.outputs.map(\.id))
        var nodes: [Node?] = Self.needed(graph, kept: kept)
        nodeCount = nodes.reduce(0) { $0 + ($1 == nil ? 0 : 1) }
        var parts = TensorParts()
        if options.fuse {
            let pinned = kept.union(graph.places.keys)
            Self.fuse(&nodes, pinned: pinned, places: graph.places)
            parts = TensorParts(&nodes, pinned: pinned)
        }
        steps = nodes.compactMap { $0 }.map { Step($0, parts, traits: traits, gemm: gemm) }
        for step in steps {
            for command in step.commands { try LaunchLimits.check(command, of: step.node, traits: traits) }
        }
        plan = MemoryPlan(
            steps: steps, parts: parts, stored: Set(graph.places.keys), kept: kept, reuse: options.reuse && options.guardBytes == 0,
            guardBytes: options.guardBytes)
        self.traits = traits
        places = graph.places
        var storages: [String: Storage] = [:]
        for place in graph.places.values {
            guard let known = storages[place.storage.name], !place.storage.holds(known) else {
                storages[place.storage.name] = place.storage
                continue
            }
            guard known.holds(place.storage) else {
                throw GraphError(
                    "storage \(known.name): used with \(known.count) and with \(place.storage.count) elements")
            }
        }
        self.storages = storages
        constants = graph.constants
    }

    /// The nodes that an output, a place or a mutated tensor depends on; nil for the others.
    private static func needed(_ graph: Graph, kept: Set<Int>) -> [Node?] {
        var wanted = kept.union(graph.places.keys)
        var nodes: [Node?] = graph.nodes
        for (index, node) in graph.nodes.enumerated().reversed() {
            let isNeeded = !node.operation.mutatedInputs.isEmpty || node.outputs.contains { wanted.contains($0.id) }
            if isNeeded { wanted.formUnion(node.inputs.map(\.id)) } else { nodes[index] = nil }
        }
        return nodes
    }

    /// Merges a node into the first consumer of its result where the operation knows how. The fused node stands at the
    /// consumer's place, so every later reader of the intermediate still comes after it.
    private static func fuse(_ nodes: inout [Node?], pinned: Set<Int>, places: [Int: Graph.Place]) {
        var users: [Int: [Int]] = [:]
        for (index, node) in nodes.enumerated() {
            for id in Set(node?.inputs.map(\.id) ?? []) { users[id, default: []].append(index) }
        }
        for index in nodes.indices {
            guard let producer = nodes[index], let result = producer.outputs.first, !producer.operation.isView else { continue }
            let id = result.id
            guard let first = users[id]?.first, let consumer = nodes[first], !consumer.operation.isView else { continue }
            let positions = consumer.inputs.indices.filter { consumer.inputs[$0].id == id }
            guard positions.count == 1, let position = positions.first else { continue }
            let inputIDs = Set(producer.inputs.map(\.id))
            let read = inputIDs.compactMap { places[$0] }
            let isOverwritten = (index..<first).contains { position in
                guard let between = nodes[position] else { return false }
                // The producer's own results move with it.
                let results = position == index ? [] : between.outputs.map(\.id)
                return (between.operation.mutatedInputs.map { between.inputs[$0].id } + results).contains { id in
                    inputIDs.contains(id) || places[id].map { place in read.contains { $0.meets(place) } } ?? false
                }
            }
            if isOverwritten { continue }
            // The fused node comes later than the producer: nobody in between may wait for its other results.
            let others = Set(producer.outputs.dropFirst().map(\.id))
            if others.contains(where: { users[$0]?.contains { $0 <= first } == true }) { continue }
            let keeps = pinned.contains(id) || (users[id]?.count ?? 0) > 1
            guard
                let fused = producer.operation.fused(
                    with: consumer.operation, at: position, inputs: producer.inputs.map(\.type),
                    consumerInputs: consumer.inputs.map(\.type), keepsIntermediate: keeps)
            else { continue }
            var remaining = consumer.inputs
            remaining.remove(at: position)
            nodes[first] = Node(
                operation: fused, inputs: producer.inputs + remaining,
                outputs: consumer.outputs + producer.outputs.dropFirst() + (keeps ? [result] : []), part: consumer.part)
            nodes[index] = nil
            for input in inputIDs {
                var list = (users[input] ?? []).filter { $0 != index && $0 != first }
                list.append(first)
                users[input] = list.sorted()
            }
            users[id] = users[id]?.filter { $0 != first }
        }
    }

    /// What was decided, for `--print-plan`.
    public var summary: String {
        "\(nodeCount) nodes, \(launches) launches, arena \(plan.arenaBytes) bytes, \(plan.bytesWithoutReuse) without reuse"
    }

    /// What all launches do, added up.
    public var traffic: Traffic { traffic(of: steps.indices) }

    /// What the launches of some steps do, added up.
    public func traffic(of range: Range<Int>) -> Traffic {
        steps[range].reduce(into: Traffic()) { sum, step in
            for command in step.commands {
                sum.bytes += command.traffic.bytes
                sum.flops += command.traffic.flops
            }
        }
    }

    /// One line per launch: operation, kernel, output shapes.
    public var listing: String {
        var lines: [String] = []
        for step in steps {
            let shapes = step.node.outputs.map(\.type.description).joined(separator: " ")
            for command in step.commands {
                switch command {
                case .kernel(let launch): lines.append("\(step.node.operation.name): \(launch.kernel) -> \(shapes)")
                case .library(let gemm):
                    lines.append("\(step.node.operation.name): library \(gemm.m)x\(gemm.n)x\(gemm.k) -> \(shapes)")
                }
            }
        }
        return (lines + [summary]).joined(separator: "\n")
    }
}
