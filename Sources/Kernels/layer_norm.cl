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

// Traffic: 8 rows n bytes (the row is read three times, but stays in the first cache); 8 rows n FLOPs. y may be x.
__kernel void layer_norm_forward(IN(float, x), IN(float, weight), IN(float, bias), IN(float, scale), IN(float, shift),
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
  SHARE_FOR(row, rows) {
    __global const float *x_row = x + (size_t)row * n;
    __global float *y_row = y + (size_t)row * n;
    floatL sum = 0.0f;
    TEAM_FOR(i, n) sum += lanes_load(x_row, i, n);
    const float center = team_sum(sum) / (float)n;
    sum = 0.0f;
    TEAM_FOR(i, n) {
      const floatL d = lanes_keep(lanes_load(x_row, i, n) - center, i, n, 0.0f);
      sum = mad(d, d, sum);
    }
    const float inverse = 1.0f / sqrt(team_sum(sum) / (float)n + eps);
    if (modulated) {
      const int m = group_of_row(row, span, inner);
      __global const float *scale_row = scale + (size_t)m * scale_stride;
      __global const float *shift_row = shift + (size_t)m * shift_stride;
      TEAM_FOR(i, n) {
        const floatL normal = (lanes_load(x_row, i, n) - center) * inverse;
        const floatL affine = mad(normal, lanes_load(weight, i, n), lanes_load(bias, i, n));
        const floatL shifted = affine + lanes_load(shift_row, i, n);
        lanes_store(y_row, i, n, mad(affine, lanes_load(scale_row, i, n), shifted));
      }
    } else {
      TEAM_FOR(i, n) {
        const floatL normal = (lanes_load(x_row, i, n) - center) * inverse;
        lanes_store(y_row, i, n, mad(normal, lanes_load(weight, i, n), lanes_load(bias, i, n)));
      }
    }
    if (TEAM_RANK == 0) {
      mean[row] = center;
      rstd[row] = inverse;
    }
  }
}

// Rows that backward takes together: eight sums then cost one reduction, and a partial sum is touched once for four rows.
#define LAYER_NORM_ROWS 4

// The eight values summed over the team.
#if TEAM_SIZE > 1
#define LAYER_NORM_LOCAL __local float8 layer_norm_scratch[TEAM_SIZE]
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
#define layer_norm_sums(v) (v)
#endif

// With g = dy weight (1 + scale), a row's gradient is dx = rstd (g - mean(g) - normal mean(g normal)).

// The two sums of a row that its gradient needs.
#define LAYER_NORM_STATISTICS(r)                                                    \
  const floatL gradient##r = lanes_load(dy + start[r], i, n) * factor;              \
  const floatL normal##r = (lanes_load(x + start[r], i, n) - center[r]) * inverse[r]; \
  sum##r += gradient##r;                                                            \
  product##r = mad(gradient##r, normal##r, product##r)

// dx of `count` rows (a constant at every call), whose sums of dy normal and dy join `partial`, or start it.
static inline void layer_norm_gradient(__global const float *dy, __global const float *x, __global const float *mean,
                                       __global const float *rstd, __global const float *weight,
                                       __global const float *scale_row, __global float *dx, __global float *partial,
                                       int n, int modulated, int row, int step, int count, int start_partial
#if TEAM_SIZE > 1
                                       ,
                                       __local float8 *layer_norm_scratch
#endif
) {
  size_t start[LAYER_NORM_ROWS];
  float center[LAYER_NORM_ROWS], inverse[LAYER_NORM_ROWS];
  for (int r = 0; r < count; ++r) {
    start[r] = (size_t)(row + r * step) * n;
    center[r] = mean[row + r * step];
    inverse[r] = rstd[row + r * step];
  }
  floatL sum0 = 0.0f, sum1 = 0.0f, sum2 = 0.0f, sum3 = 0.0f;
  floatL product0 = 0.0f, product1 = 0.0f, product2 = 0.0f, product3 = 0.0f;
  TEAM_FOR(i, n) {
    floatL factor = lanes_load(weight, i, n);
    if (modulated) factor = mad(factor, lanes_load(scale_row, i, n), factor);
    LAYER_NORM_STATISTICS(0);
    if (count > 1) {
      LAYER_NORM_STATISTICS(1);
      LAYER_NORM_STATISTICS(2);
      LAYER_NORM_STATISTICS(3);
    }
  }
  float8 sums = 0.0f;
  sums.s0 = lanes_sum(sum0);
  sums.s4 = lanes_sum(product0);
  if (count > 1) {
    sums.s1 = lanes_sum(sum1);
    sums.s2 = lanes_sum(sum2);
    sums.s3 = lanes_sum(sum3);
    sums.s5 = lanes_sum(product1);
    sums.s6 = lanes_sum(product2);
    sums.s7 = lanes_sum(product3);
  }
  sums = layer_norm_sums(sums) / (float)n;
  float mean_gradient[8];
  vstore8(sums, 0, mean_gradient);
  TEAM_FOR(i, n) {
    floatL factor = lanes_load(weight, i, n), dscale = 0.0f, dshift = 0.0f;
    if (modulated) factor = mad(factor, lanes_load(scale_row, i, n), factor);
    if (!start_partial) {
      dscale = lanes_load(partial, i, n);
      dshift = lanes_load(partial + n, i, n);
    }
    for (int r = 0; r < count; ++r) {
      const floatL gradient = lanes_load(dy + start[r], i, n);
      const floatL normal = (lanes_load(x + start[r], i, n) - center[r]) * inverse[r];
      dscale = mad(gradient, normal, dscale);
      dshift += gradient;
      const floatL change = mad(gradient, factor, -(normal * mean_gradient[4 + r] + mean_gradient[r])) * inverse[r];
      lanes_store(dx + start[r], i, n, change);
    }
    lanes_store(partial, i, n, dscale);
    lanes_store(partial + n, i, n, dshift);
  }
}
#if TEAM_SIZE > 1
#define LAYER_NORM_GRADIENT(...) layer_norm_gradient(__VA_ARGS__, layer_norm_scratch)
#else
#define LAYER_NORM_GRADIENT(...) layer_norm_gradient(__VA_ARGS__)
#endif

// dx, and for layer_norm_backward_parameters the sums over each chunk of rows (row_groups.cl) of dy normal and dy:
// partial [chunks, 2, n]. dx may be dy or x.
// Traffic: 12 rows n bytes (dy and x are read twice, the second time from the cache); 14 rows n FLOPs.
__kernel void layer_norm_backward(IN(float, dy), IN(float, x), IN(float, mean), IN(float, rstd), IN(float, weight),
                                  IN(float, scale), OUT(float, dx), OUT(float, partial), const int rows, const int n,
                                  const int modulated, const int span, const int inner, const int chunk,
                                  const int scale_stride) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, rstd);
  USE_IN(float, weight);
  USE_IN(float, scale);
  USE_OUT(float, dx);
  USE_OUT(float, partial);
  LAYER_NORM_LOCAL;
  const int per_group = chunks_of_group(span, inner, chunk);
  SHARE_FOR(c, rows / span * inner * per_group) {
    const int group = c / per_group, first = c % per_group * chunk, last = min(first + chunk, span / inner);
    __global const float *scale_row = scale + (modulated ? (size_t)group * scale_stride : 0);
    __global float *sums = partial + (size_t)c * 2 * n;
    int k = first;
    for (; k + LAYER_NORM_ROWS <= last; k += LAYER_NORM_ROWS)
      LAYER_NORM_GRADIENT(dy, x, mean, rstd, weight, scale_row, dx, sums, n, modulated,
                          row_of_group(group, k, span, inner), inner, LAYER_NORM_ROWS, k == first);
    for (; k < last; ++k)
      LAYER_NORM_GRADIENT(dy, x, mean, rstd, weight, scale_row, dx, sums, n, modulated,
                          row_of_group(group, k, span, inner), inner, 1, k == first);
  }
}

// Gradients of the parameters and the modulation from the partial sums. With P = sum dy normal and S = sum dy over group m
//
//   dscale[m] = weight P + bias S;  dshift[m] = S;  dweight = sum_m (1 + scale[m]) P;  dbias = sum_m (1 + scale[m]) S
//
// `units` units of `per_unit` consecutive partial sums: with modulation a unit is a group with its chunks, without it a
// single chunk (and dscale, dshift are not touched). Traffic: 8 units per_unit n bytes.
__kernel void layer_norm_backward_parameters(IN(float, partial), IN(float, weight), IN(float, bias), IN(float, scale),
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
  SHARE_FOR(tile, COLUMN_TILES(n)) COLUMN_EACH(v) {
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
          lanes_store(dscale + (size_t)unit * dscale_stride, i, n, mad(w, product, b * plain));
          lanes_store(dshift + (size_t)unit * dshift_stride, i, n, plain);
          const floatL factor = lanes_load(scale + (size_t)unit * scale_stride, i, n);
          product = mad(factor, product, product);
          plain = mad(factor, plain, plain);
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
