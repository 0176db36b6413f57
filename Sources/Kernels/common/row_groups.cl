// row_groups: rows that share a row of another tensor, and sums over them.
//
// A modulation tensor (scale, shift, gate) has one row of n floats per group of rows. With `span` rows per label and
// `inner` groups per label
//
//   group of row `row`  = row / span * inner + row % inner
//   k-th row of `group` = group / inner * span + k * inner + group % inner,   0 <= k < span / inner
//
// so inner = 1 is a modulation per label (its rows are contiguous) and inner = R one per label and position.
//
// Sums over the rows of a group are taken in chunks of at most `chunk` rows, which no chunk shares with another group:
// chunk c belongs to group c / chunks_per_group. The division into chunks is fixed by the host, and every sum runs in a
// fixed order, so the same run gives the same bits however teams are scheduled.
#ifndef ROW_GROUPS_CL
#define ROW_GROUPS_CL
#include "team.cl"

static inline int group_of_row(int row, int span, int inner) {
  return inner == 1 ? row / span : row / span * inner + row % inner;
}
static inline int row_of_group(int group, int k, int span, int inner) {
  return inner == 1 ? group * span + k : group / inner * span + k * inner + group % inner;
}
static inline int chunks_of_group(int span, int inner, int chunk) { return (span / inner + chunk - 1) / chunk; }

// Rows or tiles 0 ..< count of this team: dealt out on a GPU, a contiguous share on a CPU (for the prefetcher).
#if TEAM_SIZE > 1
#define SHARE_FOR(item, count) for (int item = TEAM_INDEX; item < (count); item += TEAM_COUNT)
#else
#define SHARE_FOR(item, count)                                              \
  for (int item##_share = ((count) + TEAM_COUNT - 1) / TEAM_COUNT,          \
           item = item##_share * TEAM_INDEX,                                \
           item##_end = min(item##_share * (TEAM_INDEX + 1), (int)(count)); \
       item < item##_end; ++item)
#endif

// Tiles of a sum over rows. A GPU team divides into slices that each take every COLUMN_SLICES-th row of a tile of
// COLUMN_WIDTH columns; a CPU team takes all rows of a tile, COLUMN_TILE_VECTORS vectors wide to keep the reads long.
#if TEAM_SIZE >= 64
#define COLUMN_SLICES 8
#define COLUMN_TILE_VECTORS 1
#elif TEAM_SIZE > 1
#define COLUMN_SLICES 1
#define COLUMN_TILE_VECTORS 1
#else
#define COLUMN_SLICES 1
#define COLUMN_TILE_VECTORS (LANES == 16 ? 8 : 4)
#endif
#define COLUMN_WIDTH (TEAM_SIZE / COLUMN_SLICES * COLUMN_TILE_VECTORS * LANES)
#define COLUMN_TILES(n) (((n) + COLUMN_WIDTH - 1) / COLUMN_WIDTH)
// Of this work-item: its first row in a tile, and its first column.
#define COLUMN_SLICE (TEAM_RANK / (TEAM_SIZE / COLUMN_SLICES))
#define COLUMN_FIRST(tile) ((tile) * COLUMN_WIDTH + TEAM_RANK % (TEAM_SIZE / COLUMN_SLICES) * COLUMN_TILE_VECTORS * LANES)

// The statement for the vectors of a tile from column `first` on: `vectors` of them from column i, all inside a row of n
// where `whole` is 1. Both are constants in the statement, so that its sums are registers and its loads are not looked at
// one by one. On a GPU every work-item has one vector, which may lie outside the row.
#if TEAM_SIZE > 1
#define COLUMN_RUNS(i, first, n, ...)        \
  {                                          \
    const int i = (first);                   \
    enum { vectors = 1, whole = 0 };         \
    __VA_ARGS__                              \
  }
#else
#define COLUMN_RUN(i, count, complete, ...)            \
  {                                                    \
    enum { vectors = (count), whole = (complete) };    \
    __VA_ARGS__                                        \
    i += (count) * LANES;                              \
  }
#define COLUMN_RUNS(i, first, n, ...)                                                                               \
  for (int i = (first), i##_end = min(i + COLUMN_WIDTH, (int)(n)); i < i##_end;) {                                  \
    const int left = i##_end - i;                                                                                   \
    if (left >= COLUMN_TILE_VECTORS * LANES) COLUMN_RUN(i, COLUMN_TILE_VECTORS, 1, __VA_ARGS__)                     \
    else if (left >= COLUMN_TILE_VECTORS / 2 * LANES) COLUMN_RUN(i, COLUMN_TILE_VECTORS / 2, 1, __VA_ARGS__)        \
    else if (left >= LANES) COLUMN_RUN(i, 1, 1, __VA_ARGS__)                                                        \
    else COLUMN_RUN(i, 1, 0, __VA_ARGS__)                                                                           \
  }
#endif
#define COLUMN_EACH(v) _Pragma("unroll") for (int v = 0; v < vectors; ++v)

// A vector of a tile; `whole` (a constant after inlining) says that all its columns lie inside the row.
static inline floatL column_load(__global const float *p, int i, int n, int whole) {
  return whole ? LOAD_PACKED(p + i) : lanes_load(p, i, n);
}
static inline void column_store(__global float *p, int i, int n, floatL v, int whole) {
  if (whole)
    STORE_PACKED(v, p + i);
  else
    lanes_store(p, i, n, v);
}

#if COLUMN_SLICES > 1
#define COLUMN_LOCAL __local floatL column_scratch[TEAM_SIZE]
// The sum over the slices, in slice 0. Every work-item of the team must call it.
static inline floatL column_reduce(__local floatL *scratch, floatL v) {
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[TEAM_RANK] = v;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int half_size = TEAM_SIZE / 2; half_size >= TEAM_SIZE / COLUMN_SLICES; half_size >>= 1) {
    if (TEAM_RANK < half_size) scratch[TEAM_RANK] += scratch[TEAM_RANK + half_size];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  return scratch[TEAM_RANK];
}
#define column_slices_sum(v) column_reduce(column_scratch, (v))
#else
#define COLUMN_LOCAL
#define column_slices_sum(v) (v)
#endif

#endif
