/// Attention and its gradients on tensor cores: gpu_attention_mma.cl and gpu_attention_mma_backward.cl.
extension Attention {
    /// Who multiplies on tensor cores, where this attention is done there; else nil.
    func tensorGEMM(_ context: LaunchContext) -> TensorCoreGEMM? {
        guard let tensor = context.gemm as? TensorCoreGEMM else { return nil }
        let sizes = layout.known(context.inputs)
        let headDim = sizes.width / layout.heads
        let bytes = [sizes.queries, sizes.keys].map {
            AttentionTensorTile(headDim: headDim, own: $0).localBytes(tensor.precision, tensor.cores)
        }
        // Smaller ones would multiply mostly zeros.
        guard sizes.queries >= 16, sizes.keys >= 16, headDim >= 8, bytes.allSatisfy({ $0 <= context.traits.localMemory })
        else { return nil }
        return tensor
    }

    func tensorDefines(_ tile: AttentionTensorTile, _ tensor: TensorCoreGEMM) -> [String: String] {
        tensor.cores.defines(tensor.precision).merging([
            "HEAD_DIM": "\(tile.headDim)", "DROPOUT": dropout == nil ? "0" : "1", "ATTENTION_WARPS": "\(tile.warps)",
        ]) { $1 }.merging(maskDefines) { $1 }
    }
}

/// What a work-group of gpu_attention_mma_tile.cl takes: 16 rows of a head for each of its warps.
struct AttentionTensorTile {
    let headDim: Int
    let warps: Int
    var rows: Int { 16 * warps }
    var items: Int { 32 * warps }

    /// For an own side of `own` rows.
    init(headDim: Int, own: Int) {
        self.headDim = headDim
        warps = min(4, (own + 15) / 16)
    }

    /// Bytes of two tiles of 32 rows, two values for each of these, a byte of dropout for eight weights, and what an emulated
    /// mma exchanges.
    func localBytes(_ precision: Precision, _ cores: TensorCores) -> Int {
        let tileRow = (headDim + 15) / 16 * 16 / (precision == .bf16 ? 2 : 1) + 4
        return 4 * 2 * 32 * (tileRow + 1) + rows * 32 / 8 + (cores == .emulation ? warps * 768 : 0)
    }
}
