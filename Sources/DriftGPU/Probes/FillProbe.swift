import COpenCL

/// One fill of more than 2^31 bytes, which some drivers never finish: run it in a process that can be ended.
public struct FillProbe: Codable, Sendable {
    /// More than 2^31.
    public static let bytes = 2_200_000_000

    public let bytes: Int
    /// Seconds of one clEnqueueFillBuffer; nil where it failed.
    public let once: Double?
    /// Seconds of the fills of at most 1 GiB that buffers are filled with; nil where they failed.
    public let inPieces: Double?
    /// What went wrong, or which word has another value than was filled in.
    public let failures: [String]

    /// Fills a buffer of `bytes` (whole words), first in pieces, then at once. `progress` is told what comes next, so that the
    /// output of a process that hangs says where.
    public init(_ device: Device, bytes: Int = Self.bytes, progress: (String) -> Void = { _ in }) throws {
        self.bytes = bytes & ~3
        let buffer = try ProbeMemory(device, byteCount: self.bytes)
        let handle = buffer.handle
        var failures: [String] = []
        func time(_ what: String, _ pattern: UInt32, _ fill: () -> cl_int) -> Double? {
            progress("\(what): filling \(buffer.byteCount) bytes")
            let places = Self.places(words: buffer.byteCount / 4)
            do {
                // Memory may hold the pattern from an earlier use. The first write also allocates, outside of the time.
                for place in places { try buffer.write(~pattern, at: place) }
                try device.finish()
                let seconds = try Self.seconds {
                    try OpenCLError.check(fill(), what)
                    try device.finish()
                }
                for place in places {
                    let read = try buffer.word(place)
                    if read != pattern { throw DeviceError("word \(place) is \(read), not \(pattern)") }
                }
                return seconds
            } catch {
                failures.append("\(what): \(error)")
                return nil
            }
        }
        inPieces = time("in pieces", 0x0102_0304) { device.commands.fill(handle, with: 0x0102_0304, byteCount: buffer.byteCount) }
        once = time("at once", 0x0A0B_0C0D) { device.commands.driver.fill(device.queue, handle, 0x0A0B_0C0D, 0, buffer.byteCount) }
        self.failures = failures
    }

    /// The first and the last word, and those on both sides of 2^31 bytes.
    static func places(words: Int) -> [Int] {
        [0, words / 2, (1 << 29) - 1, 1 << 29, words - 1].filter { $0 >= 0 && $0 < words }
    }

    private static func seconds(_ body: () throws -> Void) rethrows -> Double {
        try ContinuousClock().measure(body) / .seconds(1)
    }
}
