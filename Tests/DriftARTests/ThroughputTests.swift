import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftGPU

@Suite(.serialized) struct ThroughputTests {
    @Test("rates are of the time since the last observation, the summary of all but what came before the first")
    func rates() {
        var now = 100.0
        var throughput = Throughput(peak: 1e9) { now }
        #expect(throughput.observe(images: 16, flops: 1e9).isEmpty && throughput.share == nil && throughput.summary == nil)
        now += 2
        let first = throughput.observe(images: 48, flops: 2e9)
        #expect(first.map(\.0) == ["images_per_second", "peak_share"] && first.map(\.1) == [16, 0.5])
        now += 1
        #expect(throughput.observe(images: 49, flops: 2.25e9).map(\.1) == [1, 0.25] && throughput.share == 0.25)
        #expect(throughput.summary == "11.00 images/s, 0.417 GFLOP/s: 42 % of the 1.000 GFLOP/s of the device's multiply-adds")
        // A clock that stands still, or no step since: nothing to say.
        #expect(throughput.observe(images: 60, flops: 3e9).isEmpty)
        now += 1
        #expect(throughput.observe(images: 60, flops: 3e9).isEmpty)
        // More than was measured is what the device can do.
        now += 1
        #expect(throughput.observe(images: 70, flops: 6e9).map(\.1) == [10, 1])
        #expect(throughput.summary?.contains("% of the 3.000 GFLOP/s") == true, "\(throughput.summary ?? "")")
    }

    @Test("a trainer counts what its schedules do", arguments: [1, 3])
    func flops(parts: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.pixels.trainer(device) { $0.run.accumulate = parts }
            let schedules = try trainer.schedules()
            let (part, update) = (try #require(schedules.first), try #require(schedules.last))
            #expect(part.traffic.flops > update.traffic.flops && update.traffic.flops > 0)
            for step in 1...2 {
                try trainer.advance()
                #expect(trainer.flops == Double(step * (parts * part.traffic.flops + update.traffic.flops)))
            }
            try device.finish()
        }
    }

    @Test("a run by the command line logs its throughput from the second line on, and ends with it")
    func run() throws {
        let folder = try TestFolder()
        let result = try folder.run("train --steps 3 --output run \(Program.tiny)")
        #expect(result.code == 0, "\(result.errors)")
        let lines = try folder.text("run/metrics.jsonl").split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
        #expect(lines.count == 3 && lines[0]["peak_share"] == nil && lines[0]["images_per_second"] == nil)
        for line in lines.dropFirst() {
            let share = try #require(line["peak_share"]?.double)
            #expect(share > 0 && share <= 1)
            #expect(try #require(line["images_per_second"]?.double) > 0)
        }
        #expect(result.errors.contains(" % of peak\n") && result.errors.contains("of the device's multiply-adds"), "\(result.errors)")
    }
}
