// reduce: sums in a fixed order; means are sums with a factor.
#ifndef REDUCE_CL
#define REDUCE_CL
#include "row_groups.cl"

// y[c] = sum of x[row] over row = c chunk ..< min((c + 1) chunk, rows).  x [rows, n] -> y [ceil(rows / chunk), n], its rows
// at stride y_stride. Sums of many rows take two launches, the second over the chunks of the first.
// Traffic: 4 rows n bytes; rows n FLOPs.
TEAM_KERNEL void column_sum(IN(float, x), OUT(float, y), const int rows, const int n, const int chunk, const int y_stride) {
  USE_IN(float, x);
  USE_OUT(float, y);
  COLUMN_LOCAL;
  const int tiles = COLUMN_TILES(n);
  SHARE_FOR(item, (rows + chunk - 1) / chunk * tiles) {
    const int c = item / tiles, last = min((c + 1) * chunk, rows);
    COLUMN_RUNS(i, COLUMN_FIRST(item % tiles), n, {
      floatL sum[vectors];
      COLUMN_EACH(v) sum[v] = 0.0f;
      for (int row = c * chunk + COLUMN_SLICE; row < last; row += COLUMN_SLICES)
        COLUMN_EACH(v) sum[v] += column_load(x + (size_t)row * n, i + v * LANES, n, whole);
      COLUMN_EACH(v) {
        const floatL total = column_slices_sum(sum[v]);
        if (COLUMN_SLICE == 0) column_store(y + (size_t)c * y_stride, i + v * LANES, n, total, whole);
      }
    })
  }
}

// The sum of p[0 ..< n], in every work-item of the team. Two accumulators hide the latency of the addition.
#if TEAM_SIZE > 1
#define reduce_row(p, n) team_reduce_sum(team_scratch, reduce_row_lanes(p, n))
#else
#define reduce_row(p, n) reduce_row_lanes(p, n)
#endif
static inline float reduce_row_lanes(__global const float *p, int n) {
  floatL even = 0.0f, odd = 0.0f;
  int i = TEAM_RANK * LANES;
  for (; i + (TEAM_SIZE + 1) * LANES <= n; i += 2 * TEAM_SIZE * LANES) {
    even += vloadL(0, p + i);
    odd += vloadL(0, p + i + TEAM_SIZE * LANES);
  }
  for (; i < n; i += TEAM_SIZE * LANES) even += lanes_load(p, i, n);
  return lanes_sum(even + odd);
}

// y[c] = factor * sum of x[i] over i = c chunk ..< min((c + 1) chunk, n).  x [n] -> y [ceil(n / chunk)]. A long sum takes
// two launches, the first with factor 1. Traffic: 4n bytes; n FLOPs.
TEAM_KERNEL void sum_all(IN(float, x), OUT(float, y), const int n, const int chunk, const float factor) {
  USE_IN(float, x);
  USE_OUT(float, y);
  TEAM_LOCAL;
  SHARE_FOR(c, (n + chunk - 1) / chunk) {
    const float sum = reduce_row(x + (size_t)c * chunk, min(chunk, n - c * chunk));
    if (TEAM_RANK == 0) y[c] = factor * sum;
  }
}

// y[row] = factor * sum of x[row].  x [rows, n] -> y [rows]. Traffic: 4 rows n bytes; rows n FLOPs.
TEAM_KERNEL void row_sum_forward(IN(float, x), OUT(float, y), const int rows, const int n, const float factor) {
  USE_IN(float, x);
  USE_OUT(float, y);
  TEAM_LOCAL;
  SHARE_FOR(row, rows) {
    const float sum = reduce_row(x + (size_t)row * n, n);
    if (TEAM_RANK == 0) y[row] = factor * sum;
  }
}

// dx[row] = factor * dy[row].  dy [rows] -> dx [rows, n]. Traffic: 4 rows n bytes.
TEAM_KERNEL void row_sum_backward(IN(float, dy), OUT(float, dx), const int rows, const int n, const float factor) {
  USE_IN(float, dy);
  USE_OUT(float, dx);
  SHARE_FOR(row, rows) {
    const floatL gradient = factor * dy[row];
    TEAM_FOR(i, n) lanes_store(dx + (size_t)row * n, i, n, gradient);
  }
}

#endif
