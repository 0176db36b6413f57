import DriftAR
import DriftGPU
import Foundation

/// AdamW, EMA and clipping on prescribed gradients.
enum OptimizerGolden {
    static func optimizer(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("max_norms") {
            try compareClipping(golden, device, comparison)
        } else {
            try compareAdamW(golden, device, comparison)
        }
    }

    private static func compareClipping(_ golden: GoldenCase, _ device: Device, _ comparison: GoldenComparison) throws {
        let names = golden.tensors.filter { $0.role == "in" }.map(\.name)
        for limit in try golden.numbers("max_norms") {
            var settings = AdamW()
            settings.maxNorm = limit
            let run = try OptimizerRun(
                settings, parameters: names.map { ($0, try golden.input($0).shape) }, learningRate: 0, device)
            for name in names { try run.write(golden.input(name).floats ?? [], to: name, of: "gradients") }
            let state = try run.step()
            let suffix = String(format: "_%g", limit)
            try comparison.check("out", "norm" + suffix, [state[0]])
            for name in names {
                try comparison.check("out", name + suffix, (golden.input(name).floats ?? []).map { $0 * state[1] })
            }
        }
    }

    /// Parameters p_decay and p_plain take the gradients g_decay and g_plain, unclipped.
    private static func compareAdamW(_ golden: GoldenCase, _ device: Device, _ comparison: GoldenComparison) throws {
        let settings = try golden.adamW()
        let kinds = golden.tensors.filter { $0.role == "in" && $0.name.hasPrefix("p_") }.map { $0.name.dropFirst(2) }
        // The layout's rule gives decay to what has two dimensions and is no bias.
        func parameter(_ kind: Substring) -> String { kind == "decay" ? "decay" : "\(kind).bias" }
        let run = try OptimizerRun(
            settings, parameters: kinds.map { (parameter($0), [1, try golden.input("p_\($0)").count]) },
            learningRate: Float(golden.number("lr")), device)
        for kind in kinds {
            for buffer in ["parameters", "ema"] {
                try run.write(golden.input("p_\(kind)").floats ?? [], to: parameter(kind), of: buffer)
            }
        }
        for step in 0..<max(0, try golden.integer("steps")) {
            for kind in kinds {
                let count = try golden.input("p_\(kind)").count
                let rows = try golden.input("g_\(kind)").floats ?? []
                try run.write(Array(rows.dropFirst(step * count).prefix(count)), to: parameter(kind), of: "gradients")
            }
            _ = try run.step()
            for kind in kinds {
                try comparison.check("out", "p_\(kind).\(step + 1)", run.read(parameter(kind), of: "parameters"))
            }
        }
        for kind in kinds { try comparison.check("out", "ema_\(kind)", run.read(parameter(kind), of: "ema")) }
    }
}

/// The optimiser on its own, over gradients the host writes.
private struct OptimizerRun {
    let layout: ParameterLayout
    let executor: Executor
    let norm: Tensor

    init(_ settings: AdamW, parameters: [(String, [Int])], learningRate: Float, _ device: Device) throws {
        let layout = try ParameterLayout(parameters)
        self.layout = layout
        let graph = Graph()
        func flat(_ name: String) throws -> Tensor { try graph.stored([layout.count], in: layout.storage(name)) }
        let flags = layout.flags { _ in true }
        norm = try graph.step(
            settings,
            AdamW.State(
                parameters: flat("parameters"), gradient: flat("gradients"), firstMoment: flat("moment1"),
                secondMoment: flat("moment2"), average: flat("ema"),
                flags: graph.constant("flags", flags, [flags.count]), counters: graph.input("counters", [2], .uint32),
                learningRate: graph.constant("learning_rate", [learningRate], [1])),
            loss: graph.constant("loss", [Float(0)], [1]))
        graph.output(norm)
        executor = try DeviceMemory(device).executor(graph)
    }

    func write(_ values: [Float], to name: String, of buffer: String) throws {
        guard let entry = layout[name] else { throw GraphError("no parameter \(name)") }
        try executor.memory.write(values, to: layout.storage(buffer), at: entry.offset)
    }

    func read(_ name: String, of buffer: String) throws -> [Float] {
        guard let entry = layout[name] else { throw GraphError("no parameter \(name)") }
        return try executor.memory.read(Float.self, from: layout.storage(buffer), at: entry.offset, count: entry.count)
    }

    /// One update; norm, clip coefficient, and 1 when it was applied.
    func step() throws -> [Float] {
        try executor.run()
        return try executor.read(norm)
    }
}

extension GoldenCase {
    /// The optimiser of a case; with `clips`, gradients are clipped to the norm that it names.
    func adamW(clips: Bool = false) throws -> AdamW {
        var settings = AdamW()
        let betas = try numbers("betas")
        guard betas.count == 2 else { throw GraphError("\(id): betas \(betas)") }
        (settings.beta1, settings.beta2, settings.epsilon) = (betas[0], betas[1], try number("eps"))
        (settings.weightDecay, settings.averageDecay) = (try number("wd"), try number("ema"))
        settings.maxNorm = clips ? try number("clip") : 0
        return settings
    }
}
