// convolution_weight: the gradient of a convolution's weight,
//
//   dweight[o, c, ky, kx] = sum over b, oy, ox of dy[b, oy, ox, o] x[b, oy stride + ky - top, ox stride + kx - left, c]
//
// over the output pixels whose input pixel exists. It is a product of the taps' channels and the outputs, summed over the
// pixels, which are cut into `splits` parts: partial[split, tap, c, o], added in their order by convolution_weight_sum.
//
// -D values, CPU shape: CONVOLUTION_ROWS (channels of a tile, at most `channels`) and CONVOLUTION_VECTORS.
#ifndef CONVOLUTION_WEIGHT_CL
#define CONVOLUTION_WEIGHT_CL
#include "convolution.cl"

#ifndef TEAM_GPU

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

#else

// 256 work-items compute 64 channels of taps x 64 outputs, 4 x 4 each, over slices of 16 pixels in local memory.
// Grid: (tiles of taps x channels, tiles of outputs, splits). The argument list is that of the CPU shape.
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void convolution_weight_backward(
    IN(float, x), IN(float, dy), OUT(float, partial), CONVOLUTION_SHAPE, const int lines_per_split) {
  USE_IN(float, x);
  USE_IN(float, dy);
  USE_OUT(float, partial);
  __local float values[CONVOLUTION_SLICE * CONVOLUTION_TILE_ROW];
  __local float gradients[CONVOLUTION_SLICE * CONVOLUTION_TILE_ROW];
  const int item = get_local_id(0);
  const int rows = kernel_height * kernel_width * channels;
  const int first_row = get_group_id(0) * CONVOLUTION_TILE, first_output = get_group_id(1) * CONVOLUTION_TILE;
  const int row = (item / 16) * 4, column = (item % 16) * 4;
  const int lines = batch * out_height;
  const int first_line = get_group_id(2) * lines_per_split, last_line = min(lines, first_line + lines_per_split);
  const size_t first = (size_t)first_line * out_width, last = (size_t)max(first_line, last_line) * out_width;
  // The channel of a tap, and the output, that this work-item fetches.
  const int i = item % CONVOLUTION_TILE, k = first_row + i, tap = k / channels, c = k % channels;
  float4 sum[4] = {(float4)(0.0f), (float4)(0.0f), (float4)(0.0f), (float4)(0.0f)};
  for (size_t slice = first; slice < last; slice += CONVOLUTION_SLICE) {
    for (int s = item / CONVOLUTION_TILE; s < CONVOLUTION_SLICE; s += 256 / CONVOLUTION_TILE) {
      const size_t pixel = slice + s;
      float value = 0.0f, gradient = 0.0f;
      if (pixel < last) {
        const int line = (int)(pixel / out_width), ox = (int)(pixel % out_width);
        const int sy = line % out_height * stride + tap / kernel_width - top;
        const int sx = ox * stride + tap % kernel_width - left;
        if (k < rows && sy >= 0 && sy < height && sx >= 0 && sx < width)
          value = x[(((size_t)(line / out_height) * height + sy) * width + sx) * channels + c];
        if (first_output + i < outputs) gradient = dy[pixel * outputs + first_output + i];
      }
      values[s * CONVOLUTION_TILE_ROW + i] = value;
      gradients[s * CONVOLUTION_TILE_ROW + i] = gradient;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < CONVOLUTION_SLICE; ++s) {
      const float4 a = vload4(0, values + s * CONVOLUTION_TILE_ROW + row);
      const float4 g = vload4(0, gradients + s * CONVOLUTION_TILE_ROW + column);
      sum[0] += a.x * g;
      sum[1] += a.y * g;
      sum[2] += a.z * g;
      sum[3] += a.w * g;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  const int j = first_output + column;
  if (j >= outputs) return;
  for (int r = 0; r < 4 && first_row + row + r < rows; ++r)
    lanes_store(partial + ((size_t)get_group_id(2) * rows + first_row + row + r) * outputs, j, outputs, sum[r]);
}

#endif

// dweight [outputs, channels, taps] from partial [splits, taps, channels, outputs], the splits added in their order.
// Traffic: 4 (splits + 1) outputs channels taps bytes, gathered.
__kernel void convolution_weight_sum(IN(float, partial), OUT(float, dweight), const int outputs, const int channels,
                                     const int taps, const int splits) {
  USE_IN(float, partial);
  USE_OUT(float, dweight);
  const size_t count = (size_t)outputs * channels * taps;
  ITEM_FOR(item, count) {
    const int tap = (int)(item % taps), c = (int)(item / taps % channels);
    const size_t at = ((size_t)tap * channels + c) * outputs + item / taps / channels;
    float sum = 0.0f;
    for (int s = 0; s < splits; ++s) sum += partial[s * count + at];
    dweight[item] = sum;
  }
}

#endif
