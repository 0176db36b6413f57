import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ProfilerTests {
    private func profiled(
        pendingLimit: Int = 4096, runs: Int = 3, _ body: (Profiler, Schedule) throws -> Void
    ) throws {
        try TestDevice.alone { try profile(pendingLimit, runs, body) }
    }

    private func profile(_ pendingLimit: Int, _ runs: Int, _ body: (Profiler, Schedule) throws -> Void) throws {
        var options = TestDevice.options
        options.profiling = true
        let device = try Device(DeviceDescription.choose(TestDevice.choice), options: options)
        let graph = Graph()
        let x = try graph.input("x", [64])
        let y = try graph.add(x, x)
        [y, try graph.part("scaling") { try graph.scale(y, by: 2) }].forEach(graph.output)
        let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm)
        let memory = DeviceMemory(device)
        let executor = try Executor(schedule, memory: memory)
        let profiler = Profiler(pendingLimit: pendingLimit)
        memory.profiler = profiler
        for _ in 0..<runs {
            try executor.run()
            #expect(profiler.pending.count < pendingLimit)
        }
        try body(profiler, schedule)
    }

    @Test func totalsCountLaunches() throws {
        try profiled { profiler, schedule in
            let totals = try profiler.totals()
            #expect(totals.reduce(0) { $0 + $1.launches } == 3 * schedule.launches)
            #expect(totals.first { $0.name == "add_forward" }?.launches == 3)
            #expect(totals.map(\.milliseconds) == totals.map(\.milliseconds).sorted(by: >))
            #expect(try profiler.collect().allSatisfy { $0.end >= $0.start })
            #expect(try profiler.collect().filter { $0.part == "scaling" }.map(\.name) == Array(repeating: "scale_forward", count: 3))
        }
    }

    @Test("events are given back as launches go on, and no launch is lost")
    func pendingEventsAreBounded() throws {
        try profiled(pendingLimit: 7, runs: 50) { profiler, schedule in
            let samples = try profiler.collect()
            #expect(samples.count == 50 * schedule.launches && profiler.pending.isEmpty)
            // Taken in parts, they are still in the order of the launches.
            #expect(zip(samples, samples.dropFirst()).allSatisfy { $0.start <= $1.start })
            #expect(try profiler.totals().reduce(0) { $0 + $1.launches } == samples.count)
        }
    }

    @Test func traceIsJSON() throws {
        try profiled { profiler, schedule in
            let trace = try JSONSerialization.jsonObject(with: profiler.chromeTrace()) as? [String: Any]
            let events = try #require(trace?["traceEvents"] as? [[String: Any]])
            #expect(events.count == 3 * schedule.launches)
            for event in events {
                #expect(event["ph"] as? String == "X" && event["name"] is String)
                #expect((event["ts"] as? Double ?? -1) >= 0 && (event["dur"] as? Double ?? -1) >= 0)
            }
        }
    }

    @Test func emptyTraceIsJSON() throws {
        let trace = try JSONSerialization.jsonObject(with: Profiler().chromeTrace()) as? [String: Any]
        #expect((trace?["traceEvents"] as? [Any])?.isEmpty == true)
    }
}
