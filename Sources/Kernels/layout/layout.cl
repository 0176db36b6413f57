// layout: kernels that move elements and change none: concat, slice, repeat, permute, transpose.
#include "flat.cl"
#include "transpose_lanes.cl"

// Rows of `count` elements, each cut into `pieces` of whole vectors, dealt to the teams: where there are few long rows the
// pieces keep all teams busy. In the statement `row` is the row, and this team has `left` of its elements from `first` on.
#define PIECE_ROUND 64
#define PIECES_FOR(row, rows, first, left, count, pieces, ...)                                                         \
  {                                                                                                                    \
    const int row##_length = (((count) + (pieces) - 1) / (pieces) + PIECE_ROUND - 1) / PIECE_ROUND * PIECE_ROUND;      \
    TEAM_ROWS(row##_piece, (rows) * (pieces)) {                                                                        \
      const int row = row##_piece / (pieces), first = row##_piece % (pieces) * row##_length;                           \
      const int left = min(row##_length, (count) - first);                                                             \
      __VA_ARGS__                                                                                                      \
    }                                                                                                                  \
  }

// y[o * y_stride + y_begin + j] = x[o * x_stride + x_begin + j], o < outer, j < count: the one copy behind concat, slice
// and the gradients of concat, along any axis (count spans the axis' part and all axes inside it).
// Traffic: 8 outer count bytes.
TEAM_KERNEL void copy_strided(IN(float, x), OUT(float, y), int outer, int count, int x_stride, int x_begin, int y_stride,
                           int y_begin, int pieces) {
  USE_IN(float, x);
  USE_OUT(float, y);
  PIECES_FOR(o, outer, first, left, count, pieces, {
    __global const float *from = x + ((size_t)o * x_stride + x_begin + first);
    __global float *to = y + ((size_t)o * y_stride + y_begin + first);
    TEAM_FOR(j, left) lanes_store(to, j, left, lanes_load(from, j, left));
  })
}

// Row and part of entry q of outer * parts entries: part is `which`, o the row. Arguments of all parts stand in the
// parameter list; those past `parts` repeat the first.
#define PART(which, p0, p1, p2, p3, p4, p5) \
  ((which) == 0 ? p0 : (which) == 1 ? p1 : (which) == 2 ? p2 : (which) == 3 ? p3 : (which) == 4 ? p4 : p5)

// y_i[o, j] = x[o, i, j] for i < parts <= 6, j < count: x is [outer, stride] and its parts begin at column `begin`.
// Traffic: 8 outer parts count bytes.
TEAM_KERNEL void split_strided(IN(float, x), OUT(float, y0), OUT(float, y1), OUT(float, y2), OUT(float, y3), OUT(float, y4),
                            OUT(float, y5), int outer, int count, int parts, int stride, int begin, int pieces) {
  USE_IN(float, x);
  USE_OUT(float, y0);
  USE_OUT(float, y1);
  USE_OUT(float, y2);
  USE_OUT(float, y3);
  USE_OUT(float, y4);
  USE_OUT(float, y5);
  PIECES_FOR(q, outer * parts, first, left, count, pieces, {
    size_t o = q / parts;
    int part = q % parts;
    __global const float *from = x + (o * stride + begin + (size_t)part * count + first);
    __global float *to = PART(part, y0, y1, y2, y3, y4, y5) + (o * count + first);
    TEAM_FOR(j, left) lanes_store(to, j, left, lanes_load(from, j, left));
  })
}

// y[o, i, j] = x_i[o, j]: the inverse of split_strided. Traffic: 8 outer parts count bytes.
TEAM_KERNEL void join_strided(OUT(float, y), IN(float, x0), IN(float, x1), IN(float, x2), IN(float, x3), IN(float, x4),
                           IN(float, x5), int outer, int count, int parts, int stride, int begin, int pieces) {
  USE_OUT(float, y);
  USE_IN(float, x0);
  USE_IN(float, x1);
  USE_IN(float, x2);
  USE_IN(float, x3);
  USE_IN(float, x4);
  USE_IN(float, x5);
  PIECES_FOR(q, outer * parts, first, left, count, pieces, {
    size_t o = q / parts;
    int part = q % parts;
    __global const float *from = PART(part, x0, x1, x2, x3, x4, x5) + (o * count + first);
    __global float *to = y + (o * stride + begin + (size_t)part * count + first);
    TEAM_FOR(j, left) lanes_store(to, j, left, lanes_load(from, j, left));
  })
}

// Gradient of a slice: dx[o, begin + j] = dy[o, j] for j < count, zeros elsewhere; dx [outer, stride], dy [outer, count].
// Traffic: 4 outer (stride + count) bytes.
TEAM_KERNEL void pad_strided(IN(float, dy), OUT(float, dx), int outer, int count, int stride, int begin, int pieces) {
  USE_IN(float, dy);
  USE_OUT(float, dx);
  PIECES_FOR(o, outer, first, left, stride, pieces, {
    // Of the piece: where dy begins and ends in it.
    const int enter = clamp(begin - first, 0, max(left, 0)), leave = clamp(begin + count - first, 0, max(left, 0));
    __global const float *from = dy + ((size_t)o * count + max(first - begin, 0));
    __global float *to = dx + ((size_t)o * stride + first);
    TEAM_FOR(j, enter) lanes_store(to, j, enter, (floatL)(0.0f));
    TEAM_FOR(j, leave - enter) lanes_store(to + enter, j, leave - enter, lanes_load(from, j, leave - enter));
    TEAM_FOR(j, left - leave) lanes_store(to + leave, j, left - leave, (floatL)(0.0f));
  })
}

// y[o, g, j] = x[o, j], g < group: x [outer, n] -> y [outer, group, n]. Traffic: 4 outer n (1 + group) bytes.
TEAM_KERNEL void repeat_forward(IN(float, x), OUT(float, y), int outer, int group, int n) {
  USE_IN(float, x);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, (size_t)outer * group, n, {
    __global const float *from = x + (size_t)((uint)row / (uint)group) * n;
    for (int j = first; j < last; j += LANES) lanes_store(y + row * n, j, last, lanes_load(from, j, last));
  })
}

// dx[o, j] = sum_g dy[o, g, j], in the order of g. Traffic: 4 outer n (1 + group) bytes, outer n group additions.
TEAM_KERNEL void repeat_backward(IN(float, dy), OUT(float, dx), int outer, int group, int n) {
  USE_IN(float, dy);
  USE_OUT(float, dx);
  int chunks = (n + LANES - 1) / LANES;
  ITEM_FOR(q, (size_t)outer * chunks) {
    size_t o = q / chunks;
    int j = (int)(q % chunks) * LANES;
    __global const float *from = dy + o * group * n;
    floatL sum = (floatL)(0.0f);
    for (int g = 0; g < group; ++g) sum += lanes_load(from + (size_t)g * n, j, n);
    lanes_store(dx + o * n, j, n, sum);
  }
}

// y[o, j, i, :] = x[o, i, j, :]: x [outer, m, n, width] -> y [outer, n, m, width]. Its own gradient with m and n
// exchanged. For rows of a few floats and more; transpose_forward is the one for width 1.
// Traffic: 8 outer m n width bytes.
TEAM_KERNEL void permute_forward(IN(float, x), OUT(float, y), int outer, int m, int n, int width) {
  USE_IN(float, x);
  USE_OUT(float, y);
  TEAM_ROWS(row, outer * m * n) {
    int i = row % m, j = row / m % n;
    size_t o = row / m / n;
    __global const float *from = x + ((o * m + i) * n + j) * width;
    TEAM_FOR(k, width) lanes_store(y + (size_t)row * width, k, width, lanes_load(from, k, width));
  }
}

#if TEAM_SIZE > 1
#define TRANSPOSE_TILE 32
#else
#define TRANSPOSE_TILE LANES
#endif

// y[b, j, i] = x[b, i, j]: x [batch, m, n] -> y [batch, n, m], a tile at a time. y must not be x.
// Traffic: 8 batch m n bytes.
TEAM_KERNEL void transpose_forward(IN(float, x), OUT(float, y), int batch, int m, int n) {
#if TEAM_SIZE > 1
  // One column wider than the tile, so that its columns lie in different banks.
  __local float tile[TRANSPOSE_TILE][TRANSPOSE_TILE + 1];
#endif
  USE_IN(float, x);
  USE_OUT(float, y);
  int tiles_m = (m + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE, tiles_n = (n + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE;
  TEAM_ROWS(q, batch * tiles_m * tiles_n) {
    // Neighbouring tiles go down the columns of x: their writes share the rows of y.
    int i = q % tiles_m * TRANSPOSE_TILE, j = q / tiles_m % tiles_n * TRANSPOSE_TILE;
    size_t b = q / tiles_m / tiles_n;
    __global const float *from = x + (b * m + i) * n + j;
    __global float *to = y + (b * n + j) * m + i;
    int height = min(TRANSPOSE_TILE, m - i), width = min(TRANSPOSE_TILE, n - j);
#if TEAM_SIZE > 1
    for (int k = TEAM_RANK; k < TRANSPOSE_TILE * TRANSPOSE_TILE; k += TEAM_SIZE) {
      int r = k / TRANSPOSE_TILE, c = k % TRANSPOSE_TILE;
      if (r < height && c < width) tile[r][c] = from[(size_t)r * n + c];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = TEAM_RANK; k < TRANSPOSE_TILE * TRANSPOSE_TILE; k += TEAM_SIZE) {
      int r = k / TRANSPOSE_TILE, c = k % TRANSPOSE_TILE;
      if (r < width && c < height) to[(size_t)r * m + c] = tile[c][r];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#else
    floatL v[LANES];
    if (height == LANES && width == LANES) {
      for (int r = 0; r < LANES; ++r) v[r] = LOAD_PACKED(from + (size_t)r * n);
      transpose_lanes(v);
      for (int r = 0; r < LANES; ++r) STORE_PACKED(v[r], to + (size_t)r * m);
    } else {
      for (int r = 0; r < width; ++r)
        for (int c = 0; c < height; ++c) to[(size_t)r * m + c] = from[(size_t)c * n + r];
    }
#endif
  }
}
