import Testing
@testable import DriftGPU

@Suite struct KernelProgramTests {
    private func launch(_ kernel: String, _ family: String, _ defines: [String: String], items: [Int], local: [Int] = []) -> Launch {
        Launch(
            kernel: kernel, family: family, defines: defines, arguments: [.int(1)] + local.map { .local($0) }, global: items,
            local: items)
    }

    @Test func mentionsOfAProgramBecomeOne() {
        let launches = [
            launch("b_two", "b", ["X": "1"], items: [64]), launch("b_one", "b", ["X": "1"], items: [16, 4], local: [8, 4]),
            launch("a_one", "a", [:], items: [64]), launch("b_two", "b", ["X": "1"], items: [32]),
            launch("b_two", "b", ["X": "1"], items: [64]), launch("b_two", "b", ["X": "2"], items: [64]),
        ]
        let programs = KernelProgram.union(launches.map { KernelProgram($0) })
        #expect(programs.map(\.family) == ["a", "b", "b"])
        #expect(programs.map(\.definitions) == [[], ["-DX=1"], ["-DX=2"]])
        #expect(programs[1].kernels.map(\.name) == ["b_one", "b_two"])
        #expect(programs[1].kernels[0].groups == [.init(items: 64, localBytes: 12)])
        #expect(programs[1].kernels[1].groups == [.init(items: 32, localBytes: 0), .init(items: 64, localBytes: 0)])
        #expect(KernelProgram.union(programs + programs) == programs)
    }

    /// A schedule's programs are those of its launches, and a library's products are none.
    @Test func scheduleListsWhatItLaunches() throws {
        let graph = Graph()
        let x = try graph.input("x", [32, 64])
        graph.output(try graph.silu(graph.matrixMultiply(x, graph.input("w", [64, 64]))))
        let device = try PlannedDevice(.largeGPU)
        let schedule = try device.schedule(graph)
        let launched = schedule.steps.flatMap(\.commands).compactMap { command -> String? in
            guard case .kernel(let launch) = command else { return nil }
            return launch.kernel
        }
        #expect(!launched.isEmpty && launched.count < schedule.launches)
        #expect(schedule.programs.flatMap(\.kernels).map(\.name) == launched)
        #expect(try device.programs([graph]) == schedule.programs)
    }

    @Test func plannedDeviceTakesTensorCoresInTheGPUShape() throws {
        let graph = Graph()
        graph.output(try graph.matrixMultiply(graph.input("x", [64, 64]), graph.input("w", [64, 64])))
        let programs = try PlannedDevice(.largeGPU, precision: .bf16).programs([graph])
        #expect(programs.map(\.family) == ["gpu_gemm_mma", "gpu_mma"])
        #expect(programs.allSatisfy { $0.defines["MMA_PTX"] == "1" && $0.defines["MMA_BF16"] == "1" })
        #expect(programs[1].kernels == [.init(name: "mma_check", groups: [.init(items: 128, localBytes: 0)])])
        let emulated = try PlannedDevice(.largeGPU, precision: .tf32, cores: .emulation).programs([graph])
        #expect(emulated.allSatisfy { $0.defines["MMA_PTX"] == nil && $0.defines["MMA_BF16"] == nil })
        #expect(try PlannedDevice(.largeGPU, gemm: "native").programs([graph]).map(\.family) == ["gemm"])
        #expect(throws: DeviceError.self) { try PlannedDevice(.largeGPU, gemm: "other") }
        #expect(throws: DeviceError.self) {
            try PlannedDevice(DeviceTraits(teamSize: 1, lanes: 8, computeUnits: 2), precision: .tf32)
        }
    }
}
