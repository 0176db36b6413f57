import DriftAR
import DriftGPU

/// Algorithm 2 of the Drifting paper, in the reference that trains on MNIST. Its temperatures are distances; ours are multiples
/// of sqrt(D).
enum DriftingGolden {
    /// The field of each temperature and their sum, for one group.
    static func field(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let other = golden.has("in", "y_neg")
        let source = other ? try GoldenSet.current.get().find("compute_v/raw") : golden
        let run = GoldenGraph(golden, device)
        func points(_ name: String, of source: GoldenCase) throws -> Tensor {
            let tensor = try run.input(name, source.values("in", name, rank: 2))
            return try run.graph.reshape(tensor, [1] + tensor.shape)
        }
        let (x, positive) = (try points("x", of: source), try points("y_pos", of: source))
        let temperatures = other ? [try golden.number("temperature")] : try golden.numbers("temperatures")
        let targets = DriftTargets(
            positive: positive, negative: other ? try points("y_neg", of: golden) : nil, includesSamples: !other)
        let affinity = affinity(temperatures, width: x.type.columns)
        let (distance, scale) = try run.graph.pairwiseDistance(x, to: targets)
        let force = try run.graph.driftField(x, targets: targets, distance: distance, scale: scale, affinity: affinity).force
        let loss = try run.graph.driftLoss(x, targets: targets, affinity: affinity).loss
        guard let gradient = try run.graph.gradients(of: loss, withRespectTo: [x])[0] else {
            throw GraphError("\(golden.id): no gradient reaches x")
        }
        [force, gradient].forEach(run.graph.output)
        try run.run()
        let values = try run.read(force)
        for (index, temperature) in temperatures.enumerated() {
            let part = Array(values[(index * x.count)..<((index + 1) * x.count)])
            try comparison.check("out", other ? "V" : "V_" + name(temperature), part)
        }
        try comparison.check("out", "V_multi", run.read(gradient).map { $0 * Float(x.count) / -2 })
    }

    /// The class-conditional loss on rows of unit length: a group for each label.
    static func classLoss(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let run = GoldenGraph(golden, device)
        let classes = try golden.integer("classes")
        func unitRows(_ x: Tensor, perClass: Int) throws -> Tensor {
            let rows = try run.graph.reshape(x, [classes, perClass, x.count / (classes * perClass)])
            return try run.graph.unitRows(rows)
        }
        // The rows of a class stand together.
        for (list, count) in [("labels_gen", "gen_per_class"), ("labels_pos", "pos_per_class")] {
            let perClass = try golden.integer(count)
            let sorted = (0..<classes).flatMap { [Int32](repeating: Int32($0), count: perClass) }
            comparison.expect(try golden.values("in", list).ints == sorted, "\(list) are not sorted, \(perClass) a class")
        }
        let generated = try run.input("x_gen")
        let x = try unitRows(generated, perClass: golden.integer("gen_per_class"))
        let positive = try unitRows(run.input("x_pos"), perClass: golden.integer("pos_per_class"))
        let loss = try run.graph.driftLoss(
            x, targets: DriftTargets(positive: positive),
            affinity: affinity(golden.numbers("temperatures"), width: x.type.columns)
        ).loss
        let gradients = try run.gradients(of: loss, inputs: ["x_gen": generated])
        let velocity = try run.graph.gradients(of: loss, withRespectTo: [x])[0]
        [loss, velocity].compactMap { $0 }.forEach(run.graph.output)
        try run.run()
        try comparison.check("out", "loss", run.read(loss))
        // V = -n/2 of the loss's gradient; its root mean square in each class.
        let field = try run.read(velocity, count: x.count).map { Double($0) * Double(x.count) / -2 }
        let part = x.count / classes
        let norms = (0..<classes).map { c in
            (field[(c * part)..<((c + 1) * part)].reduce(0) { $0 + $1 * $1 } / Double(part)).squareRoot()
        }
        try comparison.check("out", "drift_norm", [Float(norms.reduce(0, +) / Double(classes))])
        try run.check(gradients, with: comparison)
    }

    private static func affinity(_ temperatures: [Double], width: Int) -> DriftAffinity {
        .drifting(temperatures: temperatures.map { Float($0 / Double(width).squareRoot()) })
    }

    /// 0.02, but 1 and not 1.0.
    private static func name(_ temperature: Double) -> String {
        let text = "\(temperature)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
