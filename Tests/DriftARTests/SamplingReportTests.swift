import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct SamplingReportTests {
    @Test("phases inside others are counted once")
    func clock() throws {
        var time = 100.0
        let clock = SamplingClock { time }
        clock.measure(.encode) {
            time += 1
            clock.measure(.prepare) { time += 20 }
            clock.measure(.readBack) { clock.measure(.noise) { time += 300 } }
            time += 4
        }
        clock.measure(.encode) { time += 5000 }
        #expect(throws: ConfigurationError.self) {
            try clock.measure(.write) {
                time += 60000
                throw ConfigurationError("full")
            }
        }
        let expected: [SamplingClock.Phase: Double] = [.encode: 5005, .prepare: 20, .noise: 300, .write: 60000]
        for phase in SamplingClock.Phase.allCases { #expect(clock.seconds(phase) == expected[phase] ?? 0, "\(phase)") }
        #expect(clock.total == 65325 && clock.drawing == 5305)
        #expect(SamplingClock().total == 0)
    }

    @Test("text and JSON of a run")
    func report() throws {
        try TestDevice.with(.cpu16) { device in
            let state = ModelState(
                try TinyRun.pixels.configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 3)
            let sampler = Sampler(state.model, memory: state.memory, batchLimit: 4)
            let settings = Speculation(threshold: 1e6, iterations: 2)
            _ = try sampler.tokens(labels: [1, 2, 3], perLabel: 2, cfg: 1.5, seed: 0, speculation: settings)
            let report = SamplingReport(sampler, images: 6, cfg: 1.5, speculation: settings)
            let json = try JSON.parse([UInt8](report.json()))
            #expect(json["images"]?.integer == 6 && json["labels_encoded"]?.integer == 4 && json["labels_read"]?.integer == 0)
            let speed = try #require(json["images_per_second"]?.double)
            #expect(abs(speed * report.drawingSeconds - 6) < 1e-6 && report.drawingSeconds < report.seconds)
            let parts = SamplingClock.Phase.allCases.compactMap { json["time"]?[$0.rawValue]?.double }
            #expect(parts.count == SamplingClock.Phase.allCases.count && abs(parts.reduce(0, +) - report.seconds) < 1e-9)
            #expect(json["speculation"]?["iterations"]?.integer == 2)
            let figures = try #require(json["figures"])
            #expect(figures["batches"]?.array?.count == 2 && figures["labels"]?.array?.count == 3)
            #expect(figures["total_iterations"]?.integer == 4 && figures["total_positions"]?.integer == 64)
            #expect(figures["acceptance_rate"]?.double == 1 && figures["accepted_share"]?.double == 1)
            #expect(figures["batches"]?.array?[0]["tau_global"]?.double != nil)
            #expect(report.lines.count == 4 && report.lines[0].contains("images/s"))
            #expect(report.lines[2].contains("100.0 %") && report.lines[3].contains("4 rounds in 2 batches"))

            let plain = SamplingReport(sampler, images: 6, cfg: 1.5)
            #expect(plain.lines.count == 2 && plain.figures == nil)
        }
    }

    @Test("a model that gives no numbers is reported, not a crash")
    func broken() throws {
        try TestDevice.with(.cpu16) { device in
            let state = ModelState(
                try TinyRun.pixels.configuration.makeGenerator(), memory: DeviceMemory(device))
            let count = state.model.layout.count
            try state.memory.write([Float](repeating: .nan, count: count), to: state.model.layout.storage("ema"))
            let sampler = Sampler(state.model, memory: state.memory)
            let settings = Speculation(iterations: 3)
            _ = try sampler.tokens(labels: [1], perLabel: 1, seed: 0, speculation: settings)
            let report = SamplingReport(sampler, images: 1, cfg: 1, speculation: settings)
            #expect(try String(decoding: report.json(), as: UTF8.self).contains("\"nan\""))
            #expect(report.figures?.totalIterations == 3 && report.figures?.acceptedShare == 0)
        }
    }
}
