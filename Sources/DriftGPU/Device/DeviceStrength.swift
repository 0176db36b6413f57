/// The order in which devices are taken without being asked for: GPUs before other accelerators before CPUs; then those with
/// memory of their own, since an integrated GPU has many small compute units; then by compute units times clock; then as
/// the drivers list them.
struct DeviceStrength: Comparable {
    let kind: DeviceDescription.Kind
    let sharesHostMemory: Bool
    let computeUnits: Int
    let clockRate: Int
    let index: Int

    private var key: (Int, Int, Int, Int) {
        let rank = kind == .gpu ? 2 : kind == .cpu ? 0 : 1
        // Where one driver does not say its clock, one megahertz leaves the order to the compute units.
        let (rate, isOverflow) = computeUnits.multipliedReportingOverflow(by: max(clockRate, 1))
        return (rank, sharesHostMemory ? 0 : 1, isOverflow ? .max : rate, -index)
    }

    static func < (left: DeviceStrength, right: DeviceStrength) -> Bool { left.key < right.key }
}
