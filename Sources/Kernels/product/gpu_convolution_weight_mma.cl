// gpu_convolution_weight_mma: convolution_weight.cl by mma (gpu_mma_tile.cl), as a product of the taps' channels and the outputs
// over the pixels. x, dy and partial are float in memory; x and dy are rounded to bf16 or tf32 on their way to local memory,
// the sums are float.
//
// A tap has `depth` rows, a multiple of 4: four neighbouring rows are always channels of one tap, so that they are one load of
// a pixel. partial, as in convolution_weight.cl, has `channels` of them.
//
// -D values: those of gpu_mma_tile.cl. GPU shape only.
#include "convolution_shape.cl"
#include "gpu_mma_tile.cl"

#ifdef TEAM_GPU

// Groups of four rows that a work-item fetches of each pixel.
#define CONVOLUTION_WEIGHT_QUADS (MMA_LOADS(MMA_TILE_M) / MMA_PACK)

// Grid: (tiles of taps x depth, tiles of outputs, splits). Traffic: 4 (x + dy + splits partial) bytes at least (x is read once
// for each tap and tile of outputs, dy for each tile of rows), 2 B OH OW outputs channels taps operations.
__kernel __attribute__((reqd_work_group_size(MMA_ITEMS, 1, 1))) void convolution_weight_mma_backward(
    IN(float, x), IN(float, dy), OUT(float, partial), CONVOLUTION_SHAPE, const int depth, const int pixels_per_split) {
  USE_IN(float, x);
  USE_IN(float, dy);
  USE_OUT(float, partial);
  __local uint stage[2 * MMA_STAGE] __attribute__((aligned(16)));
  MMA_LOCAL(MMA_WARPS);
  MMA_PLACE
  const int rows = kernel_height * kernel_width * depth;
  const int first_row = get_group_id(0) * MMA_TILE_M, first_output = get_group_id(1) * MMA_TILE_N;
  // The host refuses more pixels than an int counts.
  const int first_pixel = get_group_id(2) * pixels_per_split;
  const int steps = min(pixels_per_split, batch * out_height * out_width - first_pixel);

  // Of the rows it fetches: the tap's place, and the channels that are left from the first on.
  int ty[CONVOLUTION_WEIGHT_QUADS], tx[CONVOLUTION_WEIGHT_QUADS], c[CONVOLUTION_WEIGHT_QUADS], rest[CONVOLUTION_WEIGHT_QUADS];
#pragma unroll
  for (int q = 0; q < CONVOLUTION_WEIGHT_QUADS; ++q) {
    const int row = first_row + MMA_ACROSS_ROW + q * MMA_ACROSS_ROWS, tap = row / depth;
    c[q] = row - tap * depth;
    ty[q] = tap / kernel_width - top;
    tx[q] = tap % kernel_width - left;
    rest[q] = row < rows ? channels - c[q] : 0;
  }
  // The next pixel it fetches.
  int line = (first_pixel + MMA_ACROSS_K) / out_width, ox = first_pixel + MMA_ACROSS_K - line * out_width;
  int image = line / out_height * height * width, oy = line % out_height;
  const int column = first_output + MMA_ACROSS_ROW;
  dy += (size_t)(first_pixel + MMA_ACROSS_K) * outputs + column;
  const int x_aligned = (size_t)x % 16 == 0 && channels % 4 == 0;
  const int dy_aligned = (size_t)dy % 16 == 0 && outputs % 4 == 0;
  const int dy_inside = dy_aligned && first_output + MMA_TILE_N <= outputs;

  float4 values[MMA_LOADS(MMA_TILE_M)], gradients[MMA_LOADS(MMA_TILE_N)];
  MMA_SUMS(sum)

#define CONVOLUTION_WEIGHT_LOAD_PIXELS(slice, LOAD)                                                           \
  _Pragma("unroll") for (int p = 0; p < MMA_PACK; ++p) {                                                      \
    _Pragma("unroll") for (int q = 0; q < CONVOLUTION_WEIGHT_QUADS; ++q) {                                    \
      const int sy = oy * stride + ty[q], sx = ox * stride + tx[q];                                           \
      const int is_there = sy >= 0 && sy < height && sx >= 0 && sx < width;                                   \
      const int count = is_there && (slice) + MMA_ACROSS_K + p < steps ? rest[q] : 0;                         \
      __global const float *from = x + (size_t)(image + sy * width + sx) * channels + c[q];                   \
      values[q * MMA_PACK + p] = LOAD;                                                                        \
    }                                                                                                         \
    for (ox += p + 1 < MMA_PACK ? 1 : MMA_SLICE - MMA_PACK + 1; ox >= out_width; ox -= out_width)             \
      if (++oy == out_height) oy = 0, image += height * width;                                                \
  }
#define CONVOLUTION_WEIGHT_LOAD(slice)                                                                        \
  if (x_aligned) {                                                                                            \
    CONVOLUTION_WEIGHT_LOAD_PIXELS(slice, count > 0 ? *(__global const float4 *)from : (float4)(0.0f))        \
  } else {                                                                                                    \
    CONVOLUTION_WEIGHT_LOAD_PIXELS(slice, mma_load(from, count, 0))                                           \
  }                                                                                                           \
  MMA_LOAD(                                                                                                   \
      gradients, MMA_LOADS(MMA_TILE_N), dy, MMA_ACROSS_OFFSET, MMA_ACROSS_COUNT, outputs, outputs - column,   \
      steps - (slice) - MMA_ACROSS_K, dy_inside && (slice) + MMA_SLICE <= steps, dy_aligned)                  \
  dy += (size_t)MMA_SLICE * outputs;
#define CONVOLUTION_WEIGHT_KEEP(half)                                                                         \
  MMA_ACROSS_KEEP(stage + (half), values, MMA_LOADS(MMA_TILE_M))                                              \
  MMA_ACROSS_KEEP(stage + (half) + MMA_TILE_M * MMA_ROW, gradients, MMA_LOADS(MMA_TILE_N))

  MMA_SLICES(sum, stage, steps, CONVOLUTION_WEIGHT_LOAD, CONVOLUTION_WEIGHT_KEEP)

  partial += (size_t)get_group_id(2) * kernel_height * kernel_width * channels * outputs;
  MMA_FINISH(sum, stage, tile_row, tile_column, value, {
    const int row = first_row + tile_row, j = first_output + tile_column, tap = row / depth, channel = row - tap * depth;
    if (row < rows && channel < channels && j < outputs)
      lanes_store(partial + ((size_t)tap * channels + channel) * outputs, j, outputs, value);
  })
}

#endif
