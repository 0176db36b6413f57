// cpu_convolution_weight: convolution_weight.cl for CPUs.
#include "convolution_shape.cl"

#if !defined(TEAM_GPU) && !defined(CPU_CONVOLUTION_WEIGHT_CL)
#define CPU_CONVOLUTION_WEIGHT_CL

// One work-item a group: a tile of CONVOLUTION_ROWS channels of one tap and CONVOLUTION_COLUMNS outputs, in registers over
// the pixels of a split, which are whole rows of output. Grid: (taps x tiles of channels, panels of outputs, splits).
// Traffic: 4 (B H W C + B OH OW O) bytes for each split and tap, from the caches; 2 B OH OW O C taps FLOPs.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void convolution_weight_backward(
    IN(float, x), IN(float, dy), OUT(float, partial), CONVOLUTION_SHAPE, const int lines_per_split) {
  USE_IN(float, x);
  USE_IN(float, dy);
  USE_OUT(float, partial);
  const int tiles = (channels + CONVOLUTION_ROWS - 1) / CONVOLUTION_ROWS;
  const int tap = get_group_id(0) / tiles, ky = tap / kernel_width, kx = tap % kernel_width;
  const int wanted = get_group_id(0) % tiles * CONVOLUTION_ROWS;
  // The last tile starts early enough to be full; it does not write the channels of its neighbour a second time.
  const int c = min(wanted, channels - CONVOLUTION_ROWS);
  const int j = get_group_id(1) * CONVOLUTION_COLUMNS;
  const int lines = batch * out_height;
  const int first = get_group_id(2) * lines_per_split, last = min(lines, first + lines_per_split);
  // Output columns whose input column exists.
  const int before = left - kx, after = width - 1 + left - kx;
  const int low = before > 0 ? (before + stride - 1) / stride : 0, high = after < 0 ? 0 : min(out_width, after / stride + 1);
  floatL sum[CONVOLUTION_ROWS][CONVOLUTION_VECTORS];
  CONVOLUTION_EACH_ROW CONVOLUTION_EACH_VECTOR sum[r][v] = 0.0f;
  for (int line = first; line < last; ++line) {
    const int sy = line % out_height * stride + ky - top;
    if (sy < 0 || sy >= height) continue;
    __global const float *values = x + ((size_t)(line / out_height) * height + sy) * width * channels + c;
    __global const float *gradients = dy + (size_t)line * out_width * outputs;
    for (int ox = low; ox < high; ++ox) {
      __global const float *value = values + (size_t)(ox * stride + kx - left) * channels;
      floatL gradient[CONVOLUTION_VECTORS];
      CONVOLUTION_EACH_VECTOR gradient[v] = lanes_load(gradients + (size_t)ox * outputs, j + v * LANES, outputs);
      CONVOLUTION_EACH_ROW {
        const float factor_r = value[r];
        CONVOLUTION_EACH_VECTOR sum[r][v] += factor_r * gradient[v];
      }
    }
  }
  floatL tile[CONVOLUTION_ROWS * CONVOLUTION_VECTORS];
  CONVOLUTION_EACH_ROW CONVOLUTION_EACH_VECTOR tile[r * CONVOLUTION_VECTORS + v] = sum[r][v];
  const int taps = kernel_height * kernel_width;
  for (int r = wanted - c; r < CONVOLUTION_ROWS; ++r)
    for (int v = 0; v < CONVOLUTION_VECTORS && j + v * LANES < outputs; ++v)
      lanes_store(partial + (((size_t)get_group_id(2) * taps + tap) * channels + c + r) * outputs, j + v * LANES, outputs,
                  tile[r * CONVOLUTION_VECTORS + v]);
}

#endif
