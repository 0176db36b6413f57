import TestSupport
import Testing

@testable import DriftGPU

/// What is measured on GPUs, on a device where the answers are known.
@Suite(.serialized, .enabled(if: !TestDevice.isSmall)) struct ProbeTests {
    private func onDevice<Result>(_ body: (Device) throws -> Result) throws -> Result {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let driver = device.commands.driver
            defer { device.commands.driver = driver }
            return try body(device)
        }
    }

    @Test func launchesAreCounted() throws {
        try onDevice { device in
            let probe = try LaunchProbe(device, depths: [1, 8], rounds: 2)
            #expect(probe.depths.map(\.depth) == [1, 8])
            #expect(probe.depths.allSatisfy { $0.issue > 0 && $0.issue <= $0.total })
            #expect(probe.roundTrip == probe.depths[0].total && probe.queued <= probe.roundTrip)
        }
    }

    @Test func transfersTakeTime() throws {
        try onDevice { device in
            let probe = try TransferProbe(device, bytes: 1 << 16, repetitions: 2)
            let pinned = try #require(probe.pinned)
            for pair in [probe.pageable, pinned, probe.word] { #expect(pair.write > 0 && pair.read > 0) }
            #expect(probe.deviceCopy > 0 && probe.rate(0.5) == Double(2 << 16))
        }
    }

    @Test func buffersAreTriedUpToTheFirstThatFails() throws {
        let sizes = AllocationProbe.sizes(stated: 1 << 32, memory: 20 << 30)
        #expect(sizes.first == 1 << 32 && sizes == sizes.sorted() && sizes.allSatisfy { $0 % 4 == 0 && $0 <= 18 << 30 })
        #expect(AllocationProbe.sizes(stated: 0, memory: 1 << 30) == [])
        try onDevice { device in
            let probe = try AllocationProbe(device)
            #expect(probe.stated == device.about.maxAllocation && probe.memory == device.about.globalMemory)
            #expect(probe.attempts.dropLast().allSatisfy { $0.failure == nil })
            #expect(probe.largest == probe.attempts.filter { $0.failure == nil }.last?.bytes ?? 0)
        }
    }

    @Test func fillsAreReadBack() throws {
        #expect(FillProbe.places(words: 550_000_000) == [0, 275_000_000, (1 << 29) - 1, 1 << 29, 549_999_999])
        #expect(FillProbe.places(words: 1) == [0, 0, 0])
        try onDevice { device in
            var steps: [String] = []
            let probe = try FillProbe(device, bytes: 4098) { steps.append($0) }
            #expect(probe.bytes == 4096 && probe.once != nil && probe.inPieces != nil && probe.failures == [])
            #expect(steps == ["in pieces: filling 4096 bytes", "at once: filling 4096 bytes"])
            // A driver that leaves out the end.
            let fill = device.commands.driver.fill
            device.commands.driver.fill = { fill($0, $1, $2, $3, $4 - 4) }
            let wrong = try FillProbe(device, bytes: 4096)
            #expect(wrong.once == nil && wrong.inPieces == nil && wrong.failures.count == 2)
            #expect(wrong.failures.allSatisfy { $0.contains("word 1023 is ") })
        }
    }

    /// A binary that the driver gave is taken back; no CPU has PTX.
    @Test func binariesAreFedBack() throws {
        try onDevice { device in
            let probe = try BinaryProbe(device)
            if device.about.kind == .cpu {
                #expect(probe.directives == [] && probe.entries.map(\.name) == ["as it is"])
                #expect(AssemblyProbe(device).entries.isEmpty)
            }
            #expect(probe.entries.first?.failure == nil)
        }
    }

    @Test func whatDoesNotBuildSaysWhy() throws {
        try onDevice { device in
            let error = #expect(throws: DeviceError.self) { _ = try ProbeProgram("wrong", source: "__kernel void x( {", on: device) }
            #expect(error?.description.hasPrefix("wrong does not build (CL_BUILD_PROGRAM_FAILURE)") == true)
        }
    }

    @Test func complaintsAreOneLine() {
        let log = "assembly does not build (CL_BUILD_PROGRAM_FAILURE): \n  ptxas application ptx input, line 30; error   : Feature 'wgmma' not supported\nptxas fatal"
        #expect(AssemblyProbe.complaint(log) == "ptxas application ptx input, line 30; error   : Feature 'wgmma' not supported")
        #expect(AssemblyProbe.complaint("no words\nof it") == "no words" && AssemblyProbe.complaint("") == "")
    }

    private static let ptx = """
        //
        .version 7.8
        .target sm_90, texmode_independent
        .address_size 64

        .entry reversed(
        \t.param .u64 .ptr .global .align 4 reversed_param_0
        )
        {
        \tst.global.u32 \t[%rd3], %r1;
        \tret;
        }
        \0
        """

    @Test func ptxIsRetargeted() throws {
        let text = try #require(PTXText(Array(Self.ptx.utf8)))
        #expect(text.directives == [".version 7.8", ".target sm_90, texmode_independent", ".address_size 64"])
        let other = text.retargeted("sm_90a")
        #expect(other.directives == [".version 8.0", ".target sm_90a, texmode_independent", ".address_size 64"])
        let changed = other.inserting("wgmma.fence.sync.aligned;")
        #expect(changed.lines.count == text.lines.count + 1)
        let place = try #require(changed.lines.firstIndex(of: "\tret;"))
        #expect(changed.lines[place - 1] == "\twgmma.fence.sync.aligned;")
        #expect(PTXText([0x7F, 0x45, 0x4C, 0x46, 0]) == nil && PTXText([]) == nil)
    }
}
