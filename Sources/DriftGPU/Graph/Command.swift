/// Least work a launch does: bytes that must cross the memory bus once, and floating-point operations.
public struct Traffic: Sendable, Hashable {
    public var bytes: Int
    public var flops: Int
    public init(bytes: Int = 0, flops: Int = 0) {
        self.bytes = bytes
        self.flops = flops
    }
}

/// A kernel argument. A tensor becomes two: its buffer and its offset in elements.
public enum Argument: Sendable, Hashable {
    /// Input i of the node, from an element offset on.
    case input(Int, offset: Int = 0)
    case output(Int, offset: Int = 0)
    case scratch(Int, offset: Int = 0)
    case int(Int)
    case float(Float)
    /// Local memory of so many bytes.
    case local(Int)
}

/// One kernel launch.
public struct Launch: Sendable, Hashable {
    /// Function name.
    public var kernel: String
    /// The .cl file's name, without ending.
    public var family: String
    /// -D values beyond those of the device.
    public var defines: [String: String]
    public var arguments: [Argument]
    public var global: [Int]
    public var local: [Int]
    /// Where the kernel's 32-bit loops over rows, blocks of rows or groups end. A schedule refuses what 32 bits do not hold;
    /// integer arguments are looked at by themselves, offsets of elements are calculated in 64 bits.
    public var indices: Int
    public var traffic: Traffic

    public init(
        kernel: String, family: String, defines: [String: String] = [:], arguments: [Argument], global: [Int],
        local: [Int], indices: Int = 0, traffic: Traffic = Traffic()) {
        self.kernel = kernel
        self.family = family
        self.defines = defines
        self.arguments = arguments
        self.global = global
        self.local = local
        self.indices = indices
        self.traffic = traffic
    }
}

/// One entry of the replayed list.
public enum Command: Sendable {
    case kernel(Launch)
    /// A matrix product by the BLAS library of the device.
    case library(GEMM)

    public var traffic: Traffic {
        switch self {
        case .kernel(let launch): launch.traffic
        case .library(let gemm): gemm.traffic
        }
    }
}
