import TestSupport
import Testing

@testable import DriftAR
@testable import DriftGPU

@Suite(.serialized) struct GradientCheckpointingTests {
    @Test("recomputed blocks give the same bits, dropout included, in both phases", arguments: TinyRun.allCases, [TeamShape.cpu16, .gpu])
    func sameBits(_ kind: TinyRun, _ shape: TeamShape) throws {
        if TestDevice.shapes.contains(shape) { try compare(kind, shape, .fp32) }
    }

    @Test("and so they do with rounded products", .enabled(if: TestDevice.shapes.contains(.gpu)))
    func sameBitsRounded() throws { try compare(.pixels, .gpu, .bf16) }

    private func compare(_ kind: TinyRun, _ shape: TeamShape, _ precision: Precision) throws {
        try TestDevice.with(shape, precision: precision) { device in
            var arenas: [Int] = []
            let snapshots = try [false, true].map { recomputes in
                let trainer = try kind.trainer(device) { ($0.run.gradCheckpointing, $0.network.dropout) = (recomputes, kind == .dit ? 0 : 0.3) }
                arenas.append(try trainer.schedules()[0].plan.arenaBytes)
                var snapshots: [[String: [Float]]] = []
                // The first steps are of phase I, the last of phase II.
                for _ in 0..<6 {
                    try trainer.advance()
                    snapshots.append(try trainer.snapshot())
                }
                return snapshots
            }
            for (step, (kept, recomputed)) in zip(snapshots[0], snapshots[1]).enumerated() {
                #expect(isSame(kept, recomputed), "step \(step + 1)")
            }
            #expect(arenas[1] < arenas[0], "\(arenas)")
        }
    }

    @Test("what a deep model keeps hardly grows with its depth")
    func deep() throws {
        func arena(_ depth: Int, _ recomputes: Bool) throws -> Int {
            var configuration = Configuration()
            configuration.stage.label?.encoderDepth = depth
            configuration.head.depth = depth
            configuration.run.gradCheckpointing = recomputes
            let traits = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)
            return try Trainer.plannedSchedules(configuration, traits: traits, gemm: NativeGEMM())[0].plan.arenaBytes
        }
        let (kept, recomputed) = (try arena(8, false) - arena(4, false), try arena(8, true) - arena(4, true))
        #expect(recomputed > 0 && recomputed * 6 < kept, "\(recomputed) of \(kept) bytes for four blocks more")
    }
}
