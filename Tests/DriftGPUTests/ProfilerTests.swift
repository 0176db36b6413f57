import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ProfilerTests {
    private func profiled(_ body: (Profiler, Schedule) throws -> Void) throws {
        try TestDevice.alone { try profile(body) }
    }

    private func profile(_ body: (Profiler, Schedule) throws -> Void) throws {
        var options = Device.Options(environment: [:])
        options.profiling = true
        let choice = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_DEVICE"] ?? "cpu"
        let device = try Device(DeviceDescription.choose(choice), options: options)
        let graph = Graph()
        let x = try graph.input("x", [64])
        let y = try graph.add(x, x)
        [y, try graph.scale(y, by: 2)].forEach(graph.output)
        let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm)
        let executor = try Executor(schedule, memory: DeviceMemory(device))
        let profiler = Profiler()
        executor.profiler = profiler
        for _ in 0..<3 { try executor.run() }
        try body(profiler, schedule)
    }

    @Test func totalsCountLaunches() throws {
        try profiled { profiler, schedule in
            let totals = try profiler.totals()
            #expect(totals.reduce(0) { $0 + $1.launches } == 3 * schedule.launches)
            #expect(totals.first { $0.name == "add_forward" }?.launches == 3)
            #expect(totals.map(\.milliseconds) == totals.map(\.milliseconds).sorted(by: >))
            #expect(try profiler.collect().allSatisfy { $0.end >= $0.start })
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
