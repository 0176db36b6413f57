/// The blocks of gpu_attention_tile.cl: a team owns rows of one side of a head and walks tiles of the other; both are eighths of
/// a team's rows or columns of work-items, a few to each item.
struct AttentionTile: Sendable, Hashable {
    /// The kernels of the GPU shape, by the ends of their names; what they keep in registers bounds their blocks.
    enum Kernel: String, Sendable, CaseIterable {
        case forward
        case backwardQuery = "backward_query"
        case backwardKey = "backward_key"

        /// The end of the family's name.
        var familySuffix: String { self == .forward ? "" : "_backward" }
    }

    /// Own rows and rows of the tile that an item works on: 2, 4 or 8.
    private(set) var ownPerItem: Int
    private(set) var tilePerItem: Int
    let teamSize: Int
    let headDim: Int

    /// Blocks for heads of `headDim` columns where the own side has `own` rows and the other `other`: the largest that fit
    /// 255 registers of an item (Scripts/check-gpu-compilers) and the device's local memory, and no larger than the sides.
    init(_ kernel: Kernel, headDim: Int, own: Int, other: Int, traits: DeviceTraits) {
        teamSize = traits.teamSize
        self.headDim = headDim
        switch kernel {
        case .forward: (ownPerItem, tilePerItem) = (8, headDim <= 80 ? 8 : 4)
        case .backwardQuery: (ownPerItem, tilePerItem) = (headDim <= 96 ? 8 : 4, 4)
        // Two sums for each own row.
        case .backwardKey: (ownPerItem, tilePerItem) = headDim <= 32 ? (8, 4) : (4, headDim <= 64 ? 8 : 4)
        }
        while ownRows / 2 >= own, canHalveOwn { ownPerItem /= 2 }
        while tileRows / 2 >= other, tilePerItem > 2 { tilePerItem /= 2 }
        while localBytes > traits.localMemory, tilePerItem > 2 { tilePerItem /= 2 }
        while localBytes > traits.localMemory, canHalveOwn { ownPerItem /= 2 }
    }

    /// Blocks of the softmax entropy, whose forward has few units: all heads of a row belong to one. Its rows are small therefore.
    static func entropy(isForward: Bool, headDim: Int, own: Int, other: Int, traits: DeviceTraits) -> AttentionTile {
        var tile = AttentionTile(.backwardQuery, headDim: headDim, own: own, other: other, traits: traits)
        let most = isForward ? 2 : 4
        while tile.ownPerItem > most, tile.canHalveOwn { tile.ownPerItem /= 2 }
        return tile
    }

    var ownRows: Int { teamSize / 8 * ownPerItem }
    var tileRows: Int { 8 * tilePerItem }
    /// Own rows come in whole blocks of eight, which share random numbers.
    private var canHalveOwn: Bool { ownPerItem > 2 && ownRows > 8 }

    var defines: [String: String] { ["OWN_PER_ITEM": "\(ownPerItem)", "TILE_PER_ITEM": "\(tilePerItem)"] }

    /// Local memory of a team, the arrays of gpu_attention_tile.cl: slices, weights, for each own row a value and one for each
    /// item that walks it, and a byte of dropout for eight weights.
    var localBytes: Int {
        let headQuads = (headDim + 3) / 4
        let sliceQuads = min(headQuads, tilePerItem == 8 || headQuads % 8 > 0 ? 4 : 8)
        let dots = (ownRows + tileRows) * (sliceQuads | 1)
        let sums = (headDim <= 64 && tileRows >= 32 ? 32 : 16) * ((headDim + 7) / 8) * 2
        let weights = ownRows * (tileRows / 4 + 1)
        let parts = min(teamSize / ownRows, tileRows / 8)
        return 16 * (max(dots, sums) + weights) + 4 * ownRows * (1 + parts) + ownRows * tileRows / 8
    }
}
