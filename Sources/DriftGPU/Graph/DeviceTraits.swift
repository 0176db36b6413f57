/// What an operation may ask of the device when it makes its commands. No OpenCL here: a schedule can be made and
/// printed without a device.
public struct DeviceTraits: Sendable, Hashable {
    /// Work-items of a team: 1 in the CPU shape, a power of two in the GPU shape.
    public var teamSize: Int
    /// Consecutive floats a work-item holds: 4, 8 or 16.
    public var lanes: Int
    public var computeUnits: Int
    /// Bytes of local memory a work-group may use.
    public var localMemory: Int
    /// Work-items of the largest work-group.
    public var maxWorkGroupSize: Int

    /// Work-items of the largest group that a kernel of the GPU shape asks for. Devices with smaller groups take the CPU
    /// shape, whose groups are single work-items.
    public static let gpuWorkGroupSize = 256

    public init(
        teamSize: Int, lanes: Int, computeUnits: Int, localMemory: Int = 32 << 10,
        maxWorkGroupSize: Int = Self.gpuWorkGroupSize
    ) {
        self.teamSize = teamSize
        self.lanes = lanes
        self.computeUnits = computeUnits
        self.localMemory = localMemory
        self.maxWorkGroupSize = maxWorkGroupSize
    }

    /// True for work-groups with local memory, false for single work-items with wide vectors.
    public var isGPUShape: Bool { teamSize > 1 }
    /// Teams that keep the device busy without making groups too small.
    public var teams: Int { isGPUShape ? computeUnits * 16 : computeUnits * 8 }
}
