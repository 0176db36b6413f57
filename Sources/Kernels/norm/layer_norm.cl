// layer_norm: LayerNorm over the last dimension, with an AdaLN modulation fused in where `modulated` is not 0.
//
//   normal = (x - mean) rstd;  affine = normal weight + bias;  y = affine (1 + scale[m]) + shift[m]
//
// x and y [rows, n]; weight and bias [n]; mean and rstd [rows]; scale and shift [groups, n] at row strides of their own, m
// the group of the row (row_groups.cl). Without modulation any tensors may stand for scale and shift; span = rows and
// inner = 1 then make one group of all rows.
#ifndef LAYER_NORM_CL
#define LAYER_NORM_CL
#include "row_groups.cl"

// The statement for each vector of a row: `whole` is 1 for those inside it, 0 for one that its end cuts.
#define LAYER_NORM_COLUMNS(i, n, ...)                                       \
  {                                                                         \
    int i = TEAM_RANK * LANES;                                              \
    for (const int whole = 1; i + LANES <= n; i += TEAM_SIZE * LANES) __VA_ARGS__ \
    if (i < n) {                                                            \
      const int whole = 0;                                                  \
      __VA_ARGS__                                                           \
    }                                                                       \
  }

// y of one row, its statistics known.
static inline void layer_norm_row(__global const float *x_row, __global const float *weight, __global const float *bias,
                                  __global const float *scale_row, __global const float *shift_row,
                                  __global float *y_row, int n, int modulated, float center, float inverse) {
  if (modulated) {
    LAYER_NORM_COLUMNS(i, n, {
      const floatL normal = (column_load(x_row, i, n, whole) - center) * inverse;
      const floatL affine = normal * column_load(weight, i, n, whole) + column_load(bias, i, n, whole);
      const floatL shifted = affine + column_load(shift_row, i, n, whole);
      column_store(y_row, i, n, affine * column_load(scale_row, i, n, whole) + shifted, whole);
    })
  } else {
    LAYER_NORM_COLUMNS(i, n, {
      const floatL normal = (column_load(x_row, i, n, whole) - center) * inverse;
      column_store(y_row, i, n, normal * column_load(weight, i, n, whole) + column_load(bias, i, n, whole), whole);
    })
  }
}

// Rows of a forward step: on a CPU four rows hide each other's latency in the two sums.
#if TEAM_SIZE > 1
#define LAYER_NORM_STEP 1
#define LAYER_NORM_UNROLL
#define LAYER_NORM_STATISTICS float
#define layer_norm_step_sum(v) team_sum(v[0])
#define layer_norm_of_row(statistics, r) (statistics)
#else
#define LAYER_NORM_STEP 4
#define LAYER_NORM_UNROLL _Pragma("unroll")
#define LAYER_NORM_STATISTICS float4
#define layer_norm_step_sum(v) lanes_sum4(v[0], v[1], v[2], v[3])
#define layer_norm_of_row(statistics, r) (((const float *)&(statistics))[r])
#endif
#define LAYER_NORM_EACH(r) LAYER_NORM_UNROLL for (int r = 0; r < LAYER_NORM_STEP; ++r)

// Traffic: 8 rows n bytes (the row is read three times, but stays in the first cache); 8 rows n FLOPs. y may be x.
TEAM_KERNEL void layer_norm_forward(IN(float, x), IN(float, weight), IN(float, bias), IN(float, scale), IN(float, shift),
                                 OUT(float, y), OUT(float, mean), OUT(float, rstd), const int rows, const int n,
                                 const float eps, const int modulated, const int span, const int inner,
                                 const int scale_stride, const int shift_stride) {
  USE_IN(float, x);
  USE_IN(float, weight);
  USE_IN(float, bias);
  USE_IN(float, scale);
  USE_IN(float, shift);
  USE_OUT(float, y);
  USE_OUT(float, mean);
  USE_OUT(float, rstd);
  TEAM_LOCAL;
  const float inverse_n = 1.0f / (float)n;
  SHARE_FOR(step, (rows + LAYER_NORM_STEP - 1) / LAYER_NORM_STEP) {
    // Past the last row the last is taken again, and not stored.
    int row[LAYER_NORM_STEP];
    __global const float *x_row[LAYER_NORM_STEP];
    floatL sum[LAYER_NORM_STEP];
    LAYER_NORM_EACH(r) {
      row[r] = min(step * LAYER_NORM_STEP + r, rows - 1);
      x_row[r] = x + (size_t)row[r] * n;
      sum[r] = 0.0f;
    }
    LAYER_NORM_COLUMNS(i, n, { LAYER_NORM_EACH(r) sum[r] += column_load(x_row[r], i, n, whole); })
    const LAYER_NORM_STATISTICS center = layer_norm_step_sum(sum) * inverse_n;
    LAYER_NORM_EACH(r) sum[r] = 0.0f;
    LAYER_NORM_COLUMNS(i, n, {
      LAYER_NORM_EACH(r) {
        floatL d = column_load(x_row[r], i, n, whole) - layer_norm_of_row(center, r);
        if (!whole) d = lanes_keep(d, i, n, 0.0f);
        sum[r] = d * d + sum[r];
      }
    })
    const LAYER_NORM_STATISTICS inverse = 1.0f / sqrt(layer_norm_step_sum(sum) * inverse_n + eps);
    for (int r = 0; r < LAYER_NORM_STEP && step * LAYER_NORM_STEP + r < rows; ++r) {
      const int m = modulated ? group_of_row(row[r], span, inner) : 0;
      layer_norm_row(x_row[r], weight, bias, scale + (size_t)m * scale_stride, shift + (size_t)m * shift_stride,
                     y + (size_t)row[r] * n, n, modulated, layer_norm_of_row(center, r), layer_norm_of_row(inverse, r));
      if (TEAM_RANK == 0) {
        mean[row[r]] = layer_norm_of_row(center, r);
        rstd[row[r]] = layer_norm_of_row(inverse, r);
      }
    }
  }
}

// Rows that backward takes together: eight sums then cost one reduction, and a partial sum is touched once for four rows.
#define LAYER_NORM_ROWS 4
// The first `count` of them, a constant where this has been inlined: unrolled, so that what is summed is in registers.
#define LAYER_NORM_EACH_OF(r, count) _Pragma("unroll") for (int r = 0; r < LAYER_NORM_ROWS; ++r) if (r < (count))

// The eight values summed over the team.
#if TEAM_SIZE > 1
#define LAYER_NORM_LOCAL __local float8 layer_norm_scratch[TEAM_SIZE]
#define LAYER_NORM_TAKE_LOCAL , __local float8 *layer_norm_scratch
#define LAYER_NORM_PASS_LOCAL , layer_norm_scratch
#define layer_norm_sums(v) layer_norm_reduce(layer_norm_scratch, v)
static inline float8 layer_norm_reduce(__local float8 *scratch, float8 v) {
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[TEAM_RANK] = v;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int half_size = TEAM_SIZE / 2; half_size > 0; half_size >>= 1) {
    if (TEAM_RANK < half_size) scratch[TEAM_RANK] += scratch[TEAM_RANK + half_size];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  return scratch[0];
}
#else
#define LAYER_NORM_LOCAL
#define LAYER_NORM_TAKE_LOCAL
#define LAYER_NORM_PASS_LOCAL
#define layer_norm_sums(v) (v)
#endif

// With g = dy weight (1 + scale), a row's gradient is dx = rstd (g - mean(g) - normal mean(g normal)).

// This work-item's share of sum(g) and of sum(g normal) of `count` rows (a constant at every call): elements r and 4 + r.
static inline float8 layer_norm_gradient_sums(__global const float *dy, __global const float *x,
                                              __global const float *mean, __global const float *rstd,
                                              __global const float *weight, __global const float *scale_row, int n,
                                              int modulated, int row, int step, const int count) {
  floatL sum[LAYER_NORM_ROWS], product[LAYER_NORM_ROWS];
  LAYER_NORM_EACH_OF(r, LAYER_NORM_ROWS) sum[r] = product[r] = 0.0f;
  LAYER_NORM_COLUMNS(i, n, {
    floatL factor = column_load(weight, i, n, whole);
    if (modulated) factor = factor * column_load(scale_row, i, n, whole) + factor;
    LAYER_NORM_EACH_OF(r, count) {
      const size_t start = (size_t)(row + r * step) * n;
      const floatL gradient = column_load(dy + start, i, n, whole) * factor;
      const floatL normal = (column_load(x + start, i, n, whole) - mean[row + r * step]) * rstd[row + r * step];
      sum[r] += gradient;
      product[r] = gradient * normal + product[r];
    }
  })
  return (float8)(lanes_sum4(sum[0], sum[1], sum[2], sum[3]), lanes_sum4(product[0], product[1], product[2], product[3]));
}

// dx of those rows from the means of g and g normal; their sums of dy normal and dy join `partial`, or start it.
static inline void layer_norm_gradient(__global const float *dy, __global const float *x, __global const float *mean,
                                       __global const float *rstd, __global const float *weight,
                                       __global const float *scale_row, __global const float *residual,
                                       __global float *dx, __global float *partial, int n, int modulated, int adds,
                                       int row, int step, const int count, int starts, float8 row_means) {
  float means[2 * LAYER_NORM_ROWS];
  vstore8(row_means, 0, means);
  LAYER_NORM_COLUMNS(i, n, {
    floatL factor = column_load(weight, i, n, whole);
    floatL dscale = 0.0f;
    floatL dshift = 0.0f;
    if (modulated) factor = factor * column_load(scale_row, i, n, whole) + factor;
    if (!starts) {
      dscale = column_load(partial, i, n, whole);
      dshift = column_load(partial + n, i, n, whole);
    }
    LAYER_NORM_EACH_OF(r, count) {
      const size_t start = (size_t)(row + r * step) * n;
      const float inverse = rstd[row + r * step];
      const floatL gradient = column_load(dy + start, i, n, whole);
      const floatL normal = (column_load(x + start, i, n, whole) - mean[row + r * step]) * inverse;
      dscale = gradient * normal + dscale;
      dshift += gradient;
      floatL change = (gradient * factor - (normal * means[LAYER_NORM_ROWS + r] + means[r])) * inverse;
      if (adds) change += column_load(residual + start, i, n, whole);
      column_store(dx + start, i, n, change, whole);
    }
    column_store(partial, i, n, dscale, whole);
    column_store(partial + n, i, n, dshift, whole);
  })
}

// One step of what follows: `count` rows from row k of the group on.
#define LAYER_NORM_GRADIENT(count)                                                                                   \
  const int row = row_of_group(group, k, span, inner);                                                               \
  const float8 means = layer_norm_sums(layer_norm_gradient_sums(dy, x, mean, rstd, weight, scale_row, n, modulated,  \
                                                                row, inner, count)) / (float)n;                      \
  layer_norm_gradient(dy, x, mean, rstd, weight, scale_row, residual, dx, partial, n, modulated, adds, row, inner, count, \
                      k == first, means)

// Rows first..<last of a group: their dx, and in `partial` their sums of dy normal and dy.
CALLED void layer_norm_backward_rows(__global const float *dy, __global const float *x, __global const float *mean,
                                     __global const float *rstd, __global const float *weight,
                                     __global const float *scale_row, __global const float *residual, __global float *dx,
                                     __global float *partial, int n, int modulated, int adds, int group, int span, int inner,
                                     int first, int last LAYER_NORM_TAKE_LOCAL) {
  int k = first;
  for (; k + LAYER_NORM_ROWS <= last; k += LAYER_NORM_ROWS) {
    LAYER_NORM_GRADIENT(LAYER_NORM_ROWS);
  }
  for (; k < last; ++k) {
    LAYER_NORM_GRADIENT(1);
  }
}

// dx, and for layer_norm_backward_parameters the sums over each chunk of rows (row_groups.cl) of dy normal and dy:
// partial [chunks, 2, n]. Where `adds` is not 0, residual [rows, n] is added to dx; else any tensor may stand for it. dx may
// be dy, x or residual.
// Traffic: 12 rows n bytes (dy and x are read twice, the second time from the cache), 16 with a residual; 14 rows n FLOPs.
TEAM_KERNEL void layer_norm_backward(IN(float, dy), IN(float, x), IN(float, mean), IN(float, rstd), IN(float, weight),
                                  IN(float, scale), IN(float, residual), OUT(float, dx), OUT(float, partial),
                                  const int rows, const int n, const int modulated, const int adds, const int span,
                                  const int inner, const int chunk, const int scale_stride) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, rstd);
  USE_IN(float, weight);
  USE_IN(float, scale);
  USE_IN(float, residual);
  USE_OUT(float, dx);
  USE_OUT(float, partial);
  LAYER_NORM_LOCAL;
  const int per_group = chunks_of_group(span, inner, chunk);
  SHARE_FOR(c, rows / span * inner * per_group) {
    const int group = c / per_group, first = c % per_group * chunk, last = min(first + chunk, span / inner);
    __global const float *scale_row = scale + (modulated ? (size_t)group * scale_stride : 0);
    layer_norm_backward_rows(dy, x, mean, rstd, weight, scale_row, residual, dx, partial + (size_t)c * 2 * n, n, modulated,
                             adds, group, span, inner, first, last LAYER_NORM_PASS_LOCAL);
  }
}

// Where each row has a modulation of its own, dscale = dy affine and dshift = dy are no sums. What is left to sum is
// dweight = sum_m (1 + scale[m]) dy normal and dbias = sum_m (1 + scale[m]) dy.

// layer_norm_gradient_sums of `count` rows from `row` on, each with its scale.
static inline float8 layer_norm_each_sums(__global const float *dy, __global const float *x, __global const float *mean,
                                          __global const float *rstd, __global const float *weight,
                                          __global const float *scale, int n, int row, int scale_stride, const int count) {
  floatL sum[LAYER_NORM_ROWS], product[LAYER_NORM_ROWS];
  LAYER_NORM_EACH_OF(r, LAYER_NORM_ROWS) sum[r] = product[r] = 0.0f;
  LAYER_NORM_COLUMNS(i, n, {
    const floatL w = column_load(weight, i, n, whole);
    LAYER_NORM_EACH_OF(r, count) {
      const size_t start = (size_t)(row + r) * n;
      const floatL factor = w * column_load(scale + (size_t)(row + r) * scale_stride, i, n, whole) + w;
      const floatL gradient = column_load(dy + start, i, n, whole) * factor;
      const floatL normal = (column_load(x + start, i, n, whole) - mean[row + r]) * rstd[row + r];
      sum[r] += gradient;
      product[r] = gradient * normal + product[r];
    }
  })
  return (float8)(lanes_sum4(sum[0], sum[1], sum[2], sum[3]), lanes_sum4(product[0], product[1], product[2], product[3]));
}

// dx, dscale and dshift of those rows from the means of g and g normal; where `sums` is not 0, what they add to dweight and
// dbias joins `partial`, or starts it.
static inline void layer_norm_each_gradient(__global const float *dy, __global const float *x, __global const float *mean,
                                            __global const float *rstd, __global const float *weight,
                                            __global const float *bias, __global const float *scale,
                                            __global const float *residual, __global float *dx, __global float *dscale,
                                            __global float *dshift, __global float *partial, int n, int adds, int sums,
                                            int row, int scale_stride, int dscale_stride, int dshift_stride,
                                            const int count, int starts, float8 row_means) {
  float means[2 * LAYER_NORM_ROWS];
  vstore8(row_means, 0, means);
  LAYER_NORM_COLUMNS(i, n, {
    const floatL w = column_load(weight, i, n, whole), b = column_load(bias, i, n, whole);
    floatL dweight = 0.0f;
    floatL dbias = 0.0f;
    if (sums && !starts) {
      dweight = column_load(partial, i, n, whole);
      dbias = column_load(partial + n, i, n, whole);
    }
    LAYER_NORM_EACH_OF(r, count) {
      const size_t start = (size_t)(row + r) * n;
      const float inverse = rstd[row + r];
      const floatL gradient = column_load(dy + start, i, n, whole);
      const floatL normal = (column_load(x + start, i, n, whole) - mean[row + r]) * inverse;
      const floatL scaled = gradient * column_load(scale + (size_t)(row + r) * scale_stride, i, n, whole) + gradient;
      dweight = scaled * normal + dweight;
      dbias += scaled;
      floatL change = (scaled * w - (normal * means[LAYER_NORM_ROWS + r] + means[r])) * inverse;
      if (adds) change += column_load(residual + start, i, n, whole);
      column_store(dscale + (size_t)(row + r) * dscale_stride, i, n, gradient * (normal * w + b), whole);
      column_store(dshift + (size_t)(row + r) * dshift_stride, i, n, gradient, whole);
      column_store(dx + start, i, n, change, whole);
    }
    if (sums) {
      column_store(partial, i, n, dweight, whole);
      column_store(partial + n, i, n, dbias, whole);
    }
  })
}

#define LAYER_NORM_EACH_GRADIENT(count)                                                                                   \
  const float8 means =                                                                                                    \
      layer_norm_sums(layer_norm_each_sums(dy, x, mean, rstd, weight, scale, n, row, scale_stride, count)) / (float)n;    \
  layer_norm_each_gradient(dy, x, mean, rstd, weight, bias, scale, residual, dx, dscale, dshift, partial, n, adds, sums,  \
                           row, scale_stride, dscale_stride, dshift_stride, count, row == first, means)

CALLED void layer_norm_each_rows(__global const float *dy, __global const float *x, __global const float *mean,
                                 __global const float *rstd, __global const float *weight, __global const float *bias,
                                 __global const float *scale, __global const float *residual, __global float *dx,
                                 __global float *dscale, __global float *dshift, __global float *partial, int n, int adds,
                                 int sums, int first, int last, int scale_stride, int dscale_stride,
                                 int dshift_stride LAYER_NORM_TAKE_LOCAL) {
  int row = first;
  for (; row + LAYER_NORM_ROWS <= last; row += LAYER_NORM_ROWS) {
    LAYER_NORM_EACH_GRADIENT(LAYER_NORM_ROWS);
  }
  for (; row < last; ++row) {
    LAYER_NORM_EACH_GRADIENT(1);
  }
}

// dx, dscale and dshift where row m of scale is for row m of x, and where `sums` is not 0 the sums over each chunk of rows
// that make dweight and dbias: partial [chunks, 2, n], for layer_norm_backward_parameters without modulation; else any
// tensor may stand for it. Residual and dx as above.
// Traffic: 24 rows n bytes, 28 with a residual; 20 rows n FLOPs.
TEAM_KERNEL void layer_norm_backward_each(IN(float, dy), IN(float, x), IN(float, mean), IN(float, rstd), IN(float, weight),
                                          IN(float, bias), IN(float, scale), IN(float, residual), OUT(float, dx),
                                          OUT(float, dscale), OUT(float, dshift), OUT(float, partial), const int rows,
                                          const int n, const int adds, const int sums, const int chunk,
                                          const int scale_stride, const int dscale_stride, const int dshift_stride) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, rstd);
  USE_IN(float, weight);
  USE_IN(float, bias);
  USE_IN(float, scale);
  USE_IN(float, residual);
  USE_OUT(float, dx);
  USE_OUT(float, dscale);
  USE_OUT(float, dshift);
  USE_OUT(float, partial);
  LAYER_NORM_LOCAL;
  SHARE_FOR(c, (rows + chunk - 1) / chunk) {
    layer_norm_each_rows(dy, x, mean, rstd, weight, bias, scale, residual, dx, dscale, dshift, partial + (size_t)c * 2 * n, n,
                         adds, sums, c * chunk, min(c * chunk + chunk, rows), scale_stride, dscale_stride,
                         dshift_stride LAYER_NORM_PASS_LOCAL);
  }
}

// Gradients of the parameters and the modulation from the partial sums. With P = sum dy normal and S = sum dy over group m
//
//   dscale[m] = weight P + bias S;  dshift[m] = S;  dweight = sum_m (1 + scale[m]) P;  dbias = sum_m (1 + scale[m]) S
//
// `units` units of `per_unit` consecutive partial sums: with modulation a unit is a group with its chunks, without it a
// single chunk (and dscale, dshift are not touched). Traffic: 8 units per_unit n bytes.
TEAM_KERNEL void layer_norm_backward_parameters(IN(float, partial), IN(float, weight), IN(float, bias), IN(float, scale),
                                             OUT(float, dweight), OUT(float, dbias), OUT(float, dscale),
                                             OUT(float, dshift), const int n, const int modulated, const int units,
                                             const int per_unit, const int scale_stride, const int dscale_stride,
                                             const int dshift_stride) {
  USE_IN(float, partial);
  USE_IN(float, weight);
  USE_IN(float, bias);
  USE_IN(float, scale);
  USE_OUT(float, dweight);
  USE_OUT(float, dbias);
  USE_OUT(float, dscale);
  USE_OUT(float, dshift);
  COLUMN_LOCAL;
  SHARE_FOR(tile, COLUMN_TILES(n)) for (int v = 0; v < COLUMN_TILE_VECTORS; ++v) {
    const int i = COLUMN_FIRST(tile) + v * LANES;
    floatL weight_sum = 0.0f, bias_sum = 0.0f;
    if (i < n) {
      const floatL w = lanes_load(weight, i, n), b = lanes_load(bias, i, n);
      for (int unit = COLUMN_SLICE; unit < units; unit += COLUMN_SLICES) {
        floatL product = 0.0f, plain = 0.0f;
        for (int c = unit * per_unit; c < (unit + 1) * per_unit; ++c) {
          product += lanes_load(partial + (size_t)c * 2 * n, i, n);
          plain += lanes_load(partial + (size_t)c * 2 * n + n, i, n);
        }
        if (modulated) {
          lanes_store(dscale + (size_t)unit * dscale_stride, i, n, w * product + b * plain);
          lanes_store(dshift + (size_t)unit * dshift_stride, i, n, plain);
          const floatL factor = lanes_load(scale + (size_t)unit * scale_stride, i, n);
          product = factor * product + product;
          plain = factor * plain + plain;
        }
        weight_sum += product;
        bias_sum += plain;
      }
    }
    weight_sum = column_slices_sum(weight_sum);
    bias_sum = column_slices_sum(bias_sum);
    if (COLUMN_SLICE == 0) {
      lanes_store(dweight, i, n, weight_sum);
      lanes_store(dbias, i, n, bias_sum);
    }
  }
}

#endif
