// gpu_mma_tile: what kernels share in which a work-group multiplies a tile of two matrices by mma (gpu_mma.cl): MMA_TILE_M rows
// times MMA_TILE_N columns, over slices of k that are rounded on their way to local memory.
//
// -D values: those of gpu_mma.cl, MMA_TILE_M and MMA_TILE_N: 64 x 64, 128 x 64 or 128 x 128. GPU shape only.
#include "gpu_mma.cl"

#if defined(TEAM_GPU) && !defined(GPU_MMA_TILE_CL)
#define GPU_MMA_TILE_CL

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

// The work-item's place: `lane`, `g` and `t` as in gpu_mma.cl, the warp's block of the tile.
#define MMA_PLACE                                                                                             \
  const int item = get_local_id(0), lane = item % MMA_WARP, g = lane / 4, t = lane % 4;                       \
  const int warp_row = item / MMA_WARP % 2, warp_column = item / MMA_WARP / 2;

// The work-item's sums, zero.
#define MMA_SUMS(sum)                                                                                         \
  float4 sum[MMA_BLOCKS_M][MMA_BLOCKS_N];                                                                     \
  _Pragma("unroll") for (int i = 0; i < MMA_BLOCKS_M; ++i)                                                    \
      _Pragma("unroll") for (int j = 0; j < MMA_BLOCKS_N; ++j) sum[i][j] = (float4)(0.0f);

// Adds the product of `steps` values of k to the sums, in a kernel that has MMA_LOCAL and MMA_PLACE. LOAD(slice) loads the
// work-item's part of the slice that begins there to registers, KEEP(half) stores it in local memory: rows of A, then columns
// of B, from stage + half on. One slice is multiplied while the next one is on its way to the other half.
#define MMA_SLICES(sum, stage, steps, LOAD, KEEP)                                                             \
  LOAD(0)                                                                                                     \
  KEEP(0)                                                                                                     \
  barrier(CLK_LOCAL_MEM_FENCE);                                                                               \
  int half_in_use = 0;                                                                                        \
  for (int slice = 0; slice < (steps); slice += MMA_SLICE) {                                                  \
    const int next = slice + MMA_SLICE;                                                                       \
    if (next < (steps)) {                                                                                     \
      LOAD(next)                                                                                              \
    }                                                                                                         \
    __local const uint *a_rows = (stage) + half_in_use + (warp_row * MMA_WARP_M + g) * MMA_ROW + t;           \
    __local const uint *b_columns =                                                                           \
        (stage) + half_in_use + (MMA_TILE_M + warp_column * MMA_WARP_N + g) * MMA_ROW + t;                    \
    MMA_UNROLL                                                                                                \
    for (int word = 0; word < MMA_SLICE_WORDS; word += MMA_WORDS) {                                           \
      uint4 a_words[MMA_BLOCKS_M];                                                                            \
      uint2 b_words[MMA_BLOCKS_N];                                                                            \
      _Pragma("unroll") for (int i = 0; i < MMA_BLOCKS_M; ++i) {                                              \
        __local const uint *at = a_rows + i * MMA_M * MMA_ROW + word;                                         \
        a_words[i] = (uint4)(at[0], at[8 * MMA_ROW], at[4], at[8 * MMA_ROW + 4]);                             \
      }                                                                                                       \
      _Pragma("unroll") for (int j = 0; j < MMA_BLOCKS_N; ++j) {                                              \
        __local const uint *at = b_columns + j * MMA_N * MMA_ROW + word;                                      \
        b_words[j] = (uint2)(at[0], at[4]);                                                                   \
      }                                                                                                       \
      MMA_UNROLL                                                                                              \
      for (int i = 0; i < MMA_BLOCKS_M; ++i) {                                                                \
        MMA_UNROLL                                                                                            \
        for (int j = 0; j < MMA_BLOCKS_N; ++j) sum[i][j] = mma(a_words[i], b_words[j], sum[i][j]);            \
      }                                                                                                       \
    }                                                                                                         \
    half_in_use = MMA_STAGE - half_in_use;                                                                    \
    if (next < (steps)) {                                                                                     \
      KEEP(half_in_use)                                                                                       \
    }                                                                                                         \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                             \
  }

// Does what comes last for the finished sums, four neighbours of a row at a time: the float4 `value` at `row` and `column` of the
// tile. They go out by whole rows, 2 x 16 of them at a time: one row of blocks of each row of warps.
#define MMA_FINISH(sum, stage, row, column, value, ...)                                                       \
  MMA_UNROLL                                                                                                  \
  for (int i = 0; i < MMA_BLOCKS_M; ++i) {                                                                    \
    __local float *sums = (__local float *)(stage);                                                           \
    __local float *to = sums + (warp_row * MMA_M + g) * MMA_SUM_ROW + warp_column * MMA_WARP_N + 2 * t;       \
    _Pragma("unroll") for (int j = 0; j < MMA_BLOCKS_N; ++j) {                                                \
      *(__local float2 *)(to + j * MMA_N) = sum[i][j].lo;                                                     \
      *(__local float2 *)(to + j * MMA_N + 8 * MMA_SUM_ROW) = sum[i][j].hi;                                   \
    }                                                                                                         \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                             \
    for (int e = item; e < 2 * MMA_M * MMA_TILE_N / 4; e += MMA_ITEMS) {                                      \
      const int r = e / (MMA_TILE_N / 4), column = e % (MMA_TILE_N / 4) * 4;                                  \
      const int row = r / MMA_M * MMA_WARP_M + i * MMA_M + r % MMA_M;                                         \
      const float4 value = *(__local const float4 *)(sums + r * MMA_SUM_ROW + column);                        \
      __VA_ARGS__                                                                                             \
    }                                                                                                         \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                             \
  }

#endif
