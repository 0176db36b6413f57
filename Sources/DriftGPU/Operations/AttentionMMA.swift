/// Attention's forward on tensor cores. Its gradient, and weights with dropout, stay with the kernels of single precision.
extension Attention {
    /// The launch, where matrix products are done on tensor cores and this one fits them; else nil.
    func tensorCommand(_ context: LaunchContext) -> Command? {
        guard let tensor = context.gemm as? TensorCoreGEMM, dropout == nil else { return nil }
        let sizes = layout.known(context.inputs)
        let tile = AttentionTensorTile(headDim: sizes.width / layout.heads, queries: sizes.queries)
        // Smaller ones would multiply mostly zeros.
        guard sizes.queries >= 16, sizes.keys >= 16, tile.headDim >= 8,
            tile.localBytes(tensor.precision, tensor.cores) <= context.traits.localMemory
        else { return nil }
        var defines = tensor.cores.defines(tensor.precision)
        defines["HEAD_DIM"] = "\(tile.headDim)"
        defines["DROPOUT"] = "0"
        defines["ATTENTION_WARPS"] = "\(tile.warps)"
        let groups = sizes.batch * layout.heads * ((sizes.queries + tile.rows - 1) / tile.rows)
        return .kernel(
            Launch(
                kernel: "attention_mma_forward", family: "attention_mma", defines: defines,
                arguments: layout.tensors { .input($0) } + [.output(0), .output(1)] + shape(sizes),
                global: [groups * tile.items], local: [tile.items], traffic: traffic(sizes, tensors: 4, products: 2)))
    }
}

/// What a work-group of attention_mma.cl takes: 16 queries of a head for each of its warps.
struct AttentionTensorTile {
    let headDim: Int
    let warps: Int
    var rows: Int { 16 * warps }
    var items: Int { 32 * warps }

    init(headDim: Int, queries: Int) {
        self.headDim = headDim
        warps = min(4, (queries + 15) / 16)
    }

    /// Bytes of 32 keys and values, and of what an emulated mma exchanges.
    func localBytes(_ precision: Precision, _ cores: TensorCores) -> Int {
        let pack = precision == .bf16 ? 2 : 1
        let step = 8 * pack
        let keyRow = (headDim + step - 1) / step * 8 + 4
        let valueRow = 32 / pack + (pack == 2 ? 4 : 8)
        return 4 * (32 * keyRow + (headDim + 7) / 8 * 8 * valueRow) + (cores == .emulation ? warps * 768 : 0)
    }
}
