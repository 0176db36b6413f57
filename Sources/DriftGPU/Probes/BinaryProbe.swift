import COpenCL

/// What becomes of a binary that is fed back to the driver, and whether PTX for another target can be brought in that way.
public struct BinaryProbe: Codable, Sendable {
    /// One binary: what the driver said; nil where its kernel gave the right numbers.
    public struct Entry: Codable, Sendable {
        public let name: String
        public let failure: String?
    }

    /// The lines of the driver's own binary that say what it is, where that is PTX: `.version`, `.target`.
    public let directives: [String]
    public let entries: [Entry]

    /// Builds a small kernel on `device`, and feeds back what came out: as it is and, where it is PTX, for sm_90a and with an
    /// instruction that only this target has.
    public init(_ device: Device) throws {
        let program = try ProbeProgram("the probe of binaries", source: Self.source, on: device)
        let binary = try program.binary()
        let text = PTXText(binary)
        directives = text?.directives ?? []
        var forms = [("as it is", binary)]
        if let text {
            let retargeted = text.retargeted("sm_90a")
            forms += [
                ("PTX for sm_90a", retargeted.bytes),
                ("PTX for sm_90a with wgmma.fence", retargeted.inserting("wgmma.fence.sync.aligned;").bytes),
            ]
        }
        entries = forms.map { name, bytes in
            do {
                try Self.run(bytes, name, on: device)
                return Entry(name: name, failure: nil)
            } catch {
                return Entry(name: name, failure: AssemblyProbe.complaint("\(error)"))
            }
        }
    }

    private static let items = 128

    /// Every item of four warps stores its number in another place than its own.
    private static let source =
        "__kernel void reversed(__global uint *x) { x[get_global_size(0) - 1 - get_global_id(0)] = get_global_id(0); }"

    private static func run(_ binary: [UInt8], _ name: String, on device: Device) throws {
        guard !binary.isEmpty else { throw DeviceError("the driver gives no binary") }
        let program = try ProbeProgram(name, binary: binary, on: device)
        let kernel = try program.kernel("reversed")
        defer { clReleaseKernel(kernel) }
        let memory = try ProbeMemory(device, byteCount: 4 * items)
        try device.launchProbe(kernel, [.memory(memory)], items: items, group: items)
        try device.finish()
        for place in [0, 1, 77, items - 1] {
            let value = try memory.word(place)
            let wanted = UInt32(items - 1 - place)
            guard value == wanted else { throw DeviceError("word \(place) is \(value), not \(wanted)") }
        }
    }
}

/// A program of NVIDIA's driver as text.
struct PTXText {
    private(set) var lines: [String]

    /// Nil where `bytes` are no PTX.
    init?(_ bytes: [UInt8]) {
        let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard directives.contains(where: { $0.hasPrefix(".target") }) else { return nil }
    }

    var bytes: [UInt8] { Array(lines.joined(separator: "\n").utf8) }

    /// `.version`, `.target` and `.address_size`.
    var directives: [String] {
        lines.filter { line in [".version", ".target", ".address_size"].contains { line.hasPrefix($0) } }
    }

    /// For another target, whose version of PTX is 8.0 at least.
    func retargeted(_ target: String) -> PTXText {
        var text = self
        text.lines = lines.map { line in
            if line.hasPrefix(".target") {
                let others = line.split(separator: ",").dropFirst().joined(separator: ",")
                return ".target \(target)" + (others.isEmpty ? "" : ",\(others)")
            }
            let version = line.hasPrefix(".version") ? Double(line.split(separator: " ").last ?? "") : nil
            return version.map { $0 < 8 } == true ? ".version 8.0" : line
        }
        return text
    }

    /// With an instruction before every `ret;`.
    func inserting(_ instruction: String) -> PTXText {
        var text = self
        text.lines = lines.flatMap { line in
            line.split(separator: " ").joined().filter { $0 != "\t" } == "ret;" ? ["\t" + instruction, line] : [line]
        }
        return text
    }
}
