// cpu_convolution_weight: convolution_weight.cl for CPUs.
#include "transpose_lanes.cl"
#include "convolution_shape.cl"

#if !defined(TEAM_GPU) && !defined(CPU_CONVOLUTION_WEIGHT_CL)
#define CPU_CONVOLUTION_WEIGHT_CL

#ifndef CONVOLUTION_WEIGHT_TAPS
#define CONVOLUTION_WEIGHT_TAPS 3
#endif
#ifndef CONVOLUTION_WEIGHT_ROWS
// What fits the registers beside 3 taps and 2 vectors.
#define CONVOLUTION_WEIGHT_ROWS (LANES == 16 ? 4 : 2)
#endif
#define CONVOLUTION_WEIGHT_EACH_TAP _Pragma("unroll") for (int t = 0; t < CONVOLUTION_WEIGHT_TAPS; ++t)
#define CONVOLUTION_WEIGHT_EACH_ROW _Pragma("unroll") for (int r = 0; r < CONVOLUTION_WEIGHT_ROWS; ++r)

// LANES values that are all there.
#define CONVOLUTION_WEIGHT_LOAD(p, i, n) LOAD_PACKED((p) + (i))

// The values of p that are there, from i on. Not lanes_load: its call at the end of a row would keep the sums from registers.
static inline floatL convolution_weight_load(__global const float *p, int i, int n) {
  if (i + LANES <= n) return LOAD_PACKED(p + i);
  float tail[LANES];
  for (int k = 0; k < LANES; ++k) tail[k] = i + k < n ? p[i + k] : 0.0f;
  return vloadL(0, tail);
}

// Adds a pixel of output, column ox, to the sums of the taps for which `there` holds.
#define CONVOLUTION_WEIGHT_ADD(there, load)                                                                                \
  {                                                                                                                  \
    const int sx = ox * stride + kx - left;                                                                          \
    __global const float *value = values + (ptrdiff_t)sx * channels;                                                 \
    floatL gradient[CONVOLUTION_VECTORS];                                                                            \
    CONVOLUTION_EACH_VECTOR gradient[v] = load(gradients + (size_t)ox * outputs, j + v * LANES, outputs);            \
    CONVOLUTION_WEIGHT_EACH_TAP if (there) CONVOLUTION_WEIGHT_EACH_ROW {                                             \
      const float factor_r = value[t * channels + r];                                                                \
      CONVOLUTION_EACH_VECTOR sum[t][r][v] += factor_r * gradient[v];                                                \
    }                                                                                                                \
  }

// One work-item a group: a tile of CONVOLUTION_WEIGHT_ROWS channels of CONVOLUTION_WEIGHT_TAPS neighbouring taps of a line, and
// CONVOLUTION_COLUMNS outputs, in registers over the pixels of a split, which are whole rows of output: dy is read once for
// all these taps. Grid: (groups of taps x tiles of channels, panels of outputs, splits).
// Traffic: 4 (B H W C + B OH OW O) bytes for each split and group of taps, from the caches; 2 B OH OW O C taps FLOPs.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void convolution_weight_backward(
    IN(float, x), IN(float, dy), OUT(float, partial), CONVOLUTION_SHAPE, const int lines_per_split) {
  USE_IN(float, x);
  USE_IN(float, dy);
  USE_OUT(float, partial);
  const int tiles = (channels + CONVOLUTION_WEIGHT_ROWS - 1) / CONVOLUTION_WEIGHT_ROWS;
  const int tap = get_group_id(0) / tiles * CONVOLUTION_WEIGHT_TAPS, ky = tap / kernel_width, kx = tap % kernel_width;
  const int wanted = get_group_id(0) % tiles * CONVOLUTION_WEIGHT_ROWS;
  // The last tile starts early enough to be full; it does not write the channels of its neighbour a second time.
  const int c = min(wanted, channels - CONVOLUTION_WEIGHT_ROWS);
  const int j = get_group_id(1) * CONVOLUTION_COLUMNS;
  const int lines = batch * out_height;
  const int first = get_group_id(2) * lines_per_split, last = min(lines, first + lines_per_split);
  // Output columns whose input column exists for any of the taps, and for all: those of the last tap begin first and end first.
  const int last_tap = CONVOLUTION_WEIGHT_TAPS - 1, before = left - kx, after = width - 1 + left - kx;
  const int low = before > last_tap ? (before - last_tap + stride - 1) / stride : 0;
  const int high = after < 0 ? 0 : min(out_width, after / stride + 1);
  const int all_low = before > 0 ? (before + stride - 1) / stride : 0;
  const int all_high = after < last_tap ? 0 : min(out_width, (after - last_tap) / stride + 1);
  floatL sum[CONVOLUTION_WEIGHT_TAPS][CONVOLUTION_WEIGHT_ROWS][CONVOLUTION_VECTORS];
  CONVOLUTION_WEIGHT_EACH_TAP CONVOLUTION_WEIGHT_EACH_ROW CONVOLUTION_EACH_VECTOR sum[t][r][v] = 0.0f;
  for (int line = first; line < last; ++line) {
    const int sy = line % out_height * stride + ky - top;
    if (sy < 0 || sy >= height) continue;
    __global const float *values = x + ((size_t)(line / out_height) * height + sy) * width * channels + c;
    __global const float *gradients = dy + (size_t)line * out_width * outputs;
    // Lanes beyond the outputs are not written, so they may have the next pixel's, where dy has enough of them.
    const long end = ((long)line * out_width + all_high - 1) * outputs + j + CONVOLUTION_COLUMNS;
    const int inner = end <= (long)lines * out_width * outputs ? all_low : -1;
    for (int ox = low; ox < high; ++ox) {
      if (ox == inner) {
        for (; ox < all_high; ++ox) CONVOLUTION_WEIGHT_ADD(1, CONVOLUTION_WEIGHT_LOAD)
        if (ox >= high) break;
      }
      CONVOLUTION_WEIGHT_ADD(sx + t >= 0 && sx + t < width, convolution_weight_load)
    }
  }
  floatL tile[CONVOLUTION_WEIGHT_TAPS * CONVOLUTION_WEIGHT_ROWS * CONVOLUTION_VECTORS];
  CONVOLUTION_WEIGHT_EACH_TAP CONVOLUTION_WEIGHT_EACH_ROW CONVOLUTION_EACH_VECTOR
      tile[(t * CONVOLUTION_WEIGHT_ROWS + r) * CONVOLUTION_VECTORS + v] = sum[t][r][v];
  const int taps = kernel_height * kernel_width;
  for (int t = 0; t < CONVOLUTION_WEIGHT_TAPS; ++t)
    for (int r = wanted - c; r < CONVOLUTION_WEIGHT_ROWS; ++r)
      for (int v = 0; v < CONVOLUTION_VECTORS && j + v * LANES < outputs; ++v)
        lanes_store(partial + (((size_t)get_group_id(2) * taps + tap + t) * channels + c + r) * outputs, j + v * LANES,
                    outputs, tile[(t * CONVOLUTION_WEIGHT_ROWS + r) * CONVOLUTION_VECTORS + v]);
}

// dweight [outputs, channels, taps] from partial [splits, taps, channels, outputs], the splits added in their order, in squares of
// LANES outputs and as many values of each. Traffic: 4 (splits + 1) outputs channels taps bytes.
TEAM_KERNEL void convolution_weight_sum(IN(float, partial), OUT(float, dweight), const int outputs, const int channels,
                                        const int taps, const int splits) {
  USE_IN(float, partial);
  USE_OUT(float, dweight);
  const int values = channels * taps, blocks = (values + LANES - 1) / LANES;
  const size_t count = (size_t)outputs * values;
  ITEM_FOR(item, (size_t)((outputs + LANES - 1) / LANES) * blocks) {
    const int first_output = (int)(item / blocks) * LANES, start = (int)(item % blocks) * LANES;
    floatL x[LANES];
#pragma unroll 1
    for (int l = 0; l < LANES; ++l) {
      const int k = min(start + l, values - 1), c = k / taps, tap = k - c * taps;
      __global const float *from = partial + ((size_t)tap * channels + c) * outputs;
      floatL sum = lanes_load(from, first_output, outputs);
      for (int s = 1; s < splits; ++s) sum += lanes_load(from + s * count, first_output, outputs);
      x[l] = sum;
    }
    transpose_lanes(x);
#pragma unroll 1
    for (int l = 0; l < LANES && first_output + l < outputs; ++l)
      lanes_store(dweight + (size_t)(first_output + l) * values, start, values, x[l]);
  }
}

#endif
