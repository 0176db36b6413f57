// attention_local: products of a tile of attention for the softmax entropy on a GPU.
//
// A team owns OWN_ROWS rows (queries, or keys in the gradient of keys) and walks tiles of TILE_ROWS rows of the other side.
// Item (ty, tx) = (rank / 16, rank % 16) holds ROWS of the owned rows; in the product of both sides it has the tile's rows
// tx + 16 t, in the weighted sums the columns tx + 16 c. The owned side lies transposed in local memory, so that an
// item's rows are neighbours there; ROWS shrinks with HEAD_DIM to keep a team of up to 256 below 32 KiB of
// local memory.
#if defined(HEAD_DIM) && TEAM_GPU
#ifndef ATTENTION_LOCAL_CL
#define ATTENTION_LOCAL_CL

#if TEAM_SIZE < 16
#error "the GPU shape of attention wants TEAM_SIZE >= 16"
#endif
#define TEAM_X 16
#define ROWS (HEAD_DIM <= 32 ? 4 : HEAD_DIM <= 64 ? 2 : 1)
#define OWN_ROWS (TEAM_SIZE / TEAM_X * ROWS)
#define TILE_ROWS (HEAD_DIM <= 96 ? 32 : 16)
#define TILE_PER_ITEM (TILE_ROWS / TEAM_X)
#define TILE_PITCH (HEAD_DIM + 1)
#define COLUMNS_PER_ITEM ((HEAD_DIM + TEAM_X - 1) / TEAM_X)

#define TEAM_TY (TEAM_RANK / TEAM_X * ROWS)
#define TEAM_TX (TEAM_RANK % TEAM_X)
#define FOR_ROWS _Pragma("unroll") for (int r = 0; r < ROWS; ++r)
#define FOR_TILE _Pragma("unroll") for (int t = 0; t < TILE_PER_ITEM; ++t)
#define FOR_COLUMNS _Pragma("unroll") for (int c = 0; c < COLUMNS_PER_ITEM; ++c)
#define COLUMN(c) (TEAM_TX + TEAM_X * (c))

// own[d][row] = rows[row][d], zero from `count` on.
INLINE void load_own(__local float *own, __global const float *rows, size_t stride, int count) {
  for (int e = TEAM_RANK; e < OWN_ROWS * HEAD_DIM; e += TEAM_SIZE) {
    const int row = e % OWN_ROWS;
    own[e] = row < count ? rows[row * stride + e / OWN_ROWS] : 0.0f;
  }
}

// tile[row][d] = rows[row][d], zero from `count` on; all items are through with the tile's last contents afterwards, too.
INLINE void load_tile(__local float *tile, __global const float *rows, size_t stride, int count) {
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int e = TEAM_RANK; e < TILE_ROWS * HEAD_DIM; e += TEAM_SIZE) {
    const int row = e / HEAD_DIM, d = e % HEAD_DIM;
    tile[row * TILE_PITCH + d] = row < count ? rows[row * stride + d] : 0.0f;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
}

// dots[r][t] = own row TEAM_TY + r . tile row tx + 16 t.
INLINE void dot_tile(float dots[ROWS][TILE_PER_ITEM], __local const float *own, __local const float *tile) {
  FOR_ROWS FOR_TILE dots[r][t] = 0.0f;
  for (int d = 0; d < HEAD_DIM; ++d) {
    float right[TILE_PER_ITEM];
    FOR_TILE right[t] = tile[(TEAM_TX + TEAM_X * t) * TILE_PITCH + d];
    FOR_ROWS {
      const float left = own[d * OWN_ROWS + TEAM_TY + r];
      FOR_TILE dots[r][t] = fma(left, right[t], dots[r][t]);
    }
  }
}

// weights[tile row][own row], from the items' registers to local memory.
INLINE void share_weights(__local float *weights, float values[ROWS][TILE_PER_ITEM]) {
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_TILE FOR_ROWS weights[(TEAM_TX + TEAM_X * t) * OWN_ROWS + TEAM_TY + r] = values[r][t];
  barrier(CLK_LOCAL_MEM_FENCE);
}

// sums[r][c] += sum_t weights[t][own row r] * tile[t][column c].
INLINE void add_weighted_tile(float sums[ROWS][COLUMNS_PER_ITEM], __local const float *weights, __local const float *tile) {
  for (int t = 0; t < TILE_ROWS; ++t) {
    float right[COLUMNS_PER_ITEM];
    FOR_COLUMNS right[c] = tile[t * TILE_PITCH + min(COLUMN(c), HEAD_DIM - 1)];
    FOR_ROWS {
      const float left = weights[t * OWN_ROWS + TEAM_TY + r];
      FOR_COLUMNS sums[r][c] = fma(left, right[c], sums[r][c]);
    }
  }
}

INLINE void store_own(__global float *rows, size_t stride, int count, float sums[ROWS][COLUMNS_PER_ITEM]) {
  FOR_ROWS FOR_COLUMNS {
    if (TEAM_TY + r < count && COLUMN(c) < HEAD_DIM) rows[(TEAM_TY + r) * stride + COLUMN(c)] = sums[r][c];
  }
}

// values[r] = maximum or sum over the 16 items of row r; scratch holds 16 x OWN_ROWS floats.
INLINE void rows_maximum(float values[ROWS], __local float *scratch) {
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_ROWS scratch[TEAM_TX * OWN_ROWS + TEAM_TY + r] = values[r];
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int x = 0; x < TEAM_X; ++x) FOR_ROWS values[r] = fmax(values[r], scratch[x * OWN_ROWS + TEAM_TY + r]);
}
INLINE void rows_sum(float values[ROWS], __local float *scratch) {
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_ROWS scratch[TEAM_TX * OWN_ROWS + TEAM_TY + r] = values[r];
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_ROWS values[r] = 0.0f;
  for (int x = 0; x < TEAM_X; ++x) FOR_ROWS values[r] += scratch[x * OWN_ROWS + TEAM_TY + r];
}
#endif
#endif
