import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct TuningTests {
    static let direct = [
        "WGD": 32, "MDIMCD": 8, "NDIMCD": 8, "MDIMAD": 8, "NDIMBD": 8, "KWID": 2, "VWMD": 4, "VWND": 2, "PADA": 1, "PADB": 0,
    ]
    static let indirect = [
        "GEMMK": 0, "KREG": 1, "MWG": 64, "NWG": 64, "KWG": 16, "MDIMC": 16, "NDIMC": 8, "MDIMA": 16, "NDIMB": 8, "KWI": 2,
        "VWM": 4, "VWN": 2, "STRM": 0, "STRN": 1, "SA": 1, "SB": 0,
    ]

    @Test func whatTheKernelsTakeIsAccepted() {
        #expect(CLBlastKernel.direct.accepts(Self.direct, workGroup: 64, localMemory: 32 << 10))
        #expect(CLBlastKernel.indirect.accepts(Self.indirect, workGroup: 128, localMemory: 32 << 10))
        #expect(CLBlastKernel.selection.accepts(["XGEMM_MIN_INDIRECT_SIZE": 256], workGroup: 1, localMemory: 0))
    }

    /// What would divide by zero, leave tiles uncovered or exceed the device.
    @Test func whatTheKernelsCannotTakeIsNot() {
        func refuses(_ kernel: CLBlastKernel, _ base: [String: Int], _ name: String, _ value: Int?) -> Bool {
            var parameters = base
            parameters[name] = value
            return !kernel.accepts(parameters, workGroup: 128, localMemory: 32 << 10)
        }
        for (name, value) in [
            ("MDIMCD", 0), ("NDIMBD", 0), ("KWID", 3), ("KWID", 0), ("VWMD", 8), ("VWND", -2), ("WGD", 24), ("WGD", 128),
            ("MDIMCD", 32), ("PADA", 2), ("PADB", nil), ("OTHER", 1),
        ] { #expect(refuses(.direct, Self.direct, name, value), "\(name) \(String(describing: value))") }
        for (name, value) in [
            ("GEMMK", 1), ("KREG", 2), ("MDIMA", 0), ("NDIMC", 0), ("NDIMC", 32), ("KWI", 3), ("KWG", 2), ("VWM", 8), ("SA", 2),
            ("MWG", 512), ("STRN", nil), ("MDIMC", 1 << 40),
        ] { #expect(refuses(.indirect, Self.indirect, name, value), "\(name) \(String(describing: value))") }
        let large = CLBlastKernel.indirect.accepts(Self.indirect, workGroup: 128, localMemory: 1 << 10)
        #expect(!large)
    }

    @Test func theFolderFollowsTheEnvironment() {
        #expect(Tuning.folder(environment: ["DRIFTGPU_CACHE": "/a", "HOME": "/h"]) == "/a/tuning")
        #expect(Tuning.folder(environment: ["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/driftgpu/tuning")
        #expect(Tuning.folder(environment: ["DRIFTGPU_CACHE": "", "HOME": "/h"]) == "/h/.cache/driftgpu/tuning")
        #expect(Tuning.folder(environment: [:]) == nil)
    }

    @Test func productsOfAGraphAreCounted() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [5, 4]), try graph.input("weight", [4, 4]))
        let y = try graph.linear(graph.linear(x, weight: weight), weight: weight)
        let gradients = try graph.gradients(of: graph.sum(y), withRespectTo: [weight])
        gradients.compactMap { $0 }.forEach(graph.output)
        let shapes = try GEMMShape.all(in: graph, traits: DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2))
        #expect(shapes[GEMMShape(m: 5, n: 4, k: 4, transposeB: true)] == 1)
        #expect(shapes[GEMMShape(m: 4, n: 4, k: 5, transposeA: true)] == 2)
    }

    /// Parameters under which a product comes out wrong must not win.
    @Test func wrongProductsAreFound() throws {
        if TestDevice.isSmall { return }
        try TestDevice.with(.cpu16, gemm: "clblast") { device in
            let shapes = [GEMMShape(m: 13, n: 33, k: 17, transposeB: true), GEMMShape(m: 5, n: 7, k: 9, batch: 3)]
            let bench = try TuningBench(shapes, device: device)
            guard case .times(let times) = bench.measure([1, 1]) else {
                Issue.record("products that are right are refused")
                return
            }
            #expect(times.count == 2 && times.allSatisfy { $0 > 0 })
            guard case .slow = bench.measure([1, 1], limit: 0) else {
                Issue.record("the limit is not kept")
                return
            }
            // Other operands give other products than those that are expected.
            try bench.memory.write([Float(3)], to: Storage("a", count: 13 * 17))
            guard case .wrong = bench.measure([1, 1]) else {
                Issue.record("a wrong product goes unseen")
                return
            }
        }
    }
}
