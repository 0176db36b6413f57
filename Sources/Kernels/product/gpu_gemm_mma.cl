// gpu_gemm_mma: C[m, n] = alpha * op(A)[m, k] op(B)[k, n] by mma (gpu_mma.cl), then the epilogue of gemm_epilogue.cl. A, B and C
// are float in memory; A and B are rounded to bf16 or tf32 on their way to local memory, the sums are float.
//
// -D values: those of gpu_mma.cl, TRANSPOSE_A (A is stored [k, m]), TRANSPOSE_B (B is stored [n, k]), the epilogue's switches,
// MMA_TILE_M and MMA_TILE_N, the tile of a work-group: 64 x 64, 128 x 64 or 128 x 128. GPU shape only.
//
// Grid: (tiles of m, tiles of n, batch) work-groups. Batch entry s multiplies the k values from s * k to
// min((s + 1) * k, k_total): a plain batch passes k_total = batch * k; a product split over K passes its own K, strides of
// one split and C = [splits, m, n], partial sums that gemm_epilogue_forward adds up.
//
// Traffic: 4 * (m k + k n + m n) bytes at least (A is read once for each tile column, B for each tile row), 2 m n k
// operations, each for every batch entry.
#include "gemm_epilogue.cl"
#include "gpu_mma.cl"

#ifdef TEAM_GPU

#ifndef MMA_TILE_M
#define MMA_TILE_M 64
#endif
#ifndef MMA_TILE_N
#define MMA_TILE_N 64
#endif

// Two rows of warps; a warp computes MMA_WARP_M x 32 values in blocks of 16 x 8.
#define MMA_WARP_M (MMA_TILE_M / 2)
#define MMA_WARP_N 32
#define MMA_WARPS (2 * MMA_TILE_N / MMA_WARP_N)
#define MMA_ITEMS (MMA_WARPS * MMA_WARP)
#define MMA_BLOCKS_M (MMA_WARP_M / MMA_M)
#define MMA_BLOCKS_N (MMA_WARP_N / MMA_N)
// A slice of k in local memory is 16 words long. Rows of A and columns of B are 20 words apart: the words that a warp loads
// for a fragment, 4 neighbours of 8 rows, then lie in 32 different banks.
#define MMA_SLICE_WORDS 16
#define MMA_SLICE (MMA_SLICE_WORDS * MMA_PACK)
#define MMA_ROW 20
#define MMA_STAGE ((MMA_TILE_M + MMA_TILE_N) * MMA_ROW)
// Four floats at a time: how many a work-item loads of `rows` rows of a slice.
#define MMA_LOADS(rows) ((rows) * MMA_SLICE / 4 / MMA_ITEMS)
// A row of finished sums in local memory, eight floats longer than the tile for the sake of the banks.
#define MMA_SUM_ROW (MMA_TILE_N + 8)

// The first `count` floats from p on and zeros after them, never reading further.
static inline float4 mma_load(__global const float *p, int count, int is_aligned) {
  if (count >= 4) return is_aligned ? *(__global const float4 *)p : (float4)(p[0], p[1], p[2], p[3]);
  return (float4)(count > 0 ? p[0] : 0.0f, count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, 0.0f);
}

// The part of a work-item in copying a slice of A or B to local memory, "row" being a row of A or a column of B.
//
// ALONG: the matrix is stored with neighbouring k values side by side. A load is four k values of a row; the rows of a warp
// alternate between r and r + 4, which lie 16 banks apart.
// ACROSS: it is stored with neighbouring rows side by side. A load is four rows at one k, and a word of bf16 takes two
// loads. Of 32 lanes four take neighbouring rows, eight neighbouring words; the upper half of the four stores its rows
// in another order, so that each store of a warp goes to 32 banks.
//
// ROW and K are the work-item's place in the slice, OFFSET the way from there to its load e, COUNT the floats that load may
// read when `rows` and `k` are what is left of the matrix from the place on.
#define MMA_CHUNKS (MMA_SLICE / 4)
#define MMA_ALONG_ROWS (MMA_ITEMS / MMA_CHUNKS)
#define MMA_ALONG_ROW (item / MMA_CHUNKS / 8 * 8 + item / MMA_CHUNKS % 2 * 4 + item / MMA_CHUNKS % 8 / 2)
#define MMA_ALONG_K (item % MMA_CHUNKS * 4)
#define MMA_ALONG_OFFSET(e, ld) ((size_t)((e) * MMA_ALONG_ROWS) * (ld))
#define MMA_ALONG_COUNT(e, rows, k) ((e) * MMA_ALONG_ROWS < (rows) ? (k) : 0)
#define MMA_ACROSS_ROWS (MMA_ITEMS / 4)
#define MMA_ACROSS_ROW ((item / 64 * 4 + item % 4) * 4)
#define MMA_ACROSS_K (item / 4 % 16 * MMA_PACK)
#define MMA_ACROSS_OFFSET(e, ld) ((size_t)((e) % MMA_PACK) * (ld) + (e) / MMA_PACK * MMA_ACROSS_ROWS)
#define MMA_ACROSS_COUNT(e, rows, k) ((e) % MMA_PACK < (k) ? (rows) - (e) / MMA_PACK * MMA_ACROSS_ROWS : 0)

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

// Loads the work-item's part of a slice. A slice inside the matrix and on 16-byte addresses goes without a test for each load.
#define MMA_LOAD(loaded, loads, p, OFFSET, COUNT, ld, rows, k, is_whole, is_aligned)                          \
  if (is_whole) {                                                                                             \
    _Pragma("unroll") for (int e = 0; e < (loads); ++e) loaded[e] =                                           \
        *(__global const float4 *)((p) + OFFSET(e, ld));                                                      \
  } else {                                                                                                    \
    _Pragma("unroll") for (int e = 0; e < (loads); ++e) loaded[e] =                                           \
        mma_load((p) + OFFSET(e, ld), COUNT(e, rows, k), is_aligned);                                         \
  }

// Rounds it and stores it in local memory, from the slice's first row on.
#define MMA_ALONG_KEEP(stage, loaded, loads)                                                                  \
  _Pragma("unroll") for (int e = 0; e < (loads); ++e) mma_keep_words(                                         \
      (stage) + (MMA_ALONG_ROW + e * MMA_ALONG_ROWS) * MMA_ROW + MMA_ALONG_K / MMA_PACK, loaded[e]);
#define MMA_ACROSS_KEEP(stage, loaded, loads)                                                                 \
  _Pragma("unroll") for (int e = 0; e < (loads); e += MMA_PACK) mma_keep_across(                              \
      (stage) + (MMA_ACROSS_ROW + e / MMA_PACK * MMA_ACROSS_ROWS) * MMA_ROW + MMA_ACROSS_K / MMA_PACK,        \
      loaded[e], loaded[e + MMA_PACK - 1], item & 2);

static inline void mma_keep_across(__local uint *to, float4 v, float4 w, int swap) {
  const uint4 words =
      (uint4)(MMA_WORD_OF(v.x, w.x), MMA_WORD_OF(v.y, w.y), MMA_WORD_OF(v.z, w.z), MMA_WORD_OF(v.w, w.w));
  const uint4 ordered = swap ? words.zwxy : words;
  to[swap * MMA_ROW] = ordered.x;
  to[(swap + 1) * MMA_ROW] = ordered.y;
  to[(2 - swap) * MMA_ROW] = ordered.z;
  to[(3 - swap) * MMA_ROW] = ordered.w;
}

__kernel __attribute__((reqd_work_group_size(MMA_ITEMS, 1, 1))) void gemm_mma_forward(
    IN(float, a), IN(float, b), OUT(float, c), const int m, const int n, const int k, const int k_total, const int lda,
    const int ldb, const int ldc, const int stride_a, const int stride_b, const int stride_c,
    const float alpha EPILOGUE_PARAMETERS) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, c);
  EPILOGUE_USE
  // One slice is multiplied while the next one is on its way to the other half.
  __local uint stage[2 * MMA_STAGE] __attribute__((aligned(16)));
  MMA_LOCAL(MMA_WARPS);
  const int item = get_local_id(0), lane = item % MMA_WARP, g = lane / 4, t = lane % 4;
  const int warp_row = item / MMA_WARP % 2, warp_column = item / MMA_WARP / 2;
  const size_t entry = get_group_id(2);
  const int steps = (int)min((size_t)k, (size_t)k_total - entry * k);
  const int tile_row = get_group_id(0) * MMA_TILE_M, tile_column = get_group_id(1) * MMA_TILE_N;

  const int a_row = tile_row + MMA_A(ROW), b_row = tile_column + MMA_B(ROW);
  a += entry * stride_a + MMA_A_AT(a_row, MMA_A(K));
  b += entry * stride_b + MMA_B_AT(MMA_B(K), b_row);
  const int a_aligned = (size_t)a % 16 == 0 && lda % 4 == 0, b_aligned = (size_t)b % 16 == 0 && ldb % 4 == 0;
  const int a_inside = a_aligned && tile_row + MMA_TILE_M <= m, b_inside = b_aligned && tile_column + MMA_TILE_N <= n;
  float4 a_loaded[MMA_LOADS(MMA_TILE_M)], b_loaded[MMA_LOADS(MMA_TILE_N)];
  float4 sum[MMA_BLOCKS_M][MMA_BLOCKS_N];
#pragma unroll
  for (int i = 0; i < MMA_BLOCKS_M; ++i)
#pragma unroll
    for (int j = 0; j < MMA_BLOCKS_N; ++j) sum[i][j] = (float4)(0.0f);

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

  MMA_LOAD_SLICE(0)
  MMA_KEEP_SLICE(0)
  barrier(CLK_LOCAL_MEM_FENCE);
  int half_in_use = 0;
  for (int slice = 0; slice < steps; slice += MMA_SLICE) {
    const int next = slice + MMA_SLICE;
    if (next < steps) {
      MMA_LOAD_SLICE(next)
    }
    __local const uint *left = stage + half_in_use + (warp_row * MMA_WARP_M + g) * MMA_ROW + t;
    __local const uint *right = stage + half_in_use + (MMA_TILE_M + warp_column * MMA_WARP_N + g) * MMA_ROW + t;
    MMA_UNROLL
    for (int word = 0; word < MMA_SLICE_WORDS; word += MMA_WORDS) {
      uint4 x[MMA_BLOCKS_M];
      uint2 y[MMA_BLOCKS_N];
#pragma unroll
      for (int i = 0; i < MMA_BLOCKS_M; ++i) {
        __local const uint *at = left + i * MMA_M * MMA_ROW + word;
        x[i] = (uint4)(at[0], at[8 * MMA_ROW], at[4], at[8 * MMA_ROW + 4]);
      }
#pragma unroll
      for (int j = 0; j < MMA_BLOCKS_N; ++j) {
        __local const uint *at = right + j * MMA_N * MMA_ROW + word;
        y[j] = (uint2)(at[0], at[4]);
      }
      MMA_UNROLL
      for (int i = 0; i < MMA_BLOCKS_M; ++i) {
        MMA_UNROLL
        for (int j = 0; j < MMA_BLOCKS_N; ++j) sum[i][j] = mma(x[i], y[j], sum[i][j]);
      }
    }
    half_in_use = MMA_STAGE - half_in_use;
    if (next < steps) {
      MMA_KEEP_SLICE(half_in_use)
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }

  // Sums go out by whole rows, 2 x 16 of them at a time: one row of blocks of each row of warps.
  __local float *rows = (__local float *)stage;
  MMA_UNROLL
  for (int i = 0; i < MMA_BLOCKS_M; ++i) {
    __local float *to = rows + (warp_row * MMA_M + g) * MMA_SUM_ROW + warp_column * MMA_WARP_N + 2 * t;
#pragma unroll
    for (int j = 0; j < MMA_BLOCKS_N; ++j) {
      *(__local float2 *)(to + j * MMA_N) = sum[i][j].lo;
      *(__local float2 *)(to + j * MMA_N + 8 * MMA_SUM_ROW) = sum[i][j].hi;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = item; e < 2 * MMA_M * MMA_TILE_N / 4; e += MMA_ITEMS) {
      const int r = e / (MMA_TILE_N / 4), column = e % (MMA_TILE_N / 4) * 4;
      const int row = tile_row + r / MMA_M * MMA_WARP_M + i * MMA_M + r % MMA_M;
      const float4 value = *(__local const float4 *)(rows + r * MMA_SUM_ROW + column);
      const size_t at = entry * stride_c + (size_t)row * ldc;
      if (row < m && tile_column + column < n) EPILOGUE_STORE(alpha * value, EPILOGUE_ROW_OF(row), at, tile_column + column, n);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}

#endif
