import COpenCL

/// Matrix products of rounded inputs by the kernel of gpu_gemm_mma.cl, which runs on tensor cores. Those too small for it are
/// left to another provider. Where it is the provider, attention and convolutions take their own kernels for tensor cores.
struct TensorCoreGEMM: LibraryGEMM {
    let precision: Precision
    let cores: TensorCores
    let fallback: any GEMMProvider

    var name: String { "tensor" }

    /// Whether the product is as large as one block of an mma each way; smaller ones would multiply mostly zeros.
    func takes(_ gemm: GEMM) -> Bool { gemm.m >= 16 && gemm.n >= 16 && gemm.k >= 16 }

    func scratchCount(_ gemm: GEMM, traits: DeviceTraits) -> Int {
        guard takes(gemm) else { return fallback.scratchCount(gemm, traits: traits) }
        let tiling = tiling(gemm, traits)
        return tiling.splits > 1 ? tiling.splits * gemm.m * gemm.n : 0
    }

    func commands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command] {
        guard takes(gemm) else { return fallback.commands(gemm, scratch: scratch, traits: traits) }
        let tiling = tiling(gemm, traits)
        let isSplit = tiling.splits > 1
        var (a, b, c) = (gemm.a, gemm.b, gemm.c)
        if isSplit {
            a.batchStride = tiling.splitK * (gemm.transposeA ? a.leadingDimension : 1)
            b.batchStride = tiling.splitK * (gemm.transposeB ? 1 : b.leadingDimension)
            c = GEMMOperand(scratch, leadingDimension: gemm.n, batchStride: gemm.m * gemm.n)
        }
        var defines = defines(tiling.tile).merging(isSplit ? [:] : gemm.epilogueDefines) { $1 }
        if gemm.transposeA { defines["TRANSPOSE_A"] = "1" }
        if gemm.transposeB { defines["TRANSPOSE_B"] = "1" }
        let product = Command.kernel(
            Launch(
                kernel: "gemm_mma_forward", family: "gpu_gemm_mma", defines: defines,
                arguments: [
                    a.argument, b.argument, c.argument, .int(gemm.m), .int(gemm.n), .int(tiling.splitK),
                    .int(gemm.batch * gemm.k), .int(a.leadingDimension), .int(b.leadingDimension),
                    .int(c.leadingDimension), .int(a.batchStride), .int(b.batchStride), .int(c.batchStride),
                    .float(isSplit ? 1 : gemm.alpha),
                ] + (isSplit ? [] : gemm.epilogueArguments),
                global: [
                    (gemm.m + tiling.tile.m - 1) / tiling.tile.m * tiling.tile.items,
                    (gemm.n + tiling.tile.n - 1) / tiling.tile.n, isSplit ? tiling.splits : gemm.batch,
                ],
                local: [tiling.tile.items, 1, 1], traffic: gemm.traffic))
        guard isSplit else { return [product] }
        return [
            product,
            gemm.epilogueLaunch(
                of: c, parts: tiling.splits, alpha: gemm.alpha, accumulates: gemm.accumulate, traits: traits),
        ]
    }

    /// -D values for gpu_mma_tile.cl.
    func defines(_ tile: Tile) -> [String: String] {
        cores.defines(precision).merging(["MMA_TILE_M": "\(tile.m)", "MMA_TILE_N": "\(tile.n)"]) { $1 }
    }

    func enqueue(
        _ gemm: GEMM, on device: Device, resolve: (Argument) throws -> (buffer: cl_mem, offset: Int),
        event: UnsafeMutablePointer<cl_event?>?
    ) throws {
        guard let library = fallback as? any LibraryGEMM else {
            throw GraphError("\(gemm.m) x \(gemm.n) x \(gemm.k): scheduled for a BLAS library, but the device has none")
        }
        try library.enqueue(gemm, on: device, resolve: resolve, event: event)
    }

    /// The tile of a work-group.
    struct Tile: Equatable {
        let m: Int
        let n: Int
        static let small = Tile(m: 64, n: 64)
        /// Two rows of warps of 32 columns.
        var items: Int { 2 * n }
        /// Bytes of two slices of A and B, and of what an emulated mma exchanges.
        func localBytes(_ cores: TensorCores) -> Int { 2 * (m + n) * 20 * 4 + (cores == .emulation ? items / 32 * 768 : 0) }
    }

    /// How a product is cut.
    struct Tiling: Equatable {
        var tile: Tile
        var splits = 1
        /// Values of k in one split; k itself without splits.
        var splitK: Int
    }

    /// The largest tile for `batch` products that keeps every compute unit busy and wastes little at the edges.
    func tile(m: Int, n: Int, batch: Int = 1, _ traits: DeviceTraits) -> Tile {
        func computed(_ tile: Tile) -> Int { (m + tile.m - 1) / tile.m * tile.m * ((n + tile.n - 1) / tile.n * tile.n) }
        let large = [Tile(m: 128, n: 128), Tile(m: 128, n: 64)].first { tile in
            tile.localBytes(cores) <= traits.localMemory && computed(tile) / (tile.m * tile.n) * batch >= traits.computeUnits
                && 8 * computed(tile) <= 9 * computed(.small)
        }
        return large ?? .small
    }

    /// What has too few tiles even so is split over K, each part long enough to pay for its partial sums.
    func tiling(_ gemm: GEMM, _ traits: DeviceTraits) -> Tiling {
        let tile = tile(m: gemm.m, n: gemm.n, batch: gemm.batch, traits)
        let groups = (gemm.m + tile.m - 1) / tile.m * ((gemm.n + tile.n - 1) / tile.n) * gemm.batch
        var tiling = Tiling(tile: tile, splitK: gemm.k)
        let wanted = 2 * traits.computeUnits
        let count = min((wanted + groups - 1) / groups, gemm.k / 256)
        guard gemm.batch == 1, count > 1 else { return tiling }
        // Whole slices of 32 values.
        tiling.splitK = ((gemm.k + count - 1) / count + 31) / 32 * 32
        tiling.splits = (gemm.k + tiling.splitK - 1) / tiling.splitK
        return tiling
    }
}
