extension LaunchContext {
    /// A kernel that walks `items` with ITEM_FOR (flat.cl): a work-item each, `size` elements of work an item. `indices`
    /// where it counts anything else in 32 bits; see `Launch`.
    func itemLaunch(
        _ kernel: String, family: String, defines: [String: String] = [:], items: Int, size: Int = 1, indices: Int? = nil,
        arguments: [Argument], traffic: Traffic = Traffic()
    ) -> Command {
        // On a CPU at least 1024 elements a team: under that the dispatch costs more than the work.
        let perTeam = traits.isGPUShape ? traits.teamSize : max(1, 1024 / max(size, 1))
        return rowLaunch(
            kernel, family: family, defines: defines, rows: (items + perTeam - 1) / perTeam, indices: indices,
            arguments: arguments, traffic: traffic)
    }

    /// A kernel that walks rows with ROW_RUNS (flat.cl): a work-item for each vector of a row.
    func runLaunch(
        _ kernel: String, family: String, rows: Int, width: Int, indices: Int? = nil, arguments: [Argument],
        traffic: Traffic = Traffic()
    ) -> Command {
        itemLaunch(
            kernel, family: family, items: rows * ((width + traits.lanes - 1) / traits.lanes), size: traits.lanes,
            indices: indices, arguments: arguments, traffic: traffic)
    }

    /// Parts of a two-stage sum. Not a function of the device's size: two devices of one shape add in the same order.
    var sumParts: Int { traits.isGPUShape ? 1024 : 64 }
}
