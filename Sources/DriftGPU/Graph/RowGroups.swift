/// Which row of a modulation (scale, shift, gate) a row of activations takes: row / span * inner + row % inner.
///
/// `span` rows belong to one label. `inner` 1 gives each label one modulation; `inner` R one per position, where the rows
/// are [labels, images, R].
public struct RowMap: Sendable, Hashable {
    public var span: Int
    public var inner: Int

    public init(span: Int, inner: Int = 1) {
        self.span = span
        self.inner = inner
    }

    /// Rows that share one modulation.
    var count: Int { span / inner }
    var arguments: [Argument] { [.int(span), .int(inner)] }

    /// Rows of a modulation for `rows` rows of activations.
    func groups(_ rows: Int) -> Int { rows / span * inner }

    /// Throws unless `modulation` has a row of `x`'s width for every group of `x`'s rows.
    func check(_ name: String, _ x: TensorType, _ modulation: TensorType) throws {
        guard span > 0, inner > 0, span.isMultiple(of: inner), x.rows.isMultiple(of: span) else {
            throw GraphError("\(name): \(x) has no rows of span \(span) and inner \(inner)")
        }
        guard modulation.columns == x.columns, modulation.rows == groups(x.rows) else {
            throw GraphError("\(name): \(modulation) is not \(groups(x.rows)) rows for \(x)")
        }
    }
}

/// How sums over the rows of each group are divided into chunks (row_groups.cl). It depends on the shapes and the team
/// shape alone, so two devices of one team shape add in the same order.
struct RowChunks {
    let groups: Int
    /// Rows of a chunk; the last of a group may have fewer.
    let chunk: Int
    let perGroup: Int
    var count: Int { groups * perGroup }

    /// `parts` chunks in all, or as many as there are groups, of at least `least` rows each.
    init(_ map: RowMap, rows: Int, parts: Int, least: Int) {
        groups = max(map.groups(rows), 1)
        let wanted = (rows + max(parts, 1) - 1) / max(parts, 1)
        let multiple = (max(wanted, least) + 3) / 4 * 4
        chunk = max(1, min(map.count, multiple))
        perGroup = max(1, (map.count + chunk - 1) / chunk)
    }
}

extension LaunchContext {
    /// A kernel that walks `rows` rows of `columns` with SHARE_FOR or TEAM_ROWS: on a GPU a team each, on a CPU teams with at least 1024
    /// elements (under that the dispatch costs more than the work).
    func shareLaunch(
        _ kernel: String, family: String, rows: Int, columns: Int, arguments: [Argument], traffic: Traffic
    ) -> Command {
        let teams = traits.isGPUShape ? rows : min(rows, (rows * columns + 1023) / 1024)
        return rowLaunch(kernel, family: family, rows: teams, indices: rows, arguments: arguments, traffic: traffic)
    }

    /// Tiles across a row in a sum over rows: COLUMN_TILES of row_groups.cl.
    func columnTiles(_ columns: Int) -> Int {
        let slices = traits.teamSize >= 64 ? 8 : 1
        let vectors = traits.isGPUShape ? 1 : (traits.lanes == 16 ? 8 : 4)
        let width = traits.teamSize / slices * vectors * traits.lanes
        return max(1, (columns + width - 1) / width)
    }

    /// Chunks for kernels that sum tiles of columns over the rows of each group: one chunk a group, which spares the second
    /// launch, when that keeps the device busy.
    func tileChunks(_ map: RowMap, rows: Int, columns: Int) -> RowChunks {
        let tiles = columnTiles(columns)
        let isEnough = map.groups(rows) * tiles >= (traits.isGPUShape ? 128 : 16) || rows * columns <= 1 << 14
        return RowChunks(
            map, rows: rows, parts: isEnough ? 1 : sumParts / tiles, least: traits.isGPUShape ? 32 : 16)
    }
}
