import Checks
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftGPU

/// What was found by running the PyTorch reference, and what is done instead.
@Suite(.serialized) struct ReferenceFindingsTests {
    private func run(_ graph: Graph, _ device: Device, _ inputs: [(Tensor, [Float])], _ wanted: [Tensor]) throws -> [[Float]] {
        wanted.forEach(graph.output)
        let executor = try Executor(
            Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
        for (tensor, values) in inputs { try executor.write(values, to: tensor) }
        try executor.run()
        return try wanted.map { try executor.read($0) }
    }

    private func normal(_ count: Int, seed: UInt64, scale: Double = 1, offset: Double = 0) -> [Float] {
        var random = SplitMix64(seed)
        return (0..<count).map { _ in Float(random.normal() * scale + offset) }
    }

    private let gen = 16
    private let pos = 32
    private let size = 8

    private func drift(_ device: Device, _ generated: [Float], _ real: [Float]) throws -> (loss: Float, force: [Float], scale: Float) {
        let graph = Graph()
        let x = try graph.input("gen", [1, gen, size])
        let positive = try graph.input("pos", [1, pos, size])
        let loss = try graph.driftLoss(x, targets: DriftTargets(positive: positive))
        let values = try run(graph, device, [(x, generated), (positive, real)], [loss.loss, loss.squaredForce, loss.scale])
        return (values[0][0], values[1], values[2][0])
    }

    @Test("the drift loss does not tell converged from not; the raw force and the scale do, and are logged")
    func forceIsWhatConverges() throws {
        try TestDevice.with(.cpu16) { device in
            let real = normal(pos * size, seed: 1)
            let apart = try drift(device, normal(gen * size, seed: 2, offset: 1.5), real)
            let converged = try drift(device, normal(gen * size, seed: 3), real)
            #expect(abs(apart.loss - converged.loss) < 0.3 * converged.loss, "\(apart.loss) \(converged.loss)")
            #expect(apart.scale > 1.2 * converged.scale, "\(apart.scale) \(converged.scale)")
            // The largest radius sees beyond single neighbours.
            #expect((apart.force.last ?? 0) > 3 * (converged.force.last ?? 0), "\(apart.force) \(converged.force)")

            let trainer = try TinyRun.pixels.trainer(device)
            try trainer.advance()
            let names = try trainer.metrics().map(\.0)
            for radius in trainer.configuration.loss.radii { #expect(names.contains("force_\(radius)")) }
            #expect(names.contains("scale"))
        }
    }

    @Test("phi has no dropout: what the ring holds does not depend on it")
    func phiIsInEvaluationMode() throws {
        try TestDevice.with(.cpu16) { device in
            let rings = try [Float(0), 0.9].map { dropout in
                let trainer = try TinyRun.tokens.trainer(device) { $0.network.dropout = dropout }
                try trainer.advance()
                let ring = try #require(try trainer.extraStorages().first { $0.name == "positive_bank.entries" })
                return try trainer.state.memory.read(Float.self, from: ring)
            }
            #expect(rings[0] == rings[1] && rings[0].contains { $0 != 0 })
        }
    }

    @Test("a ring of tokens gives the positives that a ring of features gives")
    func ringOfTokens() throws {
        try TestDevice.with(.cpu16) { device in
            // Nothing is trained: features do not age.
            let (features, tokens) = try (
                TinyRun.tokens.trainer(device) { $0.optimizer.learningRate = 0 },
                TinyRun.tokens.trainer(device) { ($0.optimizer.learningRate, $0.loss.bankContents) = (0, .tokens) }
            )
            for step in 0..<4 {
                try features.advance()
                try tokens.advance()
                for ((name, a), (_, b)) in zip(try features.metrics(), try tokens.metrics()) {
                    #expect(abs(a - b) <= 1e-4 * abs(a), "step \(step), \(name): \(a) and \(b)")
                }
            }
        }
    }

    @Test("phase II runs the frozen encoder without dropout and leaves the draft out")
    func frozenPartsInEvaluationMode() throws {
        try TestDevice.with(.cpu16) { device in
            func entropies(_ freeze: Double, dropout: Float) throws -> [Double] {
                let trainer = try TinyRun.pixels.trainer(device) {
                    ($0.optimizer.learningRate, $0.run.labelDrop, $0.run.labelsPerStep) = (0, 0, 0)
                    // Deep enough for the penultimate block to see what was dropped before it.
                    $0.stage.label?.freezeFraction = freeze
                    $0.network.dropout = dropout
                    $0.stage.label?.encoderDepth = 2
                }
                return try (0..<4).map { _ in
                    try trainer.advance()
                    return try #require(try trainer.metrics().first { $0.0 == "entropy" }?.1)
                }
            }
            func spread(_ values: [Double]) -> Double { (values.max() ?? 0) - (values.min() ?? 0) }
            let (first, second, without) = (
                try entropies(1, dropout: 0.5), try entropies(0, dropout: 0.5), try entropies(0, dropout: 0)
            )
            // Labels come in another order in every step, so sums round differently.
            #expect(spread(second + without) < 1e-6, "\(second) \(without)")
            #expect(spread(first) > 10 * spread(second + without), "\(first)")

            let configuration = TinyRun.pixels.configuration
            let model = try configuration.makeGenerator()
            for isSecond in [false, true] {
                let training = try PartGraph(model, configuration, imageCount: 10, isSecondPhase: isSecond)
                let read = Set(training.graph.places.values.filter { $0.storage.name == "parameters" }.map(\.offset))
                let draft = model.layout.entries.filter { $0.name.hasPrefix("draft_model.") }
                #expect(draft.contains { read.contains($0.offset) } == !isSecond)
                #expect((training.losses["regression"] == nil) == isSecond)
            }
        }
    }

    @Test("without a phase I nothing is divided by zero")
    func noFirstPhase() throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.pixels.trainer(device) { $0.stage.label?.freezeFraction = 0 }
            for _ in 0..<2 { try trainer.advance() }
            let metrics = try trainer.metrics()
            #expect(metrics.allSatisfy { $0.1.isFinite })
            #expect(metrics.first { $0.0 == "alpha" }?.1 == 0 && !metrics.contains { $0.0 == "regression" })
            #expect(metrics.first { $0.0 == "skipped" }?.1 == 0)
        }
    }

    @Test("the draft learns the position it is verified at; the next one is an option")
    func draftPosition() throws {
        #expect(Configuration().stage.label?.draftShift == 0)
        try TestDevice.with(.cpu16) { device in
            let configuration = TinyRun.pixels.configuration
            let model = try configuration.makeGenerator()
            let state = ModelState(model, memory: DeviceMemory(device))
            try state.initialize(seed: 4)
            let parameters = try state.memory.read(Float.self, from: model.layout.storage("parameters"))
            let (labels, tokens, width) = (2, model.tokens, configuration.network.embed)
            let values = normal(labels * tokens * width, seed: 5)
            for shift in [0, 1] {
                let graph = Graph()
                let scope = ParameterScope(graph, model.layout)
                let z = try graph.input("z", [labels, tokens, width])
                let loss = try state.labelStage.draftLoss(z: z, shift: shift, scope)
                let prediction = try state.labelStage.draft(z, scope.scope("draft_model"))
                let flat = try graph.stored([model.layout.count], in: model.layout.storage("parameters"))
                let got = try run(graph, device, [(z, values), (flat, parameters)], [loss, prediction])
                var sum = 0.0
                for label in 0..<labels {
                    for position in 0..<(tokens - shift) {
                        for column in 0..<width {
                            let row = label * tokens + position
                            let d = abs(Double(got[1][row * width + column]) - Double(values[(row + shift) * width + column]))
                            sum += d < 1 ? d * d / 2 : d - 0.5
                        }
                    }
                }
                let want = sum / Double(labels * (tokens - shift) * width)
                #expect(abs(Double(got[0][0]) - want) < 1e-5 * want)
            }
        }
    }

    @Test("weight decay reaches every matrix and table, as in the reference, and no bias and no norm")
    func weightDecay() throws {
        let layout = try TinyRun.phi.configuration.makeGenerator().layout
        let tables = [
            "class_emb.weight", "fake_latent", "mask_token", "encoder_pos_embed_learned", "diffusion_pos_embed_learned",
            "drift_decoder.net.pos_embed", "drift_decoder.net.level_embed", "drift_decoder.net.res_blocks.0.scale_shift_table",
        ]
        for name in tables { #expect(layout[name]?.decays == true, "\(name)") }
        for entry in layout.entries where !tables.contains(entry.name) {
            let isMatrix = entry.name.hasSuffix("weight") && !entry.name.contains("norm") && !entry.name.contains("_ln.")
            #expect(entry.decays == isMatrix, "\(entry.name)")
        }
    }

    @Test("heads that are each certain but disagree have a high entropy")
    func disagreeingHeads() throws {
        try TestDevice.with(.cpu16) { device in
            let (positions, headDim) = (8, 16)
            let width = 2 * headDim
            func entropy(_ targets: [Int]) throws -> [Float] {
                let graph = Graph()
                let qkv = try graph.input("qkv", [1, positions, 3 * width])
                var values = [Float](repeating: 0, count: qkv.count)
                for row in 0..<positions {
                    for head in 0..<2 {
                        values[row * 3 * width + head * headDim] = 20
                        if row == targets[head] { values[row * 3 * width + width + head * headDim] = 20 }
                    }
                }
                return try run(graph, device, [(qkv, values)], [graph.softmaxEntropy(qkv, heads: 2, buffer: 0)])[0]
            }
            let (agreeing, disagreeing) = (try entropy([0, 0]), try entropy([0, 1]))
            #expect(agreeing.allSatisfy { $0 < 1e-4 }, "\(agreeing)")
            // Two of r positions, half each: log 2 / log r.
            for row in 1..<positions {
                let want = Float(log(2) / log(Double(row + 1)))
                #expect(abs(disagreeing[row] - want) < 1e-4, "row \(row): \(disagreeing[row])")
            }
        }
    }

    @Test("distances, softmaxes and forces stay in single precision whatever products are rounded to")
    func driftInSinglePrecision() throws {
        guard TestDevice.shapes.contains(.gpu) else { return }
        let (generated, real) = (normal(gen * size, seed: 6), normal(pos * size, seed: 7, offset: 0.5))
        let results = try [Precision.fp32, .bf16].map { precision in
            try TestDevice.with(.gpu, precision: precision) { try drift($0, generated, real) }
        }
        #expect(results[0].loss.bitPattern == results[1].loss.bitPattern)
        #expect(results[0].force == results[1].force && results[0].scale == results[1].scale)
    }

    @Test("the bias of keys has no gradient but rounding")
    func keyBias() throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.pixels.trainer(device) { $0.network.dropout = 0 }
            try trainer.advance()
            let layout = trainer.state.model.layout
            let gradients = try trainer.state.memory.read(Float.self, from: layout.storage("gradients"))
            var checked = 0
            for entry in trainer.state.model.trained(isSecondPhase: false) where entry.name.hasSuffix("qkv.bias") {
                let third = entry.count / 3
                func largest(_ part: Int) -> Float {
                    let start = entry.offset + part * third
                    return gradients[start..<(start + third)].map(abs).max() ?? 0
                }
                #expect(largest(1) < 1e-4 * largest(2), "\(entry.name): keys \(largest(1)), values \(largest(2))")
                checked += 1
            }
            #expect(checked > 3)
        }
    }

    @Test("with labels encoded once there is one dropout mask a label, otherwise one an image")
    func masksPerLabel() throws {
        try TestDevice.with(.cpu16) { device in
            let configuration = TinyRun.pixels.configuration
            let model = try configuration.makeGenerator()
            let state = ModelState(model, memory: DeviceMemory(device))
            try state.initialize(seed: 4)
            let parameters = try state.memory.read(Float.self, from: model.layout.storage("parameters"))
            func encoded(_ probability: Float) throws -> [[Float]] {
                let graph = Graph()
                let scope = ParameterScope(graph, model.layout)
                let labels = try graph.constant("labels", [3, 3] as [Int32], [2])
                let clock = try graph.input("clock", [4], .uint32)
                let (z, _) = try state.labelStage.encode(
                    state.labelStage.embed(labels, scope), scope, dropout: Dropout(probability: probability, clock: clock)
                ).encoded()
                let flat = try graph.stored([model.layout.count], in: model.layout.storage("parameters"))
                let values = try run(graph, device, [(flat, parameters)], [z])[0]
                return [Array(values[..<(values.count / 2)]), Array(values[(values.count / 2)...])]
            }
            let (same, different) = (try encoded(0), try encoded(0.5))
            #expect(same[0] == same[1] && different[0] != different[1])
            for encodeOnce in [true, false] {
                var changed = configuration
                changed.stage.label?.encodeOnce = encodeOnce
                let training = try PartGraph(changed.makeGenerator(), changed, imageCount: 10, isSecondPhase: false)
                #expect(training.labels.count == (encodeOnce ? changed.labelsInStep : changed.batch))
            }
        }
    }
}
