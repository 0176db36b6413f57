// residual: y[row] = x[row] + gate[m] h[row] keep, m the modulation row of `row` (row_groups.cl).
// x, h and y [rows, n]; gate [groups, n] at a row stride of its own, or none; keep the factors of dropout (philox.cl), or
// none. Dropout numbers the elements of a row from row * RESIDUAL_ROW(n) on, which keeps whole vectors of it aligned.
#ifndef RESIDUAL_CL
#define RESIDUAL_CL
#include "philox.cl"
#include "row_groups.cl"

#define RESIDUAL_ROW(n) (((n) + 15) & ~15)

// `dropout` is a constant at every call.
static inline void residual_row(__global const float *x, __global const float *h, __global const float *gate,
                                __global float *y, int n, int gated, int dropout, uint4 clock, int stream, ulong element,
                                float probability) {
  TEAM_FOR(i, n) {
    floatL branch = lanes_load(h, i, n);
    if (gated) branch *= lanes_load(gate, i, n);
    if (dropout) branch *= dropout_lanes(clock, stream, element + i, probability);
    lanes_store(y, i, n, lanes_load(x, i, n) + branch);
  }
}

// No dropout. Without a gate (gated = 0) any tensor may stand in its place. y may be x or h.
// Traffic: 12 rows n bytes and the gate once a group; 2 rows n FLOPs.
TEAM_KERNEL void residual_forward(IN(float, x), IN(float, h), IN(float, gate), OUT(float, y), const int rows, const int n,
                               const int gated, const int span, const int inner, const int gate_stride) {
  USE_IN(float, x);
  USE_IN(float, h);
  USE_IN(float, gate);
  USE_OUT(float, y);
  SHARE_FOR(row, rows) {
    const size_t start = (size_t)row * n;
    const int m = gated ? group_of_row(row, span, inner) : 0;
    residual_row(x + start, h + start, gate + (size_t)m * gate_stride, y + start, n, gated, 0, (uint4)(0), 0, 0, 0.0f);
  }
}

// The same with dropout on h: probability p of 0, else 1 / (1 - p). Some 40 integer operations an element more.
TEAM_KERNEL void residual_dropout_forward(IN(float, x), IN(float, h), IN(float, gate), IN(uint, clock), OUT(float, y),
                                       const int rows, const int n, const int gated, const int span, const int inner,
                                       const int gate_stride, const int stream, const float probability) {
  USE_IN(float, x);
  USE_IN(float, h);
  USE_IN(float, gate);
  USE_IN(uint, clock);
  USE_OUT(float, y);
  const uint4 now = clock_load(clock);
  SHARE_FOR(row, rows) {
    const size_t start = (size_t)row * n;
    const int m = gated ? group_of_row(row, span, inner) : 0;
    residual_row(x + start, h + start, gate + (size_t)m * gate_stride, y + start, n, gated, 1, now, stream,
                 (ulong)row * RESIDUAL_ROW(n), probability);
  }
}

// All tiles of a gated residual's gradient: dh of a chunk of rows, and the sum of dy h keep over it. `dropout` is a
// constant at every use.
#define RESIDUAL_BACKWARD(dropout, clock, stream, probability)                                                          \
  COLUMN_LOCAL;                                                                                                         \
  const int per_group = chunks_of_group(span, inner, chunk), tiles = COLUMN_TILES(n);                                   \
  SHARE_FOR(item, rows / span * inner * per_group * tiles) {                                                            \
    const int c = item / tiles;                                                                                         \
    const int group = c / per_group, first = c % per_group * chunk, last = min(first + chunk, span / inner);            \
    COLUMN_RUNS(i, COLUMN_FIRST(item % tiles), n, {                                                                     \
      floatL gates[vectors];                                                                                            \
      floatL sum[vectors];                                                                                              \
      COLUMN_EACH(v) {                                                                                                  \
        gates[v] = column_load(gate + (size_t)group * gate_stride, i + v * LANES, n, whole);                            \
        sum[v] = 0.0f;                                                                                                  \
      }                                                                                                                 \
      for (int k = first + COLUMN_SLICE; k < last; k += COLUMN_SLICES) {                                                \
        const int row = row_of_group(group, k, span, inner);                                                            \
        const size_t start = (size_t)row * n;                                                                           \
        COLUMN_EACH(v) {                                                                                                \
          const int j = i + v * LANES;                                                                                  \
          floatL gradient = column_load(dy + start, j, n, whole);                                                       \
          if (dropout) gradient *= dropout_lanes(clock, stream, (ulong)row * RESIDUAL_ROW(n) + j, probability);         \
          sum[v] = gradient * column_load(h + start, j, n, whole) + sum[v];                                             \
          column_store(dh + start, j, n, gradient * gates[v], whole);                                                   \
        }                                                                                                               \
      }                                                                                                                 \
      COLUMN_EACH(v) {                                                                                                  \
        const floatL total = column_slices_sum(sum[v]);                                                                 \
        if (COLUMN_SLICE == 0) column_store(dgate + (size_t)c * dgate_stride, i + v * LANES, n, total, whole);          \
      }                                                                                                                 \
    })                                                                                                                  \
  }

// dh = dy gate[m];  dgate[c] = sum over the rows of chunk c of dy h (dx is dy itself). With one chunk a group, dgate is the
// gradient; with more, partial sums for column_sum. Traffic: 12 rows n bytes; 3 rows n FLOPs. dh may be dy or h.
TEAM_KERNEL void residual_backward(IN(float, dy), IN(float, h), IN(float, gate), OUT(float, dh), OUT(float, dgate),
                                const int rows, const int n, const int span, const int inner, const int chunk,
                                const int gate_stride, const int dgate_stride) {
  USE_IN(float, dy);
  USE_IN(float, h);
  USE_IN(float, gate);
  USE_OUT(float, dh);
  USE_OUT(float, dgate);
  RESIDUAL_BACKWARD(0, (uint4)(0), 0, 0.0f)
}

// The same with dropout, drawing the numbers of the forward pass again. Without a gate, dh is the dropout of dy
// (residual_dropout_gradient).
TEAM_KERNEL void residual_dropout_backward(IN(float, dy), IN(float, h), IN(float, gate), IN(uint, clock), OUT(float, dh),
                                        OUT(float, dgate), const int rows, const int n, const int span, const int inner,
                                        const int chunk, const int gate_stride, const int dgate_stride, const int stream,
                                        const float probability) {
  USE_IN(float, dy);
  USE_IN(float, h);
  USE_IN(float, gate);
  USE_IN(uint, clock);
  USE_OUT(float, dh);
  USE_OUT(float, dgate);
  const uint4 now = clock_load(clock);
  RESIDUAL_BACKWARD(1, now, stream, probability)
}

// dh = dy keep, for a residual without a gate. [rows, n]: 8 rows n bytes. In place is fine.
TEAM_KERNEL void residual_dropout_gradient(IN(float, dy), IN(uint, clock), OUT(float, dh), const int rows, const int n,
                                        const int stream, const float probability) {
  USE_IN(float, dy);
  USE_IN(uint, clock);
  USE_OUT(float, dh);
  const uint4 now = clock_load(clock);
  SHARE_FOR(row, rows) {
    const size_t start = (size_t)row * n;
    TEAM_FOR(i, n) {
      const floatL keep = dropout_lanes(now, stream, (ulong)row * RESIDUAL_ROW(n) + i, probability);
      lanes_store(dh + start, i, n, lanes_load(dy + start, i, n) * keep);
    }
  }
}

#endif
