// flat: index spaces walked in chunks of LANES, with and without rows, and one-item-per-row loops.
//
// A GPU wants neighbouring work-items on neighbouring floats (grid stride); a CPU wants each team on a contiguous slice,
// which keeps the prefetcher busy and two cores off the same cache line.
#ifndef FLAT_CL
#define FLAT_CL
#include "team.cl"

#if TEAM_SIZE > 1
#define FLAT_BEGIN(n) ((size_t)get_global_id(0) * LANES)
#define FLAT_END(n) ((size_t)(n))
#define FLAT_STEP ((size_t)get_global_size(0) * LANES)
#define ITEM_BEGIN(n) ((size_t)get_global_id(0))
#define ITEM_END(n) ((size_t)(n))
#define ITEM_STEP ((size_t)get_global_size(0))
#else
static inline size_t flat_slice(size_t chunks) { return (chunks + TEAM_COUNT - 1) / TEAM_COUNT; }
#define FLAT_CHUNKS(n) (((size_t)(n) + LANES - 1) / LANES)
#define FLAT_BEGIN(n) (flat_slice(FLAT_CHUNKS(n)) * TEAM_INDEX * LANES)
#define FLAT_END(n) min((size_t)(n), flat_slice(FLAT_CHUNKS(n)) * (TEAM_INDEX + 1) * LANES)
#define FLAT_STEP ((size_t)LANES)
#define ITEM_BEGIN(n) (flat_slice((size_t)(n)) * TEAM_INDEX)
#define ITEM_END(n) min((size_t)(n), flat_slice((size_t)(n)) * (TEAM_INDEX + 1))
#define ITEM_STEP ((size_t)1)
#endif

// i is the first of this work-item's next LANES elements of n; `FLAT_LEFT(i, n)` of them exist.
#define FLAT_FOR(i, n) for (size_t i = FLAT_BEGIN(n), i##_end = FLAT_END(n); i < i##_end; i += FLAT_STEP)
#define FLAT_LEFT(i, n) ((int)min((size_t)LANES, (size_t)(n) - (i)))
// One work-item per row: for rows too short to share among a team.
#define ITEM_FOR(row, n) for (size_t row = ITEM_BEGIN(n), row##_end = ITEM_END(n); row < row##_end; row += ITEM_STEP)

// Rows of `width` elements, shared by chunks of LANES: as even for one long row as for many short ones. In the statement the
// columns `first` to `last` of `row` (a size_t) are this work-item's; `first` is a multiple of LANES, and so is `last` unless it
// is the width. A GPU's neighbours have neighbouring chunks, a CPU's team a contiguous share.
#if TEAM_SIZE > 1
// Two quotients of 64 bits are as much work as a chunk's copy.
static inline size_t flat_quotient(size_t a, uint b) { return a >> 32 == 0 ? (size_t)((uint)a / b) : a / b; }
#define ROW_RUNS(row, first, last, rows, width, ...)                                                      \
  {                                                                                                       \
    const uint row##_chunks = ((uint)(width) + LANES - 1) / LANES;                                        \
    ITEM_FOR(row##_item, (size_t)(rows) * row##_chunks) {                                                 \
      const size_t row = flat_quotient(row##_item, row##_chunks);                                         \
      const int first = (int)(row##_item - row * row##_chunks) * LANES, last = min(first + LANES, (width)); \
      __VA_ARGS__                                                                                         \
    }                                                                                                     \
  }
#else
#define ROW_RUNS(row, first, last, rows, width, ...)                                                      \
  {                                                                                                       \
    const size_t row##_chunks = ((size_t)(width) + LANES - 1) / LANES;                                    \
    size_t row##_item = ITEM_BEGIN((size_t)(rows) * row##_chunks);                                        \
    const size_t row##_end = ITEM_END((size_t)(rows) * row##_chunks);                                     \
    size_t row = row##_item / row##_chunks;                                                               \
    int first = (int)(row##_item % row##_chunks) * LANES;                                                 \
    for (; row##_item < row##_end; ++row, first = 0) {                                                    \
      const int last = (int)min((size_t)(width), first + (row##_end - row##_item) * LANES);               \
      row##_item += (last - first + LANES - 1) / LANES;                                                   \
      __VA_ARGS__                                                                                         \
    }                                                                                                     \
  }
#endif

#endif
