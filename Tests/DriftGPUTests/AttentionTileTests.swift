import COpenCL
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct AttentionTileTests {
    private static func tile(
        _ kernel: AttentionTile.Kernel, _ headDim: Int, own: Int = 300, other: Int = 300, local: Int = 32 << 10
    ) -> AttentionTile {
        let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2, localMemory: local)
        return AttentionTile(kernel, headDim: headDim, own: own, other: other, traits: traits)
    }

    @Test(arguments: AttentionTile.Kernel.allCases) func fitsLocalMemory(_ kernel: AttentionTile.Kernel) {
        for headDim in 1...128 {
            for local in [12 << 10, 16 << 10, 32 << 10] {
                #expect(Self.tile(kernel, headDim, local: local).localBytes <= local)
            }
            // 32 KiB cost no block its size.
            #expect(Self.tile(kernel, headDim) == Self.tile(kernel, headDim, local: 1 << 20))
        }
    }

    @Test func blocksAreNoLargerThanTheSides() {
        let whole = Self.tile(.forward, 64)
        #expect((whole.ownRows, whole.tileRows) == (64, 64))
        let small = Self.tile(.forward, 64, own: 17, other: 16)
        #expect((small.ownRows, small.tileRows) == (32, 16))
        #expect(Self.tile(.forward, 64, own: 1, other: 1).ownRows == 16)
    }

    /// What the device counts is what the tile said, or less: not every kernel has every array.
    @Test(arguments: AttentionTile.Kernel.allCases) func localBytesAreThoseOfTheKernels(_ kernel: AttentionTile.Kernel) throws {
        try TestDevice.with(.gpu) { device in
            for (headDim, own, other) in [(64, 300, 300), (80, 35, 35), (12, 5, 5)] {
                let tile = AttentionTile(
                    kernel, headDim: headDim, own: own, other: other, traits: device.traits)
                let defines = tile.defines.merging(["HEAD_DIM": "\(headDim)", "DROPOUT": "1"]) { $1 }
                let handle = try device.makeKernel(
                    "attention_\(kernel.rawValue)", family: "attention\(kernel.familySuffix)", defines: defines)
                defer { clReleaseKernel(handle) }
                var bytes: cl_ulong = 0
                let status = clGetKernelWorkGroupInfo(
                    handle, device.about.id, cl_kernel_work_group_info(CL_KERNEL_LOCAL_MEM_SIZE), 8, &bytes, nil)
                #expect(status == CL_SUCCESS)
                #expect(Int(bytes) <= tile.localBytes && Int(bytes) + 1024 >= tile.localBytes)
            }
        }
    }
}
