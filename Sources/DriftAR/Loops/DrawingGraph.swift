import DriftGPU

/// What a head finds in the graph of a drawing. L labels have G images each, which stand together.
package struct DrawingInputs {
    package let condition: Condition
    /// [1] of everything; nil without guidance, and where the head is guided by an input.
    package let unconditional: Condition?
    /// What was accepted of the draft's features in place of z [L, R, D]; nil without speculation.
    package let merged: Tensor?
    /// Standard normal [L G, R, C].
    package let noise: Tensor

    package init(condition: Condition, unconditional: Condition? = nil, merged: Tensor? = nil, noise: Tensor) {
        (self.condition, self.unconditional, self.merged, self.noise) = (condition, unconditional, merged, noise)
    }
}

/// The graph that draws a batch of images from conditions in their `ConditionStorage`, or from the labels.
package struct DrawingGraph {
    /// Labels of a batch, and images of each.
    package struct Size: Hashable, Sendable {
        package let labels: Int
        package let perLabel: Int

        package init(labels: Int, perLabel: Int) { (self.labels, self.perLabel) = (labels, perLabel) }

        /// The sizes that `count` falls into when it is taken `limit` at a time: that, and what is left.
        static func parts(of count: Int, limit: Int) -> Set<Int> {
            Set([count >= limit ? limit : 0, count % limit].filter { $0 > 0 })
        }
    }

    /// The form of a batch.
    struct Batch: Hashable {
        let size: Size
        let isGuided: Bool
        /// Whether the draft's accepted features take the place of z.
        let isMerged: Bool

        init(_ size: Size, isGuided: Bool = false, isMerged: Bool = false) {
            (self.size, self.isGuided, self.isMerged) = (size, isGuided, isMerged)
        }
    }

    /// An input of the head's own, and its values for a number of labels and a strength of guidance.
    package struct Input: Sendable {
        let tensor: Tensor
        let values: @Sendable (_ labels: Int, _ cfg: Float) -> [Float]

        package init(tensor: Tensor, values: @escaping @Sendable (_ labels: Int, _ cfg: Float) -> [Float]) {
            (self.tensor, self.values) = (tensor, values)
        }
    }

    let graph: Graph
    /// [L] int32; nil where conditions are stored.
    let labels: Tensor?
    let noise: Tensor
    let inputs: [Input]
    /// [L G, R, C].
    let tokens: Tensor

    init(_ generator: Generator, _ weights: StoredWeights, _ batch: Batch) throws {
        let graph = Graph()
        self.graph = graph
        let (labelCount, images) = (batch.size.labels, batch.size.labels * batch.size.perLabel)
        let storage = generator.stage.storage(labels: labelCount)
        var condition: Condition
        var unconditional: Condition?
        if let storage {
            labels = nil
            condition = try storage.condition(in: graph)
            if batch.isGuided, generator.head.guidesByCondition { unconditional = try storage.unconditional(in: graph) }
        } else {
            let chosen = try graph.input("sample_labels", [labelCount], .int32, grows: true)
            labels = chosen
            condition = Condition(labels: chosen)
            guard !batch.isGuided || !generator.head.guidesByCondition else {
                throw GraphError("guidance: the head \(generator.head.kind) needs the condition of no label, which the stage \(generator.stage.kind) does not keep")
            }
        }
        noise = try graph.input("sample_noise", [images, generator.tokens, generator.tokenWidth], grows: true)
        let merged = try batch.isMerged ? storage.map { try $0.features($0.merged, in: graph) } : nil
        let inputs = DrawingInputs(condition: condition, unconditional: unconditional, merged: merged, noise: noise)
        (tokens, self.inputs) = try graph.part(Graph.head) { try generator.head.draw(inputs, weights.scope(graph)) }
        graph.output(tokens)
    }
}
