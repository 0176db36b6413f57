// gemm: C[m, n] = alpha * op(A)[m, k] op(B)[k, n], row-major, then the epilogue of gemm_epilogue.cl.
//
// -D values: TRANSPOSE_A (A is stored [k, m]), TRANSPOSE_B (B is stored [n, k]), the epilogue's switches; in the CPU
// shape GEMM_TILE_M (rows of a tile, at most m; without it the program is gemm_pack alone), GEMM_VECTORS (its columns in
// vectors) and GEMM_PACKED (floats of B that a group copies into panels for itself) and, with TRANSPOSE_A, GEMM_ROW_SUM (the
// sums over k of op(A)'s rows go to row_sum [m]).
//
// Grid: (groups of row tiles, groups of column panels, batch) work-groups. Batch entry s multiplies the k values from s * k to
// min((s + 1) * k, k_total): a plain batch passes k_total = batch * k; a product split over K passes its own K, strides
// of one split and C = [splits, m, n], partial sums that gemm_epilogue_forward adds up.
//
// Traffic: 4 * (m k + k n + m n) bytes at least, 2 m n k operations, each for every batch entry.
#include "cpu_gemm.cl"
#include "gpu_gemm.cl"
