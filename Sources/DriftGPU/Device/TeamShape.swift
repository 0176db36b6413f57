extension DeviceTraits {
    /// The shape in which `device` runs: work-groups of 64 with local memory on GPUs, single work-items with wide vectors on
    /// CPUs and on whatever takes no groups of `gpuWorkGroupSize`. `team` (`cpu` or `gpu`) and `lanes` (4, 8 or 16) choose
    /// otherwise. Throws a `DeviceError` where they cannot be had.
    init(_ device: DeviceDescription, team: String?, lanes: Int?) throws {
        try self.init(
            isCPU: device.kind == .cpu, name: device.name, vectorWidth: device.vectorWidth,
            maxWorkGroupSize: device.maxWorkGroupSize, computeUnits: device.computeUnits, localMemory: device.localMemory,
            team: team, lanes: lanes)
    }

    /// The same from what it looks at.
    init(
        isCPU: Bool, name: String, vectorWidth: Int, maxWorkGroupSize: Int, computeUnits: Int, localMemory: Int,
        team: String?, lanes: Int?
    ) throws {
        let fits = maxWorkGroupSize >= Self.gpuWorkGroupSize
        let isGPU: Bool
        switch team {
        case "gpu": isGPU = true
        case "cpu": isGPU = false
        case nil: isGPU = !isCPU && fits
        case let other?: throw DeviceError("DRIFTGPU_TEAM=\(other): unknown team shape; use cpu or gpu")
        }
        if let lanes, ![4, 8, 16].contains(lanes) { throw DeviceError("DRIFTGPU_LANES\(lanes > 0 ? "=\(lanes)" : ""): take 4, 8 or 16, or unset it") }
        guard !isGPU || fits else {
            throw DeviceError(
                "DRIFTGPU_TEAM=gpu: \(name) takes work-groups of \(maxWorkGroupSize) items, the GPU shape needs \(Self.gpuWorkGroupSize); unset DRIFTGPU_TEAM")
        }
        let native = vectorWidth >= 16 ? 16 : vectorWidth >= 8 ? 8 : 4
        self.init(
            teamSize: isGPU ? 64 : 1, lanes: isGPU ? 4 : lanes ?? native, computeUnits: computeUnits,
            localMemory: localMemory, maxWorkGroupSize: maxWorkGroupSize)
    }
}
