/// Matrix products by our own kernels, on any device.
///
/// In the CPU shape a work-item computes a tile whose sums fill the vector registers. B is first copied into column panels
/// where it is transposed, ragged, or so large that its own rows would lie too far apart for the cache. A product with few
/// tiles and a long K (a weight gradient) is split over K; its parts are added in a fixed order.
struct NativeGEMM: GEMMProvider {
    var name: String { "native" }

    /// A tile reads all of its rows of op(A), unless the product is split over K.
    func sumsRows(_ gemm: GEMM, traits: DeviceTraits) -> Bool {
        !traits.isGPUShape && gemm.transposeA && gemm.batch == 1 && Tiling(gemm, traits).splits == 1
    }

    func scratchCount(_ gemm: GEMM, traits: DeviceTraits) -> Int {
        traits.isGPUShape ? 0 : Tiling(gemm, traits).scratchCount
    }

    func commands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command] {
        traits.isGPUShape ? gpuCommands(gemm) : cpuCommands(gemm, scratch: scratch, traits: traits)
    }

    private func gpuCommands(_ gemm: GEMM) -> [Command] {
        let tile = 64
        let group = 256
        var defines = gemm.epilogueDefines
        if gemm.transposeA { defines["TRANSPOSE_A"] = "1" }
        if gemm.transposeB { defines["TRANSPOSE_B"] = "1" }
        return [
            .kernel(
                Launch(
                    kernel: "gemm_forward", family: "gemm",
                    defines: defines,
                    arguments: [
                        gemm.a.argument, gemm.b.argument, gemm.c.argument, .int(gemm.m), .int(gemm.n), .int(gemm.k),
                        .int(gemm.batch * gemm.k), .int(gemm.a.leadingDimension), .int(gemm.b.leadingDimension), .int(0),
                        .int(gemm.c.leadingDimension), .int(gemm.a.batchStride), .int(gemm.b.batchStride),
                        .int(gemm.c.batchStride), .int(1), .int(1), .float(gemm.alpha),
                    ] + gemm.epilogueArguments,
                    global: [(gemm.m + tile - 1) / tile * group, (gemm.n + tile - 1) / tile, gemm.batch],
                    local: [group, 1, 1], traffic: gemm.traffic))
        ]
    }

    private func cpuCommands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command] {
        let tiling = Tiling(gemm, traits)
        var commands: [Command] = []
        var b = gemm.b
        var panelStride = tiling.tileN
        if tiling.packs {
            commands.append(.kernel(packLaunch(gemm, tiling, into: scratch, traits: traits)))
            panelStride = gemm.k * tiling.tileN
            b = GEMMOperand(
                scratch, leadingDimension: tiling.tileN, batchStride: gemm.b.batchStride == 0 ? 0 : tiling.packedCount)
        }
        var a = gemm.a
        var c = gemm.c
        var entries = gemm.batch
        let isSplit = tiling.splits > 1
        if isSplit {
            a.batchStride = tiling.splitK * (gemm.transposeA ? a.leadingDimension : 1)
            b.batchStride = tiling.splitK * b.leadingDimension
            c = GEMMOperand(
                scratch.advanced(by: tiling.packedTotal), leadingDimension: gemm.n, batchStride: gemm.m * gemm.n)
            entries = tiling.splits
        }
        var defines = isSplit ? [:] : gemm.epilogueDefines
        if gemm.transposeA { defines["TRANSPOSE_A"] = "1" }
        if gemm.rowSum != nil { defines["GEMM_ROW_SUM"] = "1" }
        defines["GEMM_TILE_M"] = "\(tiling.tileM)"
        defines["GEMM_VECTORS"] = "\(tiling.vectors)"
        if tiling.packsInGroup {
            defines["GEMM_PACKED"] = "\(Tiling.groupCapacity)"
            if gemm.transposeB { defines["TRANSPOSE_B"] = "1" }
        }
        commands.append(
            .kernel(
                Launch(
                    kernel: "gemm_forward", family: "gemm", defines: defines,
                    arguments: [
                        a.argument, b.argument, c.argument, .int(gemm.m), .int(gemm.n), .int(tiling.splitK),
                        .int(gemm.batch * gemm.k), .int(a.leadingDimension), .int(b.leadingDimension), .int(panelStride),
                        .int(c.leadingDimension), .int(a.batchStride), .int(b.batchStride), .int(c.batchStride),
                        .int(tiling.tilesPerGroup), .int(tiling.panelsPerGroup), .float(isSplit ? 1 : gemm.alpha),
                    ] + (isSplit ? [] : gemm.epilogueArguments) + (gemm.rowSum.map { [$0] } ?? []),
                    global: [tiling.tileGroups, tiling.panelGroups, entries], local: [1, 1, 1], traffic: gemm.traffic)))
        if isSplit {
            commands.append(
                gemm.epilogueLaunch(
                    of: c, parts: tiling.splits, alpha: gemm.alpha, accumulates: gemm.accumulate, traits: traits))
        }
        return commands
    }

    private func packLaunch(_ gemm: GEMM, _ tiling: Tiling, into packed: Argument, traits: DeviceTraits) -> Launch {
        let chunks = (gemm.k + traits.lanes - 1) / traits.lanes
        // Groups of at least 16 chunks, unless that leaves compute units idle.
        let perGroup = max(1, min(16, chunks * tiling.panels * tiling.packedEntries / (4 * traits.computeUnits)))
        var defines = ["GEMM_VECTORS": "\(tiling.vectors)"]
        if gemm.transposeB { defines["TRANSPOSE_B"] = "1" }
        return Launch(
            kernel: "gemm_pack", family: "gemm", defines: defines,
            arguments: [
                gemm.b.argument, packed, .int(gemm.n), .int(gemm.k), .int(gemm.b.leadingDimension),
                .int(gemm.b.batchStride), .int(perGroup),
            ],
            global: [(chunks + perGroup - 1) / perGroup, tiling.panels, tiling.packedEntries], local: [1, 1, 1],
            traffic: Traffic(bytes: 8 * gemm.k * gemm.n * tiling.packedEntries))
    }

    /// How a product is cut for the CPU shape.
    private struct Tiling {
        let tileM: Int
        let vectors: Int
        let tileN: Int
        let tilesOfM: Int
        let panels: Int
        let panelsPerGroup: Int
        let tilesPerGroup: Int
        /// B is copied into panels by a launch before the product, or by each group of the product for itself.
        let packs: Bool
        let packsInGroup: Bool
        let splits: Int
        /// Values of k in one split; k itself without splits.
        let splitK: Int
        /// Floats of one packed B, and how many there are.
        let packedCount: Int
        let packedEntries: Int
        /// Floats of all partial products.
        private let partialCount: Int

        /// Floats of B that a group copies at most: with a tile of A they stay in the first-level cache.
        static let groupCapacity = 8 << 10
        /// Floats of sums that a group keeps between parts of K (GEMM_KEPT in cpu_gemm.cl).
        static let keptCapacity = 5 << 10
        var tileGroups: Int { (tilesOfM + tilesPerGroup - 1) / tilesPerGroup }
        var panelGroups: Int { (panels + panelsPerGroup - 1) / panelsPerGroup }
        var packedTotal: Int { packs ? packedCount * packedEntries : 0 }
        var scratchCount: Int { packedTotal + partialCount }

        init(_ gemm: GEMM, _ traits: DeviceTraits) {
            let lanes = traits.lanes
            tileM = Self.tileRows(gemm.m, isThin: gemm.n <= lanes, lanes: lanes)
            vectors = Self.tileVectors(gemm.n, lanes: lanes, tileM: tileM)
            tileN = vectors * lanes
            tilesOfM = (gemm.m + tileM - 1) / tileM
            panels = (gemm.n + tileN - 1) / tileN
            // A small result of a long K reads its operands in parts of K that stay in the second-level cache; a large one
            // pays for packing instead.
            let isLong = gemm.batch == 1 && gemm.k >= 2048 && gemm.n >= 256 && gemm.m * gemm.n <= 1 << 17
            let isLarge = !isLong && gemm.k * gemm.n >= 1 << 18 && gemm.m >= 8 * tileM
            let needsPanels = gemm.transposeB || gemm.n % tileN != 0 || isLarge
            packsInGroup =
                needsPanels && !gemm.transposeA && gemm.k * tileN <= Self.groupCapacity
                && 4 * Self.groupCapacity <= traits.localMemory
            packs = needsPanels && !packsInGroup
            packedCount = panels * gemm.k * tileN
            packedEntries = gemm.b.batchStride == 0 ? 1 : gemm.batch

            // Eight tiles for each compute unit even out their ends. A part of K pays for its partial sums from 256 on.
            let wanted = 8 * traits.computeUnits
            let tiles = tilesOfM * panels
            var count = isLong ? gemm.k / 640 : 1
            if gemm.batch == 1, !packsInGroup, tiles < wanted {
                count = max(count, min((wanted + tiles - 1) / tiles, gemm.k / 256))
            }
            splitK = (gemm.k + count - 1) / count
            splits = (gemm.k + splitK - 1) / splitK
            partialCount = splits > 1 ? splits * gemm.m * gemm.n : 0

            if packsInGroup || gemm.transposeA {
                (tilesPerGroup, panelsPerGroup) = Self.block(
                    tiles: tilesOfM, panels: panels, tileM: tileM, tileN: tileN,
                    count: 4 * traits.computeUnits / (gemm.batch * splits),
                    panelLimit: packsInGroup ? Self.groupCapacity / (gemm.k * tileN) : panels,
                    areaLimit: gemm.transposeA ? Self.keptCapacity : .max)
            } else {
                // Consecutive panels keep the rows of A close; together they stay within the first-level cache.
                let fitting = max(1, (32 << 10) / (splitK * tileN * 4))
                let spare = max(1, tiles * gemm.batch * splits / wanted)
                panelsPerGroup = min(panels, fitting, spare)
                let groups = (panels + panelsPerGroup - 1) / panelsPerGroup * gemm.batch * splits
                tilesPerGroup = max(1, tilesOfM * groups / (8 * wanted))
            }
        }

        /// The block of C that a group computes, in tiles and panels: at least `count` blocks, nearly square, because each group
        /// fetches its rows of op(A) and packs its columns of op(B) for itself.
        private static func block(
            tiles: Int, panels: Int, tileM: Int, tileN: Int, count: Int, panelLimit: Int, areaLimit: Int
        ) -> (tiles: Int, panels: Int) {
            var rows = 1
            var columns = (panels + panelLimit - 1) / panelLimit
            while true {
                let block = (tiles: (tiles + rows - 1) / rows, panels: (panels + columns - 1) / columns)
                let (height, width) = (block.tiles * tileM, block.panels * tileN)
                if rows * columns >= count && height * width <= areaLimit { return block }
                if block.tiles > 1 && (height >= width || block.panels == 1) {
                    rows = min(2 * rows, tiles)
                } else if block.panels > 1 {
                    columns = min(2 * columns, panels)
                } else {
                    return block
                }
            }
        }

        /// The tallest tile whose sums fit the registers, or a lower one where the last tile would repeat many rows.
        private static func tileRows(_ m: Int, isThin: Bool, lanes: Int) -> Int {
            let (tall, low) = lanes == 16 ? (12, 8) : lanes == 8 ? (6, 4) : (4, 4)
            if m <= tall { return m }
            func computed(_ rows: Int) -> Int { (m + rows - 1) / rows * rows }
            // A low tile does its work about 3% slower; 4 x 2 vectors are too few sums for the latency of some CPUs.
            return Double(computed(low)) * (lanes == 8 && !isThin ? 1.1 : 1.03) < Double(computed(tall)) ? low : tall
        }

        private static func tileVectors(_ n: Int, lanes: Int, tileM: Int) -> Int {
            let needed = (n + lanes - 1) / lanes
            if tileM <= 4, lanes == 16, needed >= 4 { return 4 }
            return needed == 1 || needed == 3 ? 1 : 2
        }
    }
}
