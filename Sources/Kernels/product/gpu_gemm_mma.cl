// gpu_gemm_mma: C[m, n] = alpha * op(A)[m, k] op(B)[k, n] by mma (gpu_mma_tile.cl), then the epilogue of gemm_epilogue.cl. A, B
// and C are float in memory; A and B are rounded to bf16 or tf32 on their way to local memory, the sums are float.
//
// -D values: those of gpu_mma_tile.cl, TRANSPOSE_A (A is stored [k, m]), TRANSPOSE_B (B is stored [n, k]) and the epilogue's
// switches. GPU shape only.
//
// Grid: (tiles of m, tiles of n, batch) work-groups. Batch entry s multiplies the k values from s * k to
// min((s + 1) * k, k_total): a plain batch passes k_total = batch * k; a product split over K passes its own K, strides of
// one split and C = [splits, m, n], partial sums that gemm_epilogue_forward adds up.
//
// Traffic: 4 * (m k + k n + m n) bytes at least (A is read once for each tile column, B for each tile row), 2 m n k
// operations, each for every batch entry.
#include "gemm_epilogue.cl"
#include "gpu_mma_tile.cl"

#ifdef TEAM_GPU

#ifdef TRANSPOSE_A
#define MMA_A(part) MMA_ACROSS_##part
#define MMA_A_AT(row, k) ((size_t)(k) * lda + (row))
#else
#define MMA_A(part) MMA_ALONG_##part
#define MMA_A_AT(row, k) ((size_t)(row) * lda + (k))
#endif
#ifdef TRANSPOSE_B
#define MMA_B(part) MMA_ALONG_##part
#define MMA_B_AT(k, column) ((size_t)(column) * ldb + (k))
#else
#define MMA_B(part) MMA_ACROSS_##part
#define MMA_B_AT(k, column) ((size_t)(k) * ldb + (column))
#endif

__kernel __attribute__((reqd_work_group_size(MMA_ITEMS, 1, 1))) void gemm_mma_forward(
    IN(float, a), IN(float, b), OUT(float, c), const int m, const int n, const int k, const int k_total, const int lda,
    const int ldb, const int ldc, const int stride_a, const int stride_b, const int stride_c,
    const float alpha EPILOGUE_PARAMETERS) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, c);
  EPILOGUE_USE
  __local uint stage[2 * MMA_STAGE] __attribute__((aligned(16)));
  MMA_LOCAL(MMA_WARPS);
  MMA_PLACE
  const size_t entry = get_group_id(2);
  const int steps = (int)min((size_t)k, (size_t)k_total - entry * k);
  const int tile_row = get_group_id(0) * MMA_TILE_M, tile_column = get_group_id(1) * MMA_TILE_N;

  const int a_row = tile_row + MMA_A(ROW), b_row = tile_column + MMA_B(ROW);
  a += entry * stride_a + MMA_A_AT(a_row, MMA_A(K));
  b += entry * stride_b + MMA_B_AT(MMA_B(K), b_row);
  const int a_aligned = (size_t)a % 16 == 0 && lda % 4 == 0, b_aligned = (size_t)b % 16 == 0 && ldb % 4 == 0;
  const int a_inside = a_aligned && tile_row + MMA_TILE_M <= m, b_inside = b_aligned && tile_column + MMA_TILE_N <= n;
  float4 a_loaded[MMA_LOADS(MMA_TILE_M)], b_loaded[MMA_LOADS(MMA_TILE_N)];
  MMA_SUMS(sum)

#define MMA_LOAD_SLICE(slice)                                                                                 \
  MMA_LOAD(                                                                                                   \
      a_loaded, MMA_LOADS(MMA_TILE_M), a, MMA_A(OFFSET), MMA_A(COUNT), lda, m - a_row,                        \
      steps - (slice) - MMA_A(K), a_inside && (slice) + MMA_SLICE <= steps, a_aligned)                        \
  MMA_LOAD(                                                                                                   \
      b_loaded, MMA_LOADS(MMA_TILE_N), b, MMA_B(OFFSET), MMA_B(COUNT), ldb, n - b_row,                        \
      steps - (slice) - MMA_B(K), b_inside && (slice) + MMA_SLICE <= steps, b_aligned)                        \
  a += MMA_A_AT(0, MMA_SLICE);                                                                                \
  b += MMA_B_AT(MMA_SLICE, 0);
#define MMA_KEEP_SLICE(half)                                                                                  \
  MMA_A(KEEP)(stage + (half), a_loaded, MMA_LOADS(MMA_TILE_M))                                                \
  MMA_B(KEEP)(stage + (half) + MMA_TILE_M * MMA_ROW, b_loaded, MMA_LOADS(MMA_TILE_N))

  MMA_SLICES(sum, stage, steps, MMA_LOAD_SLICE, MMA_KEEP_SLICE)

  MMA_FINISH(sum, stage, tile_m, tile_n, value, {
    const int row = tile_row + tile_m, column = tile_column + tile_n;
    const size_t at = entry * stride_c + (size_t)row * ldc;
    if (row < m && column < n) EPILOGUE_STORE(alpha * value, EPILOGUE_ROW_OF(row), at, column, n);
  })
}

#endif
