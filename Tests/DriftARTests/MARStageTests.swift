import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR

/// The entropy's own loss; all else of the stage is compared in the golden cases.
@Suite struct MARStageTests {
    private func tiny(_ model: Configuration.Model, weight: Float) -> Configuration {
        var tiny = TinyRun.pixels.configuration
        tiny.adopt(model)
        tiny.network.dropout = 0
        tiny.stage.mar?.entropyWeight = weight
        return tiny
    }

    @Test("the entropy enters the loss with its weight and drives itself up")
    func entropyWeight() throws {
        try TestDevice.with(.cpu16) { device in
            func train(_ weight: Float) throws -> (metrics: [String: Double], parameters: [Float]) {
                let configuration = tiny(.marDrift, weight: weight)
                let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
                try state.initialize(seed: 1)
                let trainer = try Trainer(configuration, state: state, data: TinyRun.data())
                for _ in 0..<4 { try trainer.advance() }
                let metrics = Dictionary(uniqueKeysWithValues: try trainer.metrics().map { ($0.0, $0.1) })
                return (metrics, try state.memory.read(Float.self, from: state.model.layout.storage("parameters")))
            }
            let (plain, without) = try train(0)
            let (weighed, with) = try train(3)
            #expect(plain["entropy_loss"] == nil && plain["loss"] == plain["drift"] && with != without)
            func value(_ name: String) throws -> Double { try #require(weighed[name]) }
            #expect(try abs(value("entropy_loss") + 3 * value("entropy")) < 1e-5)
            #expect(try abs(value("loss") - value("drift") - value("entropy_loss")) < 1e-4)
        }
    }

    @Test func settingsOutOfRangeAreNamed() throws {
        func message(_ configuration: Configuration) -> String? { errorText { try configuration.validate() } }
        #expect(message(tiny(.marDrift, weight: 0.1)) == nil && message(tiny(.marEnergy, weight: 0)) == nil)
        for weight in [-1, .nan, .infinity] as [Float] {
            #expect(message(tiny(.marDrift, weight: weight))?.hasPrefix("stage.entropyWeight") == true)
        }
        #expect(message(tiny(.marEnergy, weight: 1))?.contains("no entropy enters the head energy") == true)
        let order = errorText { _ = try tiny(.mar, weight: 0).setting("stage.order", to: "size", from: "--set") }
        #expect(order?.contains("stage.order") == true && order?.contains("random") == true && order?.contains("\n") == false)
    }
}
