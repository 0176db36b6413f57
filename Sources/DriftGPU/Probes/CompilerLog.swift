/// What a compiler says a kernel takes, read from a build log: what ptxas prints with --verbose (-cl-nv-verbose).
public struct KernelResources: Codable, Sendable, Equatable {
    public let kernel: String
    public var registers: Int?
    /// Bytes of local memory of a work-item: its stack, and what of it are registers that found no place.
    public var stack: Int?
    public var spillStores: Int?
    public var spillLoads: Int?
    /// Bytes of local memory of a work-group that the kernel declares itself.
    public var shared: Int?

    init(_ kernel: String) { self.kernel = kernel }

    /// Whether registers had to be kept in memory.
    public var isSpilling: Bool { (spillStores ?? 0) > 0 || (spillLoads ?? 0) > 0 }

    /// The kernels that a log speaks of, in its order.
    static func all(in log: String) -> [KernelResources] {
        var found: [KernelResources] = []
        for line in log.split(whereSeparator: \.isNewline) {
            if let name = quoted(line, after: "Compiling entry function '") {
                found.append(KernelResources(name))
            } else if let last = found.indices.last {
                found[last].read(line)
            }
        }
        return found
    }

    private static func quoted(_ line: Substring, after start: String) -> String? {
        guard let range = line.firstRange(of: start) else { return nil }
        return String(line[range.upperBound...].prefix { $0 != "'" })
    }

    /// Takes what a line says in the form `NUMBER WORDS`, for example `Used 40 registers, 344 bytes cmem[0]`.
    private mutating func read(_ line: Substring) {
        func number(before words: String) -> Int? {
            guard let range = line.firstRange(of: " " + words) else { return nil }
            let digits = line[..<range.lowerBound].reversed().prefix { $0.isASCII && $0.isNumber }
            return Int(String(digits.reversed()))
        }
        registers = number(before: "registers") ?? registers
        stack = number(before: "bytes stack frame") ?? stack
        spillStores = number(before: "bytes spill stores") ?? spillStores
        spillLoads = number(before: "bytes spill loads") ?? spillLoads
        shared = number(before: "bytes smem") ?? shared
    }
}
