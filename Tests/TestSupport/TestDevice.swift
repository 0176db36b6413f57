import Checks
import DriftGPU
import Foundation

/// The shapes in which every kernel is tested: three vector widths of the CPU shape, and the GPU shape.
public enum TeamShape: String, CaseIterable, Sendable {
    case cpu16, cpu8, cpu4, gpu

    fileprivate var options: Device.Options {
        var options = TestDevice.options
        options.gemm = "native"
        switch self {
        case .cpu16: (options.team, options.lanes) = ("cpu", 16)
        case .cpu8: (options.team, options.lanes) = ("cpu", 8)
        case .cpu4: (options.team, options.lanes) = ("cpu", 4)
        case .gpu: options.team = "gpu"
        }
        return options
    }
}

/// Devices opened once for the whole test run and lent to one test at a time. DRIFTGPU_TEST_DEVICE chooses another than
/// the default; DRIFTGPU_TEST_SHAPES (a comma-separated list) tests fewer shapes.
public enum TestDevice {
    private static let lock = NSLock()
    nonisolated(unsafe) private static var devices: [String: Device] = [:]

    public static let shapes: [TeamShape] = {
        let wanted = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_SHAPES"] ?? ""
        let chosen = wanted.split(separator: ",").compactMap { TeamShape(rawValue: String($0)) }
        return chosen.isEmpty ? TeamShape.allCases : chosen
    }()

    /// The first CPU shape and the GPU shape of `shapes`: for whole models, whose operations are tested in every shape.
    public static let teams: [TeamShape] = shapes.filter { $0 == .gpu || $0 == shapes.first { $0 != .gpu } }

    /// The device under test, as `DeviceDescription.choose` takes it.
    public static let choice = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_DEVICE"] ?? "cpu"

    /// What tests open devices with: nothing of the environment, except how many threads may build programs.
    public static var options: Device.Options {
        Device.Options(environment: ProcessInfo.processInfo.environment.filter { $0.key == "DRIFTGPU_BUILD" })
    }

    /// DRIFTGPU_TEST_SMALL=1: small cases only and no central differences, for devices that interpret every instruction.
    public static let isSmall = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_SMALL"] == "1"

    /// Runs `body` while no other test uses a device: for tests that open devices of their own.
    public static func alone<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }

    /// DRIFTGPU_TEST_TENSOR=1: tests of tensor cores take the device's own instead of emulating them.
    private static let hasTensorCores = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_TENSOR"] == "1"

    public static func with<Result>(
        _ shape: TeamShape, gemm: String = "native", precision: Precision = .fp32, _ body: (Device) throws -> Result
    ) throws -> Result {
        lock.lock()
        defer { lock.unlock() }
        let key = shape.rawValue + gemm + precision.rawValue
        if let device = devices[key] { return try body(device) }
        var options = shape.options
        options.gemm = gemm
        options.kernels = ProcessInfo.processInfo.environment["DRIFTGPU_KERNELS"]
        options.precision = precision
        options.tensor = hasTensorCores ? nil : "emulate"
        let device = try Device(DeviceDescription.choose(choice), options: options)
        devices[key] = device
        return try body(device)
    }
}

/// The generator of test data.
public typealias TestRandom = SplitMix64
