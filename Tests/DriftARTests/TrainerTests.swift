import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct TrainerTests {
    @Test("the same run twice gives the same bits, and so does an arena without reuse", arguments: TinyRun.allCases)
    func deterministic(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let snapshots = try [true, true, false].map { reuse in
                var options = Schedule.Options()
                options.reuse = reuse
                let trainer = try kind.trainer(device, options: options)
                for _ in 0..<4 { try trainer.advance() }
                return try trainer.snapshot()
            }
            #expect(isSame(snapshots[0], snapshots[1]))
            #expect(isSame(snapshots[0], snapshots[2]))
            #expect(snapshots[0].values.allSatisfy { $0.allSatisfy(\.isFinite) })
        }
    }

    @Test("what the host tells a step goes to the device in one transfer", arguments: TinyRun.allCases)
    func oneTransfer(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try kind.trainer(device)
            try trainer.advance()
            try device.finish()
            try trainer.advance()
            let block = try #require(trainer.schedules()[0].storages["step_inputs"])
            // Each transfer counts with 128 bytes of its own; the update has one for its learning rate.
            #expect(device.stagedBytes == block.count * 4 + 128 + 4 + 128)
            try device.finish()
        }
    }

    @Test("fusion changes no more than rounding", arguments: TinyRun.allCases)
    func fusion(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let gradients = try [true, false].map { fuse in
                var options = Schedule.Options()
                options.fuse = fuse
                let trainer = try kind.trainer(device, options: options)
                try trainer.advance()
                return try trainer.state.memory.read(
                    Float.self, from: trainer.state.model.layout.storage("gradients"))
            }
            let largest = gradients[0].map(abs).max() ?? 0
            let error = zip(gradients[0], gradients[1]).map { abs($0 - $1) }.max() ?? 0
            #expect(largest > 0)
            #expect(error <= 1e-4 * largest, "largest \(largest)")
        }
    }

    @Test("a step that is not finite is counted and changes nothing")
    func notFinite() throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.pixels.trainer(device)
            try trainer.advance()
            let before = try trainer.snapshot()
            let data = try TinyRun.data()
            let images = PartGraph.imageStorage(count: data.count, values: data.imageSize)
            try trainer.state.memory.write([Float](repeating: .nan, count: images.count), to: images)
            try trainer.advance()
            #expect(isSame(before, try trainer.snapshot()))
            let metrics = Dictionary(uniqueKeysWithValues: try trainer.metrics())
            #expect(metrics["skipped"] == 1)
            #expect(metrics["loss"]?.isFinite == false)
            try trainer.state.memory.write(data.images, to: images)
            try trainer.advance()
            let after = try trainer.snapshot()
            #expect(!isSame(before, after))
            #expect(after.values.allSatisfy { $0.allSatisfy(\.isFinite) })
            #expect(try trainer.metrics().first { $0.0 == "skipped" }?.1 == 1)
        }
    }

    @Test("phase II leaves the encoder and the draft alone, phi never moves")
    func frozen() throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.phi.trainer(device)
            func tensors() throws -> [String: NamedTensor] { try trainer.state.tensors(of: "parameters") }
            let first = try tensors()
            for _ in 0..<4 { try trainer.advance() }
            let second = try tensors()
            for _ in 0..<2 { try trainer.advance() }
            let third = try tensors()
            let declarations = trainer.state.model.declarations
            #expect(declarations.contains { $0.training == .never } && declarations.contains { $0.training == .firstPhase })
            for declaration in declarations where declaration.training != .always {
                let name = declaration.name
                if declaration.training == .never { #expect(first[name] == second[name], "\(name)") }
                #expect(second[name] == third[name], "\(name)")
            }
            let decoder = first.keys.filter { $0.hasPrefix("drift_decoder.") }
            #expect(decoder.contains { second[$0] != third[$0] })
            #expect(first["class_emb.weight"] != second["class_emb.weight"])
        }
    }

    @Test("settings that do not fit the data are refused")
    func refused() throws {
        try TestDevice.with(.cpu16) { device in
            func error(_ change: (inout Configuration) -> Void) -> String? {
                errorText {
                    var configuration = TinyRun.pixels.configuration
                    change(&configuration)
                    let model = try configuration.makeGenerator()
                    _ = try Trainer(
                        configuration, state: ModelState(model, memory: DeviceMemory(device)), data: TinyRun.data())
                }
            }
            #expect(error { $0.data.height = 16 }?.contains("the model takes 1x16x8") == true)
            #expect(error { $0.data.classes = 3 }?.contains("10 classes") == true)
            #expect(error { ($0.data.classes, $0.run.labelsPerStep) = (20, 0) }?.contains("only 10 classes have images") == true)
        }
    }
}
