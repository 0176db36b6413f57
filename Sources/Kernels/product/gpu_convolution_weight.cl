// gpu_convolution_weight: convolution_weight.cl for GPUs.
#include "gpu_convolution.cl"

#if defined(TEAM_GPU) && !defined(GPU_CONVOLUTION_WEIGHT_CL)
#define GPU_CONVOLUTION_WEIGHT_CL

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
  // The host refuses more pixels than an int counts.
  const int first = first_line * out_width, last = max(first_line, last_line) * out_width;
  // The channel of a tap, and the output, that this work-item fetches.
  const int i = item % CONVOLUTION_TILE, k = first_row + i, tap = k / channels, c = k % channels;
  float4 sum[4] = {(float4)(0.0f), (float4)(0.0f), (float4)(0.0f), (float4)(0.0f)};
  for (int slice = first; slice < last; slice += CONVOLUTION_SLICE) {
    for (int s = item / CONVOLUTION_TILE; s < CONVOLUTION_SLICE; s += 256 / CONVOLUTION_TILE) {
      const int pixel = slice + s;
      float value = 0.0f, gradient = 0.0f;
      if (pixel < last) {
        const int line = pixel / out_width, ox = pixel - line * out_width;
        const int sy = line % out_height * stride + tap / kernel_width - top;
        const int sx = ox * stride + tap % kernel_width - left;
        if (k < rows && sy >= 0 && sy < height && sx >= 0 && sx < width)
          value = x[(((size_t)(line / out_height) * height + sy) * width + sx) * channels + c];
        if (first_output + i < outputs) gradient = dy[(size_t)pixel * outputs + first_output + i];
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

// dweight [outputs, channels, taps] from partial [splits, taps, channels, outputs], the splits added in their order.
// Traffic: 4 (splits + 1) outputs channels taps bytes, scattered where they are written.
TEAM_KERNEL void convolution_weight_sum(IN(float, partial), OUT(float, dweight), const int outputs, const int channels,
                                        const int taps, const int splits) {
  USE_IN(float, partial);
  USE_OUT(float, dweight);
  const size_t count = (size_t)outputs * channels * taps;
  ITEM_FOR(item, count) {
    const int k = (int)(item / outputs), o = (int)(item - (size_t)k * outputs), tap = k / channels, c = k - tap * channels;
    float sum = 0.0f;
    for (int s = 0; s < splits; ++s) sum += partial[s * count + item];
    dweight[((size_t)o * channels + c) * taps + tap] = sum;
  }
}

#endif
