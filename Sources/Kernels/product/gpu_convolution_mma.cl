// gpu_convolution_mma: convolution.cl by mma (gpu_mma_tile.cl), as a product of pixels and outputs over the channels of all taps.
// x, the weight and y are float in memory; x is rounded to bf16 or tf32 on its way to local memory, the weight when it is
// packed; the sums are float.
//
// k runs over `depth` channels of each tap, a multiple of 4 with zeros beyond the last channel: four neighbouring k values are
// always of one tap, so that they are one load of a pixel.
//
// -D values: those of gpu_mma_tile.cl; CONVOLUTION_ENLARGED where factor is more than 1. GPU shape only.
#include "convolution_shape.cl"
#include "gpu_mma_tile.cl"

#ifdef TEAM_GPU

// The weight of value k of output o; zero beyond the channels of a tap and beyond the taps.
static inline float convolution_mma_weight(__global const float *weight, int o, int k, int outputs, int channels, int taps,
                                           int depth, int transposed) {
  const int tap = k / depth, c = k - tap * depth;
  return tap < taps && c < channels ? convolution_weight(weight, o, c, tap, outputs, channels, taps, transposed) : 0.0f;
}

// packed[output][word], `words` to an output: whole slices. Traffic: 4 outputs (channels taps + words) bytes.
TEAM_KERNEL void convolution_mma_pack(IN(float, weight), OUT(uint, packed), const int outputs, const int channels,
                                      const int taps, const int depth, const int words, const int transposed) {
  USE_IN(float, weight);
  USE_OUT(uint, packed);
  ITEM_FOR(item, (size_t)outputs * words) {
    const int o = (int)(item / words), k = (int)(item % words) * MMA_PACK;
    packed[item] = MMA_WORD_OF(
        convolution_mma_weight(weight, o, k, outputs, channels, taps, depth, transposed),
        convolution_mma_weight(weight, o, k + 1, outputs, channels, taps, depth, transposed));
  }
}

#ifdef CONVOLUTION_ENLARGED
#define CONVOLUTION_MMA_SOURCE(v, extent) convolution_source(v, extent, factor, dilated)
#else
#define CONVOLUTION_MMA_SOURCE(v, extent) ((v) < (extent) ? (v) : -1)
#endif

// Of a slice of packed weights a work-item copies four words of each of two rows, which lie as those of ALONG do in tf32.
#define CONVOLUTION_MMA_ROWS (MMA_ITEMS / 4)
#define CONVOLUTION_MMA_ROW (item / 32 * 8 + item / 4 % 2 * 4 + item / 4 % 8 / 2)
#define CONVOLUTION_MMA_WORD (item % 4 * 4)

// Grid: (tiles of all B OH OW pixels, tiles of outputs). Traffic: 4 (x + y + residual + packed) bytes at least (x is read once
// for each tap and tile of outputs, packed for each tile of pixels), 2 B OH OW outputs channels taps operations.
__kernel __attribute__((reqd_work_group_size(MMA_ITEMS, 1, 1))) void convolution_mma_forward(
    IN(float, x), IN(uint, packed), IN(float, bias), IN(float, residual), OUT(float, y), CONVOLUTION_SHAPE,
    const int has_bias, const int has_residual, const int depth, const int words) {
  USE_IN(float, x);
  USE_IN(uint, packed);
  USE_IN(float, bias);
  USE_IN(float, residual);
  USE_OUT(float, y);
  __local uint stage[2 * MMA_STAGE] __attribute__((aligned(16)));
  MMA_LOCAL(MMA_WARPS);
  MMA_PLACE
  // The host refuses more pixels than an int counts.
  const int pixels = batch * out_height * out_width;
  const int first_pixel = get_group_id(0) * MMA_TILE_M, first_output = get_group_id(1) * MMA_TILE_N;
  const int is_aligned = (size_t)x % 16 == 0 && channels % 4 == 0;

  // Of the pixels this work-item fetches: first pixel of the image, and position of the first tap in the enlarged input.
  int image[MMA_LOADS(MMA_TILE_M)], py[MMA_LOADS(MMA_TILE_M)], px[MMA_LOADS(MMA_TILE_M)];
#pragma unroll
  for (int e = 0; e < MMA_LOADS(MMA_TILE_M); ++e) {
    const int pixel = first_pixel + MMA_ALONG_ROW + e * MMA_ALONG_ROWS, line = pixel / out_width, b = line / out_height;
    image[e] = b * height * width;
    py[e] = pixel < pixels ? (line - b * out_height) * stride - top : -kernel_height;
    px[e] = (pixel - line * out_width) * stride - left;
  }
  // The tap and channel of its next load.
  int c = MMA_ALONG_K % depth, ky = MMA_ALONG_K / depth / kernel_width, kx = MMA_ALONG_K / depth % kernel_width;
  const int output = first_output + CONVOLUTION_MMA_ROW;
  packed += (size_t)output * words + CONVOLUTION_MMA_WORD;

  float4 loaded[MMA_LOADS(MMA_TILE_M)];
  uint4 weights[2];
  MMA_SUMS(sum)

#define CONVOLUTION_MMA_LOAD_PIXELS(LOAD)                                                                     \
  _Pragma("unroll") for (int e = 0; e < MMA_LOADS(MMA_TILE_M); ++e) {                                         \
    const int sy = CONVOLUTION_MMA_SOURCE(py[e] + ky, height);                                                \
    const int sx = CONVOLUTION_MMA_SOURCE(px[e] + kx, width);                                                 \
    const int count = sy >= 0 && sx >= 0 && ky < kernel_height ? channels - c : 0;                            \
    __global const float *from = x + (size_t)(image[e] + sy * width + sx) * channels + c;                     \
    loaded[e] = LOAD;                                                                                         \
  }
#define CONVOLUTION_MMA_LOAD(slice)                                                                           \
  if (is_aligned) {                                                                                           \
    CONVOLUTION_MMA_LOAD_PIXELS(count > 0 ? *(__global const float4 *)from : (float4)(0.0f))                  \
  } else {                                                                                                    \
    CONVOLUTION_MMA_LOAD_PIXELS(mma_load(from, count, 0))                                                     \
  }                                                                                                           \
  for (c += MMA_SLICE; c >= depth; c -= depth)                                                                \
    if (++kx == kernel_width) kx = 0, ++ky;                                                                   \
  _Pragma("unroll") for (int e = 0; e < 2; ++e) weights[e] =                                                  \
      output + e * CONVOLUTION_MMA_ROWS < outputs                                                             \
          ? *(__global const uint4 *)(packed + (size_t)(e * CONVOLUTION_MMA_ROWS) * words)                    \
          : (uint4)(0);                                                                                       \
  packed += MMA_SLICE_WORDS;
#define CONVOLUTION_MMA_KEEP(half)                                                                            \
  MMA_ALONG_KEEP(stage + (half), loaded, MMA_LOADS(MMA_TILE_M))                                               \
  _Pragma("unroll") for (int e = 0; e < 2; ++e) *(__local uint4 *)(                                           \
      stage + (half) + (MMA_TILE_M + CONVOLUTION_MMA_ROW + e * CONVOLUTION_MMA_ROWS) * MMA_ROW +              \
      CONVOLUTION_MMA_WORD) = weights[e];

  MMA_SLICES(sum, stage, words * MMA_PACK, CONVOLUTION_MMA_LOAD, CONVOLUTION_MMA_KEEP)

  MMA_FINISH(sum, stage, row, column, value, {
    const int pixel = first_pixel + row, j = first_output + column;
    if (pixel < pixels && j < outputs) {
      float4 result = value;
      if (has_bias) result += lanes_load(bias, j, outputs);
      if (has_residual) result += lanes_load(residual + (size_t)pixel * outputs, j, outputs);
      lanes_store(y + (size_t)pixel * outputs, j, outputs, result);
    }
  })
}

#endif
