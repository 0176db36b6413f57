// modulate: y[row] = x[row] (1 + scale[m]) + shift[m], m the modulation row of `row` (row_groups.cl).
// x and y [rows, n]; scale and shift [groups, n] at a row stride of their own, as they may be columns of a wider tensor.
#ifndef MODULATE_CL
#define MODULATE_CL
#include "row_groups.cl"

// Traffic: 8 rows n bytes and the modulation once a group; 2 rows n FLOPs. In place is fine.
TEAM_KERNEL void modulate_forward(IN(float, x), IN(float, scale), IN(float, shift), OUT(float, y), const int rows,
                               const int n, const int span, const int inner, const int scale_stride,
                               const int shift_stride) {
  USE_IN(float, x);
  USE_IN(float, scale);
  USE_IN(float, shift);
  USE_OUT(float, y);
  SHARE_FOR(row, rows) {
    const int m = group_of_row(row, span, inner);
    __global const float *x_row = x + (size_t)row * n;
    __global const float *scale_row = scale + (size_t)m * scale_stride;
    __global const float *shift_row = shift + (size_t)m * shift_stride;
    __global float *y_row = y + (size_t)row * n;
    TEAM_FOR(i, n) {
      const floatL v = lanes_load(x_row, i, n);
      lanes_store(y_row, i, n, (v * lanes_load(scale_row, i, n) + v) + lanes_load(shift_row, i, n));
    }
  }
}

// dx = dy (1 + scale[m]);  dscale[c] = sum over the rows of chunk c of dy x;  dshift[c] = sum of dy.
// With one chunk a group, dscale and dshift are the gradients; with more, they are partial sums for column_sum.
// Traffic: 12 rows n bytes; 4 rows n FLOPs. dx may be dy or x.
TEAM_KERNEL void modulate_backward(IN(float, dy), IN(float, x), IN(float, scale), OUT(float, dx), OUT(float, dscale),
                                OUT(float, dshift), const int rows, const int n, const int span, const int inner,
                                const int chunk, const int scale_stride, const int dscale_stride,
                                const int dshift_stride) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, scale);
  USE_OUT(float, dx);
  USE_OUT(float, dscale);
  USE_OUT(float, dshift);
  COLUMN_LOCAL;
  const int per_group = chunks_of_group(span, inner, chunk), tiles = COLUMN_TILES(n);
  SHARE_FOR(item, rows / span * inner * per_group * tiles) {
    const int c = item / tiles;
    const int group = c / per_group, first = c % per_group * chunk, last = min(first + chunk, span / inner);
    COLUMN_RUNS(i, COLUMN_FIRST(item % tiles), n, {
      floatL factor[vectors];
      floatL dscale_sum[vectors];
      floatL dshift_sum[vectors];
      COLUMN_EACH(v) {
        factor[v] = 1.0f + column_load(scale + (size_t)group * scale_stride, i + v * LANES, n, whole);
        dscale_sum[v] = dshift_sum[v] = 0.0f;
      }
      for (int k = first + COLUMN_SLICE; k < last; k += COLUMN_SLICES) {
        const size_t row = (size_t)row_of_group(group, k, span, inner) * n;
        COLUMN_EACH(v) {
          const int j = i + v * LANES;
          const floatL gradient = column_load(dy + row, j, n, whole);
          dscale_sum[v] = gradient * column_load(x + row, j, n, whole) + dscale_sum[v];
          dshift_sum[v] += gradient;
          column_store(dx + row, j, n, gradient * factor[v], whole);
        }
      }
      COLUMN_EACH(v) {
        const floatL a = column_slices_sum(dscale_sum[v]);
        const floatL b = column_slices_sum(dshift_sum[v]);
        if (COLUMN_SLICE == 0) {
          column_store(dscale + (size_t)c * dscale_stride, i + v * LANES, n, a, whole);
          column_store(dshift + (size_t)c * dshift_stride, i + v * LANES, n, b, whole);
        }
      }
    })
  }
}

#endif
