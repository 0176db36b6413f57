// gpu_convolution: convolution.cl for GPUs.
#include "convolution_shape.cl"

#if defined(TEAM_GPU) && !defined(GPU_CONVOLUTION_CL)
#define GPU_CONVOLUTION_CL

// packed[tap][channel][output]. Traffic: 8 outputs channels taps bytes.
TEAM_KERNEL void convolution_pack(IN(float, weight), OUT(float, packed), const int outputs, const int channels,
                               const int taps, const int depth, const int transposed) {
  USE_IN(float, weight);
  USE_OUT(float, packed);
  ITEM_FOR(item, (size_t)outputs * channels * taps) {
    const int o = (int)(item % outputs), k = (int)(item / outputs);
    packed[item] = convolution_weight(weight, o, k % channels, k / channels, outputs, channels, taps, transposed);
  }
}

// 256 work-items compute a square of pixels x outputs, CONVOLUTION_PER each way for an item, in quads 64 apart so that
// neighbouring items read neighbouring banks, over slices of 16 of the taps' channels in local memory. An item that has
// 8 x 8 reads local memory half as often for a multiply-add as one that has 4 x 4, but there must be enough squares.
// Grid: (tiles of all B OH OW pixels, tiles of outputs). The argument list is that of the CPU shape.
#ifndef CONVOLUTION_PER
#define CONVOLUTION_PER 4
#endif
#define CONVOLUTION_TILE (16 * CONVOLUTION_PER)
#define CONVOLUTION_SLICE 16
// One float4 longer than the tile, so that the transposing writes spread over the banks.
#define CONVOLUTION_TILE_ROW (CONVOLUTION_TILE + 4)
#define CONVOLUTION_EACH_QUAD(q) _Pragma("unroll") for (int q = 0; q < CONVOLUTION_PER / 4; ++q)

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void convolution_forward(
    IN(float, x), IN(float, packed), IN(float, bias), IN(float, residual), OUT(float, y), CONVOLUTION_SHAPE,
    const int has_bias, const int has_residual, const int depth, const int strip_rows, const int strip_columns,
    const int panels_per_group, __local float *patch) {
  USE_IN(float, x);
  USE_IN(float, packed);
  USE_IN(float, bias);
  USE_IN(float, residual);
  USE_OUT(float, y);
  __local float pixels[CONVOLUTION_SLICE * CONVOLUTION_TILE_ROW];
  __local float weights[CONVOLUTION_SLICE * CONVOLUTION_TILE_ROW];
  const int item = get_local_id(0);
  const size_t count = (size_t)batch * out_height * out_width;
  const size_t first_pixel = (size_t)get_group_id(0) * CONVOLUTION_TILE;
  const int first_output = get_group_id(1) * CONVOLUTION_TILE;
  const int row = (item / 16) * 4, column = (item % 16) * 4;
  const int values = kernel_height * kernel_width * channels;

  // Of the pixels this work-item fetches: first pixel of the image, and position of the first tap in the enlarged input.
  int image[CONVOLUTION_PER], py[CONVOLUTION_PER], px[CONVOLUTION_PER];
#pragma unroll
  for (int q = 0; q < CONVOLUTION_PER; ++q) {
    const size_t pixel = first_pixel + item / 16 + 16 * q;
    const int b = (int)(pixel / ((size_t)out_height * out_width));
    const int within = (int)(pixel - (size_t)b * out_height * out_width);
    image[q] = b * height * width;
    py[q] = pixel < count ? within / out_width * stride - top : -kernel_height;
    px[q] = within % out_width * stride - left;
  }
  float4 sum[CONVOLUTION_PER][CONVOLUTION_PER / 4];
#pragma unroll
  for (int r = 0; r < CONVOLUTION_PER; ++r) CONVOLUTION_EACH_QUAD(v) sum[r][v] = (float4)(0.0f);
  for (int slice = 0; slice < values; slice += CONVOLUTION_SLICE) {
    // Neighbouring work-items read neighbouring channels, and neighbouring outputs' weights.
    const int s = item % 16, k = slice + s, tap = k / channels, c = k % channels;
    const int ky = tap / kernel_width, kx = tap % kernel_width;
#pragma unroll
    for (int q = 0; q < CONVOLUTION_PER; ++q) {
      const int sy = convolution_source(py[q] + ky, height, factor, dilated);
      const int sx = convolution_source(px[q] + kx, width, factor, dilated);
      pixels[s * CONVOLUTION_TILE_ROW + item / 16 + 16 * q] =
          k < values && sy >= 0 && sx >= 0 ? x[((size_t)image[q] + (size_t)sy * width + sx) * channels + c] : 0.0f;
    }
    for (int e = item; e < CONVOLUTION_TILE * CONVOLUTION_SLICE; e += 256) {
      const int j = e % CONVOLUTION_TILE, t = e / CONVOLUTION_TILE;
      weights[t * CONVOLUTION_TILE_ROW + j] =
          first_output + j < outputs && slice + t < values ? packed[(size_t)(slice + t) * outputs + first_output + j]
                                                           : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int t = 0; t < CONVOLUTION_SLICE; ++t) {
      float4 w[CONVOLUTION_PER / 4];
      CONVOLUTION_EACH_QUAD(v) w[v] = vload4(0, weights + t * CONVOLUTION_TILE_ROW + column + 64 * v);
      CONVOLUTION_EACH_QUAD(h) {
        const float4 a = vload4(0, pixels + t * CONVOLUTION_TILE_ROW + row + 64 * h);
        CONVOLUTION_EACH_QUAD(v) {
          sum[4 * h][v] += a.x * w[v];
          sum[4 * h + 1][v] += a.y * w[v];
          sum[4 * h + 2][v] += a.z * w[v];
          sum[4 * h + 3][v] += a.w * w[v];
        }
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  CONVOLUTION_EACH_QUAD(v) {
    const int j = first_output + column + 64 * v;
    if (j >= outputs) continue;
    const float4 start = has_bias ? lanes_load(bias, j, outputs) : (float4)(0.0f);
#pragma unroll
    for (int r = 0; r < CONVOLUTION_PER; ++r) {
      const size_t pixel = first_pixel + row + r / 4 * 64 + r % 4;
      if (pixel >= count) continue;
      float4 value = sum[r][v] + start;
      if (has_residual) value += lanes_load(residual + pixel * outputs, j, outputs);
      lanes_store(y + pixel * outputs, j, outputs, value);
    }
  }
}

#endif
