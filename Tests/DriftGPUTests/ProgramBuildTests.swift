import Foundation
import TestSupport
import Testing

@testable import DriftGPU

/// Kernels are compiled ahead whatever becomes of the processes that shall help.
@Suite struct ProgramBuildTests {
    /// A device of its own in the CPU shape.
    private func with<Result>(
        compilers: [String]? = nil, compiling: (@Sendable (Int, Int) -> Void)? = nil, _ body: (Device) throws -> Result
    ) throws -> Result {
        try TestDevice.alone {
            var options = Device.Options(environment: ["DRIFTGPU_TEAM": "cpu", "DRIFTGPU_LANES": "4"])
            (options.compilers, options.compiling) = (compilers, compiling)
            return try body(Device(DeviceDescription.choose(TestDevice.choice), options: options))
        }
    }

    /// Launches of a few small kernels, and of one at the end that takes longer.
    private func launches(_ device: Device) throws -> [Launch] {
        let graph = Graph()
        let x = try graph.input("x", [4, 8])
        for y in try [
            graph.scale(x, by: 2), graph.add(x, x), graph.silu(x), graph.gelu(x), graph.copy(x), graph.matrixMultiply(x, x, transposeB: true),
        ] {
            graph.output(y)
        }
        return try Schedule(graph, traits: device.traits, gemm: device.gemm, options: Schedule.Options()).steps
            .flatMap(\.commands).compactMap { if case .kernel(let launch) = $0 { launch } else { nil } }
    }

    /// None that can be started, one that ends at once, one that talks nonsense, one that says nothing.
    @Test(
        "useless compiler processes",
        arguments: [["/no/such/program"], ["/bin/false"], ["/bin/sh", "-c", "while read line; do echo nonsense >&0; done"], ["/bin/sleep", "100"]])
    func uselessCompilers(_ command: [String]) throws {
        try with(compilers: command) { device in
            let launches = try launches(device)
            var build = ProgramBuild(device)
            (build.patience, build.grace) = (-1, 0.5)
            let start = ContinuousClock.now
            try build.run(launches)
            let all = Set(launches.compactMap { KernelCompilation($0)?.key })
            // A process that says nothing keeps the kernel it was given.
            #expect(command[0] == "/bin/sleep" ? !device.compiled.isEmpty && device.compiled.isSubset(of: all) : device.compiled == all)
            #expect(ContinuousClock.now - start < .seconds(90))
            // They are gone, and have been waited for.
            Thread.sleep(forTimeInterval: 0.2)
            #expect(Self.children(command[0]).isEmpty)
        }
    }

    /// Child processes of this one that run a program.
    private static func children(_ program: String) -> [String] {
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return numbers.filter { number in
            guard let status = try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8),
                let end = status.lastIndex(of: ")")
            else { return false }
            let name = status[..<end].split(separator: "(").dropFirst().joined(separator: "(")
            let fields = status[end...].split(separator: " ")
            return name == (program as NSString).lastPathComponent && fields.count > 2 && fields[2] == "\(getpid())"
        }
    }

    /// A launch on nothing runs to its end, and what is launched later finds its kernel.
    @Test func kernelsRunOnNothing() throws {
        try with { device in
            for launch in try launches(device) {
                let compilation = try #require(KernelCompilation(launch))
                try device.compile(compilation)
                let sent = try JSONDecoder().decode(KernelCompilation.self, from: JSONEncoder().encode(compilation))
                #expect(sent == compilation)
            }
        }
    }

    /// What one process gives back another takes, and what is finished is counted once.
    @Test func queueIsSharedOut() throws {
        try with { device in
            let all = try launches(device).compactMap { KernelCompilation($0) }
            let queue = CompilationQueue(all)
            let (first, last) = try (#require(queue.takeFirst()), #require(queue.takeLast()))
            #expect(first == all.first && last == all.last && queue.left == all.count - 2)
            #expect(queue.waitForAway(until: Date()))
            queue.giveBack(last)
            #expect(!queue.waitForAway(until: Date()) && queue.left == all.count - 1)
            queue.finishOwn(first)
            let again = try #require(queue.takeLast())
            queue.finishAway(again, seconds: 1)
            #expect(again == last && queue.done == 2 && queue.firstFromAway?.compilation == last)
            queue.close()
            #expect(queue.takeLast() == nil && queue.takeFirst() == all[1])
        }
    }

    @Test func programsAreBuiltSideBySide() throws {
        try with { device in
            let launches = try launches(device)
            device.buildPrograms(of: launches)
            // They are the ones that are taken.
            for launch in launches { try device.compile(#require(KernelCompilation(launch))) }
        }
    }
}
