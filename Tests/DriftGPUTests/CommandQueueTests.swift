import COpenCL
import TestSupport
import Testing

@testable import DriftGPU

@Suite(.serialized) struct CommandQueueTests {
    /// A device whose writes are staged and whose queue is as it was afterwards, and memory on it.
    private func with(_ body: (Device, DeviceMemory) throws -> Void) throws {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let queue = device.commands
            let (driver, staging, fill, allocation, isPinning) = (
                queue.driver, queue.stagingLimit, queue.fillLimit, device.allocationLimit, queue.isPinning
            )
            try device.finish()
            queue.isPinning = false
            defer {
                (queue.driver, queue.stagingLimit, queue.fillLimit) = (driver, staging, fill)
                queue.isPinning = isPinning
                device.allocationLimit = allocation
                try? device.finish()
            }
            try body(device, DeviceMemory(device))
        }
    }

    @Test("rounds of write, run and read hold no host memory")
    func rounds() throws {
        try with { device, memory in
            let graph = Graph()
            let x = try graph.input("x", [1 << 14])
            let y = try graph.scale(x, by: 2)
            graph.output(y)
            let executor = try memory.executor(graph)
            for round in 0..<100 {
                try executor.write([Float](repeating: Float(round), count: x.count), to: x)
                #expect(device.stagedBytes > 0)
                try executor.run()
                #expect(try executor.read(y) == [Float](repeating: Float(2 * round), count: x.count))
                #expect(device.stagedBytes == 0)
            }
        }
    }

    @Test("a gigabyte of writes alone holds no more than the limit")
    func writesAlone() throws {
        try with { device, memory in
            let piece = [UInt32](repeating: 7, count: 4 << 20)
            let storage = Storage("x", count: piece.count, element: .uint32)
            var most = 0
            for _ in 0..<64 {
                try memory.write(piece, to: storage)
                most = max(most, device.stagedBytes)
            }
            #expect(most <= 256 << 20 && most > 128 << 20, "\(most)")
        }
    }

    @Test("small writes count with what each takes, and all of them arrive", arguments: [1, 10, 1000])
    func smallWrites(_ count: Int) throws {
        try with { device, memory in
            device.commands.stagingLimit = 1 << 14
            let storage = Storage("x", count: 1000 * count, element: .uint32)
            for part in 0..<1000 {
                try memory.write([UInt32](repeating: UInt32(part), count: count), to: storage, at: part * count)
                #expect(device.stagedBytes <= 1 << 14)
            }
            let values = try memory.read(UInt32.self, from: storage)
            #expect(values == (0..<(1000 * count)).map { UInt32($0 / count) })
        }
    }

    @Test("a write above the limit is not copied")
    func largeWrite() throws {
        try with { device, memory in
            device.commands.stagingLimit = 1000
            let storage = Storage("x", count: 1000, element: .uint32)
            try memory.write([UInt32](repeating: 1, count: 100), to: storage, at: 900)
            #expect(device.stagedBytes > 400)
            try memory.write((0..<900).map { UInt32($0) }, to: storage)
            #expect(device.stagedBytes == 0)
            #expect(try memory.read(UInt32.self, from: storage) == (0..<900).map { UInt32($0) } + [UInt32](repeating: 1, count: 100))
        }
    }

    @Test("bytes stay until the queue is known to have passed them")
    func failures() throws {
        try with { device, memory in
            let storage = Storage("x", count: 10)
            let driver = device.commands.driver
            try memory.write([Float](repeating: 1, count: 10), to: storage)
            let staged = device.stagedBytes
            #expect(staged > 0)
            device.commands.driver.finish = { _ in -36 }
            let finish = #expect(throws: OpenCLError.self) { try device.finish() }
            #expect(finish?.description == "queue on \(device.about.name): CL_INVALID_COMMAND_QUEUE")
            device.commands.driver.read = { _, _, _, _, _ in -5 }
            let read = #expect(throws: OpenCLError.self) { try memory.read(Float.self, from: storage) }
            #expect(read?.description == "reading buffer x: CL_OUT_OF_RESOURCES")
            #expect(device.stagedBytes == staged)
            device.commands.driver = driver
            #expect(try memory.read(Float.self, from: storage) == [Float](repeating: 1, count: 10))
            #expect(device.stagedBytes == 0)
        }
    }

    @Test("what a driver reports of a kernel when the queue is flushed is an error of the run")
    func flush() throws {
        try with { device, memory in
            let graph = Graph()
            graph.output(try graph.scale(graph.input("x", [4]), by: 2))
            let executor = try memory.executor(graph)
            try executor.run()
            device.commands.driver.flush = { _ in -9999 }
            let error = #expect(throws: OpenCLError.self) { try executor.run() }
            #expect(error?.code == -9999 && error?.subject == "queue on \(device.about.name)")
        }
    }

    @Test("waiting for the queue waits for what was flushed before")
    func finishAfterFlush() throws {
        try with { device, memory in
            let graph = Graph()
            graph.output(try graph.scale(graph.input("x", [1 << 16]), by: 2))
            let executor = try memory.executor(graph)
            try executor.run()
            try device.finish()
            for _ in 0..<20 {
                for _ in 0..<20 { try executor.run() }
                var event: cl_event?
                try OpenCLError.check(clEnqueueMarkerWithWaitList(device.queue, 0, nil, &event), "marker")
                defer { clReleaseEvent(event) }
                try device.commands.flush()
                try device.finish()
                var status: cl_int = -1
                try OpenCLError.check(
                    clGetEventInfo(event, cl_event_info(CL_EVENT_COMMAND_EXECUTION_STATUS), 4, &status, nil), "marker")
                #expect(status == CL_COMPLETE)
            }
        }
    }

    @Test("buffers are filled in pieces below the limit")
    func pieces() throws {
        try with { device, _ in
            let fill = device.commands.driver.fill
            var pieces: [(start: Int, count: Int)] = []
            device.commands.driver.fill = { queue, buffer, pattern, start, count in
                pieces.append((start, count))
                return fill(queue, buffer, pattern, start, count)
            }
            #expect(device.commands.fillLimit < 1 << 31 && device.commands.fillLimit % 4 == 0)
            device.commands.fillLimit = 1024
            let buffer = try Buffer(device, name: "x", byteCount: 10_000, fill: 0xABCD_1234)
            #expect(pieces.map(\.start) == (0..<10).map { $0 * 1024 })
            #expect(pieces.map(\.count) == [Int](repeating: 1024, count: 9) + [784])
            var words = [UInt32](repeating: 0, count: 2500)
            try words.withUnsafeMutableBytes { try device.read(buffer, at: 0, into: $0) }
            #expect(words.allSatisfy { $0 == 0xABCD_1234 })

            let before = device.allocatedBytes
            device.commands.driver.fill = { _, _, _, start, _ in start >= 2048 ? -4 : 0 }
            let error = #expect(throws: DeviceError.self) { try Buffer(device, name: "y", byteCount: 10_000) }
            #expect(error?.description.contains("has no room for 10000 bytes") == true)
            #expect(device.allocatedBytes == before)
        }
    }

    @Test("one limit says which buffers are asked for")
    func allocationLimit() throws {
        try with { device, _ in
            device.allocationLimit = 4096
            let before = device.allocatedBytes
            _ = try Buffer(device, name: "small", byteCount: 4096)
            let error = #expect(throws: DeviceError.self) { try Buffer(device, name: "large", byteCount: 4097) }
            #expect(error?.description.contains("buffer large: 4100 bytes") == true)
            #expect(device.allocatedBytes == before)
        }
        try TestDevice.alone {
            func options(_ value: String) -> Device.Options { Device.Options(environment: ["DRIFTGPU_ALLOCATION": value]) }
            let about = try DeviceDescription.choose(TestDevice.choice)
            #expect(try Device(about, options: options("try")).allocationLimit == about.globalMemory)
            #expect(try Device(about, options: options("promised")).allocationLimit == about.maxAllocation)
            let usual = about.kind == .gpu ? about.globalMemory : about.maxAllocation
            #expect(try Device(about, options: options("")).allocationLimit == usual)
            let error = #expect(throws: DeviceError.self) { try Device(about, options: options("all")) }
            #expect(error?.description == "DRIFTGPU_ALLOCATION=all: unknown; use try or promised, or unset it")
        }
    }

    @Test("a buffer that the device does not promise is tried; where it is refused, one line says so and the limit falls")
    func tried() throws {
        try with { device, _ in
            let promised = device.about.maxAllocation
            let (large, before) = (promised + 4096, device.allocatedBytes)
            guard promised > 0, device.about.globalMemory - before > large else { return }
            device.allocationLimit = device.about.globalMemory
            // The driver makes the buffer, and has no memory for it when it is first used.
            var fills = 0
            device.commands.driver.fill = { _, _, _, _, _ in
                fills += 1
                return -4
            }
            #expect(device.gives(promised) && fills == 0)
            let error = #expect(throws: (any Error).self) { try Buffer(device, name: "arena", byteCount: large) }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.hasPrefix("buffer arena: \(device.about.name) promises \(promised) bytes") && !text.contains("\n"), "\(text)")
            #expect(!device.gives(large) && device.allocationLimit == promised)
            #expect(!device.gives(large) && device.allocatedBytes == before)
        }
    }

    @Test("writes through pinned memory arrive whole, and a block is used again only when the queue has passed it")
    func pinned() throws {
        try TestDevice.alone {
            let device = try Device(DeviceDescription.choose(TestDevice.choice), options: TestDevice.options)
            #expect(device.commands.isPinning != device.about.sharesHostMemory)
            device.commands.isPinning = true
            let ring = try #require(PinnedRing(device.context, device.queue, blocks: 3, blockBytes: 1024))
            device.commands.makeRing = { _, _ in ring }
            let memory = DeviceMemory(device)
            let graph = Graph()
            let (x, wide) = (try graph.input("x", [2000]), try graph.input("wide", [1 << 20]))
            let (y, slow) = (try graph.scale(x, by: 2), try graph.scale(wide, by: 2))
            [y, slow].forEach(graph.output)
            let executor = try memory.executor(graph)
            var random = TestRandom(5)
            for count in [1, 16, 17, 255, 256, 257, 768, 1000, 2000] {
                var written = [Float](repeating: 0, count: 2000)
                try executor.write(written, to: x)
                // The queue is behind: what a block holds is overwritten too early if nobody waits.
                for _ in 0..<3 { try executor.run() }
                for start in stride(from: 0, to: 2000, by: count) {
                    let part = (start..<min(start + count, 2000)).map { _ in Float(random.normal()) }
                    written.replaceSubrange(start..<(start + part.count), with: part)
                    try memory.write(part, to: Storage("x", count: 2000), at: start)
                }
                try executor.run()
                #expect(try executor.read(y) == written.map { 2 * $0 }, "pieces of \(count)")
                #expect(device.stagedBytes == 0)
            }
            // 8000 bytes at once are more than three blocks.
            #expect(ring.waits > 40, "\(ring.waits)")
        }
    }

    @Test("a device that gives no pinned memory is written to all the same")
    func notPinned() throws {
        try TestDevice.alone {
            let device = try Device(DeviceDescription.choose(TestDevice.choice), options: TestDevice.options)
            device.commands.isPinning = true
            device.commands.makeRing = { _, _ in nil }
            let (memory, storage) = (DeviceMemory(device), Storage("x", count: 3))
            try memory.write([1, 2, 3] as [Float], to: storage)
            #expect(device.stagedBytes > 0 && !device.commands.isPinning)
            #expect(try memory.read(Float.self, from: storage) == [1, 2, 3])
        }
    }
}
