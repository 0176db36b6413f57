import DriftAR
import DriftGPU
import TestSupport
import Testing

@testable import DriftBench

@Suite struct PlannedProgramsTests {
    /// What a real training step builds is on the list made without a device.
    @Test(arguments: [TeamShape.cpu16, .gpu]) func trainingTakesNoOther(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let gemm = device.traits.isGPUShape ? "native" : nil
            let planned = try PlannedDevice(device.traits, gemm: gemm)
            let listed = try BenchmarkSize.programs([.digits], uses: [.training], devices: [planned])
            let configuration = BenchmarkSize.digits.configuration
            for schedule in try Trainer.plannedSchedules(configuration, traits: device.traits, gemm: device.gemm) {
                #expect(!schedule.programs.isEmpty)
                #expect(KernelProgram.union(listed + schedule.programs) == listed)
            }
        }
    }

    /// Every use adds kernels of its own, and sizes are added up.
    @Test func usesAndSizesAreAddedUp() throws {
        let device = try PlannedDevice(.largeGPU)
        func kernels(_ sizes: [BenchmarkSize], _ uses: [ModelUse]) throws -> Set<String> {
            Set(try BenchmarkSize.programs(sizes, uses: uses, devices: [device]).flatMap(\.kernels).map(\.name))
        }
        let all = try kernels([.digits, .dit], ModelUse.allCases)
        for use in ModelUse.allCases {
            let others = try kernels([.digits, .dit], ModelUse.allCases.filter { $0 != use })
            #expect(others.isStrictSubset(of: all), "\(use)")
            #expect(try kernels([.digits, .dit], [use]).isSubset(of: all))
        }
        #expect(try !kernels([.digits], [.training]).isSuperset(of: kernels([.dit], [.training])))
    }
}
