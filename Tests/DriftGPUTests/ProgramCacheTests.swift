import Foundation
import TestSupport
import Testing

@testable import DriftGPU

/// Whether the device under test keeps programs. Asked for them, PoCL compiles more where the environment says otherwise; Mesa ends
/// the process where it is given a program that it does not know.
private let keepsPrograms =
    TestDevice.choice == "cpu" && (try? DeviceDescription.choose(TestDevice.choice))?.kind == .cpu
    && getenv("POCL_WORK_GROUP_SPECIALIZATION").map { String(cString: $0) } == "0"

/// Programs of the CPU shape are kept, found again, and never taken where they are not whole or of something else.
@Suite(.enabled(if: keepsPrograms && !TestDevice.isSmall)) final class ProgramCacheTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("programs-" + UUID().uuidString).path

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private var files: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted().map { folder + "/" + $0 }
    }

    private func open(_ programs: String?, team: String = "cpu", kernels: String? = nil) throws -> Device {
        var options = Device.Options(environment: ["DRIFTGPU_TEAM": team, "DRIFTGPU_LANES": "4"])
        (options.gemm, options.programs, options.kernels) = ("native", programs, kernels)
        return try Device(DeviceDescription.choose(TestDevice.choice), options: options)
    }

    /// A product, whose program has -D values, on a device of its own: the result, and the programs taken and kept.
    private func product(_ programs: String?, team: String = "cpu", kernels: String? = nil) throws -> (values: [Float], taken: Int, kept: Int) {
        try TestDevice.alone {
            let device = try open(programs, team: team, kernels: kernels)
            let graph = Graph()
            let x = try graph.input("x", [4, 8])
            let y = try graph.matrixMultiply(x, x, transposeB: true)
            graph.output(y)
            let executor = try DeviceMemory(device).executor(graph)
            try executor.write((0..<32).map { Float($0 % 7) / 4 - 1 }, to: x)
            try executor.run()
            return (try executor.read(y), device.programsTaken, device.programsKept)
        }
    }

    @Test("a program is kept once, and taken from then on") func taken() throws {
        let plain = try product(nil)
        #expect(plain.taken == 0 && plain.kept == 0)
        let first = try product(folder)
        #expect(first.taken == 0 && first.kept == 1 && files.count == 1)
        utimes(files[0], [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)])
        let second = try product(folder)
        #expect(second.taken == 1 && second.kept == 0 && files.count == 1)
        #expect(first.values == plain.values && second.values == plain.values)
        // Being read counts for how long it stays.
        let date = try FileManager.default.attributesOfItem(atPath: files[0])[.modificationDate] as? Date
        #expect(date.map { $0.timeIntervalSince1970 > 2000 } == true)
    }

    @Test("what is no whole program is passed over and replaced", arguments: ["empty", "half", "byte", "longer", "foreign", "text", "refused"])
    func damaged(_ fault: String) throws {
        let first = try product(folder)
        let path = try #require(files.first)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        var bytes = [UInt8](whole)
        let key = try TestDevice.alone { () throws -> [UInt8] in try self.key(open(nil)) }
        #expect(ProgramCache.binary(in: whole, of: key) != nil)
        switch fault {
        case "empty": bytes = []
        case "half": bytes.removeLast(bytes.count / 2)
        case "byte": bytes[bytes.count - 100] ^= 16
        case "longer": bytes.append(0)
        case "foreign": bytes = ProgramCache.file(Array(try #require(ProgramCache.binary(in: whole, of: key))), of: key.map { $0 == 68 ? 69 : $0 })
        case "text": bytes = Array("not a program\n".utf8)
        default: bytes = ProgramCache.file(Array("not a program that any driver has built".utf8), of: key)
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        // The driver alone can tell what it refuses.
        #expect((ProgramCache.binary(in: Data(bytes), of: key) == nil) == (fault != "refused"))
        let second = try product(folder)
        #expect(second.taken == 0 && second.kept == 1 && second.values == first.values)
        let third = try product(folder)
        #expect(third.taken == 1 && third.values == first.values && files.count == 1)
    }

    /// The key of the product's program.
    private func key(_ device: Device) throws -> [UInt8] {
        let graph = Graph()
        let x = try graph.input("x", [4, 8])
        graph.output(try graph.matrixMultiply(x, x, transposeB: true))
        let launches = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: Schedule.Options()).steps
            .flatMap(\.commands).compactMap { if case .kernel(let launch) = $0 { launch } else { nil } }
        let launch = try #require(launches.first)
        let cache = try #require(ProgramCache(folder, for: device.about, device.traits))
        return try cache.key(device.sources.expanded(launch.family + ".cl"), options: device.buildOptions(launch.defines))
    }

    @Test("other text, options, shapes are other programs") func keys() throws {
        try TestDevice.alone {
            let device = try open(nil)
            let cache = try #require(ProgramCache(folder, for: device.about, device.traits))
            let keys = [("a", "-DX=1"), ("b", "-DX=1"), ("a", "-DX=2"), ("a", "")].map { cache.key($0.0, options: $0.1) }
            #expect(Set(keys).count == 4 && Set(keys.map(cache.path)).count == 4)
            let file = Data(ProgramCache.file([1, 2, 3], of: keys[0]))
            #expect(ProgramCache.binary(in: file, of: keys[0]).map(Array.init) == [1, 2, 3])
            for key in keys.dropFirst() { #expect(ProgramCache.binary(in: file, of: key) == nil) }
            #expect(keys[0].starts(with: Array((device.about.name + "\n" + device.about.driver + "\n").utf8)))
            #expect(try ProgramCache(folder, for: device.about, open(nil, team: "gpu").traits) == nil)
            func key(_ environment: [String: String]) -> [UInt8]? {
                ProgramCache(folder, for: device.about, device.traits, environment: environment)?.key("a", options: "")
            }
            #expect(key(["POCL_KERNELLIB_NAME": "sse2"]) != key([:]) && key(["POCL_KERNELLIB_NAME": "sse2"]) != key(["POCL_KERNELLIB_NAME": "avx2"]))
            #expect(key(["POCL_CACHE_DIR": "/c", "HOME": "/h"]) == key([:]))
        }
        let first = try product(folder)
        try FaultyKernels.with("product/cpu_gemm.cl", { "// Another text.\n" + $0 }) { kernels in
            let other = try product(folder, kernels: kernels)
            #expect(other.taken == 0 && other.kept == 1 && other.values == first.values && files.count == 2)
        }
        let gpu = try product(folder, team: "gpu")
        #expect(gpu.taken == 0 && gpu.kept == 0 && files.count == 2)
    }

    @Test("a program with a kernel that nobody launched is left to the driver") func unlaunched() throws {
        try FaultyKernels.with("product/gemm.cl", { $0 + "__kernel void spare(__global float *x) { x[0] = 1; }\n" }) { kernels in
            for _ in 0..<2 {
                let result = try product(folder, kernels: kernels)
                #expect(result.taken == 0 && result.kept == 0 && files.isEmpty)
            }
        }
    }

    @Test("a program that does not build says what it said") func broken() throws {
        try FaultyKernels.with("product/gemm.cl", { $0 + "__kernel void broken(__global undeclared *x) {}\n" }) { kernels in
            let said = try [nil, folder, folder].map { programs -> String in
                let error = try #require(#expect(throws: DeviceError.self) { _ = try product(programs, kernels: kernels) })
                // PoCL builds from a file with a name of its own.
                return error.description.replacing(/tempfile_\w+/, with: "")
            }
            #expect(Set(said).count == 1 && said[0].contains("gemm.cl does not build on") && said[0].contains("undeclared"))
            #expect(files.isEmpty)
        }
    }

    @Test("compiling a kernel for another process writes nothing") func helpers() throws {
        try TestDevice.alone {
            let device = try open(folder)
            let graph = Graph()
            let x = try graph.input("x", [4, 8])
            graph.output(try graph.matrixMultiply(x, x, transposeB: true))
            for case .kernel(let launch) in try Schedule(graph, traits: device.traits, gemm: device.gemm, options: Schedule.Options())
                .steps.flatMap(\.commands)
            {
                try device.compile(#require(KernelCompilation(launch)))
            }
            #expect(files.isEmpty)
        }
    }

    @Test("a folder that cannot be written is no error") func unwritable() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // Below a plain file nobody can write, root neither.
        try Data().write(to: URL(fileURLWithPath: folder + "/file"))
        let plain = try product(nil)
        for _ in 0..<2 {
            let result = try product(folder + "/file/programs")
            #expect(result.taken == 0 && result.kept == 0 && result.values == plain.values)
        }
    }

    @Test func folders() {
        func folder(_ environment: [String: String]) -> String? { ProgramCache.folder(environment: environment) }
        #expect(folder([:]) == nil)
        #expect(folder(["HOME": "/home/a"]) == "/home/a/.cache/driftgpu/programs")
        #expect(folder(["DRIFTGPU_CACHE": "/c", "DRIFTGPU_PROGRAM_CACHE": ""]) == "/c/programs")
        #expect(folder(["DRIFTGPU_CACHE": "/c", "DRIFTGPU_PROGRAM_CACHE": "off"]) == nil)
        #expect(folder(["DRIFTGPU_CACHE": "/c", "DRIFTGPU_PROGRAM_CACHE": "/p"]) == "/p")
        #expect(Device.Options(environment: ["DRIFTGPU_PROGRAM_CACHE": "/p"]).programs == "/p")
    }

    @Test("what is old goes, then what is too much, and nothing that is not ours") func pruned() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let now = Date(timeIntervalSince1970: 1e9)
        for (name, days) in [("a.program", 1.0), ("b.program", 2), ("c.program", 3), ("d.program", 31), ("e.program-Xy1234", 31), ("notes", 99)] {
            try Data(count: 100).write(to: URL(fileURLWithPath: folder + "/" + name))
            try FileManager.default.setAttributes(
                [.modificationDate: now.addingTimeInterval(-days * 86400)], ofItemAtPath: folder + "/" + name)
        }
        let cache = try #require(try TestDevice.alone {
            let device = try open(nil)
            return ProgramCache(folder, for: device.about, device.traits)
        })
        func left() -> [String] { files.map { ($0 as NSString).lastPathComponent } }
        cache.prune(capacity: 1000, now: now)
        #expect(left() == ["a.program", "b.program", "c.program", "notes"])
        cache.prune(capacity: 250, now: now)
        #expect(left() == ["a.program", "b.program", "notes"])
        cache.prune(days: 1.5, now: now)
        #expect(left() == ["a.program", "notes"])
    }
}
