// gpu_attention_tile: products of a tile of attention on a GPU.
//
// A team owns OWN_ROWS rows of a head (queries, or keys in the gradient of keys) and walks tiles of TILE_ROWS rows of the
// other side. Its items form TEAM_Y rows of TEAM_X = 8: item (y, x) holds the own rows y + TEAM_Y r, r < OWN_PER_ITEM, and
// in products of both sides (dot_tile) the tile's rows x + 8 t, t < TILE_PER_ITEM, in weighted sums over the tile
// (add_weighted_tile) COLUMNS_PER_ITEM columns of the head.
//
// -D OWN_PER_ITEM, TILE_PER_ITEM (2, 4 or 8) come from AttentionTile.swift, which keeps local memory within the device's.
//
// What an item multiplies: four columns of dot_tile are OWN_PER_ITEM + TILE_PER_ITEM float4 loads from local memory for
// 4 OWN_PER_ITEM TILE_PER_ITEM multiply-adds, four tile rows of add_weighted_tile are OWN_PER_ITEM + COLUMNS_PER_ITEM for
// 4 OWN_PER_ITEM COLUMNS_PER_ITEM: 16 to a load in blocks of 8 x 8, 10.7 in 8 x 4. An NVIDIA multiprocessor does 128
// multiply-adds and moves 128 bytes of local memory a clock, so a load of 512 bytes by a warp pays from 16 on where no two
// items of the warp share a word; here eight items share each own row, and four of a warp each row of the tile.
//
// Banks: rows lie an odd number of float4 apart (SLICE_PITCH, WEIGHT_PITCH). The eight x of a quarter-warp then read eight
// tile rows from different banks, as do the y their own rows, without any transposing.
#ifndef ATTENTION_TILE_CL
#define ATTENTION_TILE_CL
#include "attention_shape.cl"

#if defined(HEAD_DIM) && TEAM_GPU

#ifndef OWN_PER_ITEM
#define OWN_PER_ITEM 4
#endif
#ifndef TILE_PER_ITEM
#define TILE_PER_ITEM 4
#endif

#define TEAM_X 8
#define TEAM_Y (TEAM_SIZE / TEAM_X)
#define ITEM_X (TEAM_RANK % TEAM_X)
#define ITEM_Y (TEAM_RANK / TEAM_X)
#define OWN_ROWS (TEAM_Y * OWN_PER_ITEM)
#define TILE_ROWS (TEAM_X * TILE_PER_ITEM)
// Eight keys share a block of dropout bits: blocks of own rows must not cut one.
#if OWN_ROWS % 8
#error "the GPU shape of attention wants TEAM_SIZE * OWN_PER_ITEM >= 64"
#endif

// dot_tile takes SLICE_QUADS float4 of each row at a time: an item multiplies 512 to 1024 times between two barriers.
#define HEAD_QUADS ((HEAD_DIM + 3) / 4)
#define MOST_QUADS (TILE_PER_ITEM == 8 || HEAD_QUADS % 8 ? 4 : 8)
#define SLICE_QUADS (HEAD_QUADS < MOST_QUADS ? HEAD_QUADS : MOST_QUADS)
#define SLICE_PITCH (SLICE_QUADS | 1)
// add_weighted_tile takes SUM_ROWS rows of the tile at a time, filled up to a multiple of TEAM_X columns.
#define SUM_ROWS (HEAD_DIM <= 64 && TILE_ROWS % 32 == 0 ? 32 : 16)
#define COLUMNS_PER_ITEM ((HEAD_DIM + TEAM_X - 1) / TEAM_X)
#define SUM_QUADS (COLUMNS_PER_ITEM * TEAM_X / 4)
#define WEIGHT_PITCH (TILE_ROWS / 4 + 1)
// Neighbouring columns of an item, as many as go evenly into the head.
#if HEAD_DIM % 32 == 0
#define COLUMN_WIDTH 4
#elif HEAD_DIM % 16 == 0
#define COLUMN_WIDTH 2
#else
#define COLUMN_WIDTH 1
#endif
#define COLUMN(c) (((c) / COLUMN_WIDTH * TEAM_X + ITEM_X) * COLUMN_WIDTH + (c) % COLUMN_WIDTH)

// Sizes of the local arrays, in float4.
#define DOT_SIZE ((OWN_ROWS + TILE_ROWS) * SLICE_PITCH)
#define SUM_SIZE (SUM_ROWS * SUM_QUADS)
#define SLICES_SIZE (DOT_SIZE > SUM_SIZE ? DOT_SIZE : SUM_SIZE)
#define WEIGHTS_SIZE (OWN_ROWS * WEIGHT_PITCH)

#define FOR_OWN _Pragma("unroll") for (int r = 0; r < OWN_PER_ITEM; ++r)
#define FOR_TILE _Pragma("unroll") for (int t = 0; t < TILE_PER_ITEM; ++t)
#define FOR_COLUMNS _Pragma("unroll") for (int c = 0; c < COLUMNS_PER_ITEM; ++c)
#define OWN_ROW(r) (ITEM_Y + TEAM_Y * (r))
#define TILE_ROW(t) (ITEM_X + TEAM_X * (t))

// Rows of a head in global memory.
typedef struct {
  __global const float *first;
  int stride;
  int count;
} Rows;

INLINE Rows rows_of(__global const float *first, int stride, int count) {
  Rows rows = {first, stride, count};
  return rows;
}
INLINE Rows rows_from(Rows rows, int start) {
  return rows_of(rows.first + (size_t)start * rows.stride, rows.stride, rows.count - start);
}

// to[row][q] = columns 4 (first + q) ... 4 (first + q) + 3 of a row, q < quads, `first` a multiple of quads: zero outside the
// head, and from row `count` on. Four items read 64 bytes of a row, so that what an item reads lies at a fixed distance.
INLINE void load_rows(__local float4 *to, const int size, const int quads, const int pitch, Rows rows, int first) {
  const int x = TEAM_RANK % 4, y = TEAM_RANK / 4;
  const int is_whole = HEAD_DIM % 4 == 0 && quads % 4 == 0 && HEAD_QUADS % quads == 0;
  __global const float *p = rows.first + (y * rows.stride + 4 * (first + x));
  to += y * pitch + x;
#pragma unroll
  for (int row = 0; row < size; row += TEAM_SIZE / 4, p += TEAM_SIZE / 4 * rows.stride)
#pragma unroll
    for (int q = 0; q < quads; q += 4)
      if ((size % (TEAM_SIZE / 4) == 0 || row + y < size) && (quads % 4 == 0 || q + x < quads)) {
        const int left = is_whole ? 4 : HEAD_DIM - 4 * (first + q + x);
        to[row * pitch + q] = load_quad(p + 4 * q, row + y < rows.count ? left : 0);
      }
}

// dots[r][t] = own row OWN_ROW(r) . tile row TILE_ROW(t). Every item of the team has passed a barrier on return.
INLINE void dot_tile(float dots[OWN_PER_ITEM][TILE_PER_ITEM], __local float4 *slices, Rows own, Rows tile) {
  __local float4 *own_slice = slices, *tile_slice = slices + OWN_ROWS * SLICE_PITCH;
  FOR_OWN FOR_TILE dots[r][t] = 0.0f;
#pragma unroll 1
  for (int first = 0; first < HEAD_QUADS; first += SLICE_QUADS) {
    barrier(CLK_LOCAL_MEM_FENCE);
    load_rows(own_slice, OWN_ROWS, SLICE_QUADS, SLICE_PITCH, own, first);
    load_rows(tile_slice, TILE_ROWS, SLICE_QUADS, SLICE_PITCH, tile, first);
    barrier(CLK_LOCAL_MEM_FENCE);
    const int quads = HEAD_QUADS % SLICE_QUADS ? min(SLICE_QUADS, HEAD_QUADS - first) : SLICE_QUADS;
#pragma unroll 1
    for (int q = 0; q < quads; ++q) {
      float4 right[TILE_PER_ITEM];
      FOR_TILE right[t] = tile_slice[TILE_ROW(t) * SLICE_PITCH + q];
      FOR_OWN {
        const float4 left = own_slice[OWN_ROW(r) * SLICE_PITCH + q];
        FOR_TILE dots[r][t] = fma(left.x, right[t].x, dots[r][t]);
        FOR_TILE dots[r][t] = fma(left.y, right[t].y, dots[r][t]);
        FOR_TILE dots[r][t] = fma(left.z, right[t].z, dots[r][t]);
        FOR_TILE dots[r][t] = fma(left.w, right[t].w, dots[r][t]);
      }
    }
  }
}

// weights[own row][tile row], from the items' registers to local memory; a barrier must follow.
INLINE void share_weights(__local float4 *weights, float values[OWN_PER_ITEM][TILE_PER_ITEM]) {
  __local float *w = (__local float *)weights;
  FOR_OWN FOR_TILE w[OWN_ROW(r) * (4 * WEIGHT_PITCH) + TILE_ROW(t)] = values[r][t];
}

// right[c] = column COLUMN(c) of row `t` of the slice.
INLINE void load_columns(float right[COLUMNS_PER_ITEM], __local const float4 *slice, int t) {
#if COLUMN_WIDTH == 4
#pragma unroll
  for (int c = 0; c < COLUMNS_PER_ITEM; c += 4) {
    const float4 v = slice[t * SUM_QUADS + c / 4 * TEAM_X + ITEM_X];
    right[c] = v.x;
    right[c + 1] = v.y;
    right[c + 2] = v.z;
    right[c + 3] = v.w;
  }
#elif COLUMN_WIDTH == 2
#pragma unroll
  for (int c = 0; c < COLUMNS_PER_ITEM; c += 2) {
    const float2 v = ((__local const float2 *)slice)[t * (2 * SUM_QUADS) + c / 2 * TEAM_X + ITEM_X];
    right[c] = v.x;
    right[c + 1] = v.y;
  }
#else
  FOR_COLUMNS right[c] = ((__local const float *)slice)[t * (4 * SUM_QUADS) + c * TEAM_X + ITEM_X];
#endif
}

// sums[r][c] += sum_t weights[own row][t] * rows[t][COLUMN(c)] over the rows of the tile that exist.
INLINE void add_weighted_tile(float sums[OWN_PER_ITEM][COLUMNS_PER_ITEM], __local const float4 *weights,
                              __local float4 *slices, Rows rows) {
  const int count = min(rows.count, TILE_ROWS);
#pragma unroll 1
  for (int first = 0; first < count; first += SUM_ROWS) {
    barrier(CLK_LOCAL_MEM_FENCE);
    load_rows(slices, SUM_ROWS, SUM_QUADS, SUM_QUADS, rows_from(rows, first), 0);
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int t = 0; t < SUM_ROWS; t += 4) {
      float4 left[OWN_PER_ITEM];
      float right[COLUMNS_PER_ITEM];
      FOR_OWN left[r] = weights[OWN_ROW(r) * WEIGHT_PITCH + (first + t) / 4];
      load_columns(right, slices, t);
      FOR_OWN FOR_COLUMNS sums[r][c] = fma(left[r].x, right[c], sums[r][c]);
      load_columns(right, slices, t + 1);
      FOR_OWN FOR_COLUMNS sums[r][c] = fma(left[r].y, right[c], sums[r][c]);
      load_columns(right, slices, t + 2);
      FOR_OWN FOR_COLUMNS sums[r][c] = fma(left[r].z, right[c], sums[r][c]);
      load_columns(right, slices, t + 3);
      FOR_OWN FOR_COLUMNS sums[r][c] = fma(left[r].w, right[c], sums[r][c]);
    }
  }
}

// values[r] = maximum or sum over the TEAM_X items that share row OWN_ROW(r). A barrier stands before scratch is written, so
// that calls may follow each other.
#define OWN_SCRATCH (OWN_ROWS * (TEAM_X + 1))
INLINE void share_values(float values[OWN_PER_ITEM], __local float *scratch) {
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_OWN scratch[OWN_ROW(r) * (TEAM_X + 1) + ITEM_X] = values[r];
  barrier(CLK_LOCAL_MEM_FENCE);
}
INLINE void own_maximum(float values[OWN_PER_ITEM], __local float *scratch) {
  share_values(values, scratch);
  for (int x = 0; x < TEAM_X; ++x) FOR_OWN values[r] = fmax(values[r], scratch[OWN_ROW(r) * (TEAM_X + 1) + x]);
}
INLINE void own_sum(float values[OWN_PER_ITEM], __local float *scratch) {
  share_values(values, scratch);
  FOR_OWN values[r] = 0.0f;
  for (int x = 0; x < TEAM_X; ++x) FOR_OWN values[r] += scratch[OWN_ROW(r) * (TEAM_X + 1) + x];
}

// rows[OWN_ROW(r)][COLUMN(c)] = sums[r][c] for the rows below `count`.
INLINE void store_own(__global float *rows, int stride, int count, float sums[OWN_PER_ITEM][COLUMNS_PER_ITEM]) {
  FOR_OWN {
    if (OWN_ROW(r) < count) {
      __global float *row = rows + OWN_ROW(r) * stride;
      FOR_COLUMNS {
        if (HEAD_DIM % TEAM_X == 0 || COLUMN(c) < HEAD_DIM) row[COLUMN(c)] = sums[r][c];
      }
    }
  }
}

#endif
#endif
