// convolution: y[b, oy, ox, o] = bias[o] + residual[b, oy, ox, o]
//                                + sum over ky, kx, c of v[b, oy stride + ky - top, ox stride + kx - left, c] weight[o, c, ky, kx]
//
// Pixels are rows of channels (NHWC), so a product of taps is one of matrices: neighbouring output pixels read rows of the
// input that lie `stride` pixels apart, a tap's channels are contiguous, and output channels are the vectors. v is the input
// x [B, height, width, channels], or x enlarged `factor` times: by repeating pixels (nearest upsampling), or with zeros
// between them where `dilated` is 1 (the gradient of a strided convolution). Outside it is zero.
//
// No image of the taps is ever written: a work-group copies the pixels it needs, a few at a time, to local memory.
//
// -D values, CPU shape: CONVOLUTION_ROWS (pixels of a tile) and CONVOLUTION_VECTORS (its output channels in vectors); GPU shape:
// CONVOLUTION_PER (4 or 8).
#ifndef CONVOLUTION_CL
#define CONVOLUTION_CL
#include "flat.cl"

#ifndef CONVOLUTION_ROWS
#define CONVOLUTION_ROWS 8
#endif
#ifndef CONVOLUTION_VECTORS
#define CONVOLUTION_VECTORS 2
#endif
#define CONVOLUTION_COLUMNS (CONVOLUTION_VECTORS * LANES)
#define CONVOLUTION_EACH_ROW _Pragma("unroll") for (int r = 0; r < CONVOLUTION_ROWS; ++r)
#define CONVOLUTION_EACH_VECTOR _Pragma("unroll") for (int v = 0; v < CONVOLUTION_VECTORS; ++v)

#define CONVOLUTION_SHAPE                                                                                              \
  const int batch, const int height, const int width, const int channels, const int kernel_height,                    \
      const int kernel_width, const int stride, const int top, const int left, const int factor, const int dilated,   \
      const int out_height, const int out_width, const int outputs

// The row or column of x that position v of the enlarged input shows, -1 where that is zero.
static inline int convolution_source(int v, int extent, int factor, int dilated) {
  const int s = v / factor;
  return v < 0 || s >= extent || (dilated && s * factor != v) ? -1 : s;
}

// The weight of output o, channel c and tap: as it lies, [outputs, channels, taps]; transposed, as the gradient wants it:
// [channels, outputs, taps] with the taps turned round.
static inline float convolution_weight(__global const float *weight, int o, int c, int tap, int outputs, int channels,
                                       int taps, int transposed) {
  return transposed ? weight[((size_t)c * outputs + o) * taps + taps - 1 - tap]
                    : weight[((size_t)o * channels + c) * taps + tap];
}

#ifndef TEAM_GPU

// packed[panel][chunk of channels][tap][channel of the chunk][CONVOLUTION_COLUMNS], zero beyond the last output: the order
// in which convolution_forward reads. Chunks have `depth` channels, the last what is left.
// Traffic: 8 outputs channels taps bytes.
__kernel void convolution_pack(IN(float, weight), OUT(float, packed), const int outputs, const int channels,
                               const int taps, const int depth, const int transposed) {
  USE_IN(float, weight);
  USE_OUT(float, packed);
  const int values = channels * taps, blocks = (values + LANES - 1) / LANES;
  const int vectors = (outputs + CONVOLUTION_COLUMNS - 1) / CONVOLUTION_COLUMNS * CONVOLUTION_VECTORS;
  // LANES outputs and LANES consecutive values of each: a square of vectors.
  ITEM_FOR(item, (size_t)vectors * blocks) {
    const int first_output = (int)(item / blocks) * LANES, start = (int)(item % blocks) * LANES;
    __global float *panel = packed + (size_t)(first_output / CONVOLUTION_COLUMNS) * values * CONVOLUTION_COLUMNS +
                            first_output % CONVOLUTION_COLUMNS;
    floatL x[LANES], y[LANES];
    if (transposed) {
#pragma unroll 1
      for (int j = 0; j < LANES; ++j) {
        float lane[LANES];
        const int at = min(start + j, values - 1);
        for (int l = 0; l < LANES; ++l)
          lane[l] = first_output + l < outputs ? convolution_weight(weight, first_output + l, at / taps, at % taps,
                                                                    outputs, channels, taps, 1)
                                               : 0.0f;
        x[j] = vloadL(0, lane);
      }
    } else {
#pragma unroll
      for (int l = 0; l < LANES; ++l)
        x[l] = first_output + l < outputs ? lanes_load(weight + (size_t)(first_output + l) * values, start, values)
                                          : (floatL)(0.0f);
      // log2(LANES) perfect shuffles.
#pragma unroll
      for (int step = 1; step < LANES; step *= 2) {
#pragma unroll
        for (int l = 0; l < LANES / 2; ++l) {
          y[2 * l].even = x[l].lo;
          y[2 * l].odd = x[l + LANES / 2].lo;
          y[2 * l + 1].even = x[l].hi;
          y[2 * l + 1].odd = x[l + LANES / 2].hi;
        }
#pragma unroll
        for (int l = 0; l < LANES; ++l) x[l] = y[l];
      }
    }
#pragma unroll 1
    for (int j = 0; j < LANES && start + j < values; ++j) {
      const int c = (start + j) / taps, tap = (start + j) % taps;
      const int first = c / depth * depth, deep = min(depth, channels - first);
      STORE_PACKED(x[j], panel + ((size_t)first * taps + tap * deep + c - first) * CONVOLUTION_COLUMNS);
    }
  }
}

// The pixels under a strip of `rows` x `columns` outputs from (oy, ox) on, channels `first` to `first + depth`:
// patch [(rows - 1) stride + kernel_height, (columns - 1) stride + kernel_width, depth].
static inline void convolution_gather(__global const float *image, __local float *patch, int patch_height,
                                      int patch_width, int first_row, int first_column, int first, int depth, int height,
                                      int width, int channels, int factor, int dilated) {
  for (int y = 0; y < patch_height; ++y) {
    const int sy = convolution_source(first_row + y, height, factor, dilated);
    for (int x = 0; x < patch_width; ++x, patch += depth) {
      const int sx = convolution_source(first_column + x, width, factor, dilated);
      int c = 0;
      if (sy < 0 || sx < 0) {
        for (; c + LANES <= depth; c += LANES) vstoreL((floatL)(0.0f), 0, patch + c);
        for (; c < depth; ++c) patch[c] = 0.0f;
      } else {
        __global const float *pixel = image + ((size_t)sy * width + sx) * channels + first;
        for (; c + LANES <= depth; c += LANES) vstoreL(vloadL(0, pixel + c), 0, patch + c);
        for (; c < depth; ++c) patch[c] = pixel[c];
      }
    }
  }
}

// One work-item a group. It computes a strip of strip_rows x strip_columns output pixels (a multiple of CONVOLUTION_ROWS) of
// some panels, in tiles of CONVOLUTION_ROWS pixels and CONVOLUTION_COLUMNS outputs with all sums in registers: a channel of a
// tap is CONVOLUTION_VECTORS loads of weights and CONVOLUTION_ROWS broadcasts for as many multiply-adds as their product.
// Channels are taken `depth` at a time, so that the pixels of the strip and a panel's weights for them stay in the
// second-level cache while every tile of the strip uses them; between chunks the sums wait in y.
//
// Grid: (strips of an image, groups of panels, batch). `residual` may be y. Traffic: 4 (B H W C + 2 B OH OW O + 9 C O)
// bytes at least; 2 B OH OW O C taps FLOPs.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void convolution_forward(
    IN(float, x), IN(float, packed), IN(float, bias), IN(float, residual), OUT(float, y), CONVOLUTION_SHAPE,
    const int has_bias, const int has_residual, const int depth, const int strip_rows, const int strip_columns,
    const int panels_per_group, __local float *patch) {
  USE_IN(float, x);
  USE_IN(float, packed);
  USE_IN(float, bias);
  USE_IN(float, residual);
  USE_OUT(float, y);
  const int taps = kernel_height * kernel_width;
  const int strips_across = (out_width + strip_columns - 1) / strip_columns;
  const int strip_y = get_group_id(0) / strips_across * strip_rows;
  const int strip_x = get_group_id(0) % strips_across * strip_columns;
  const int panels = (outputs + CONVOLUTION_COLUMNS - 1) / CONVOLUTION_COLUMNS;
  const int first_panel = get_group_id(1) * panels_per_group, last_panel = min(panels, first_panel + panels_per_group);
  const size_t b = get_group_id(2);
  const int rows = min(strip_rows, out_height - strip_y), columns = min(strip_columns, out_width - strip_x);
  const int tiles_across = (columns + CONVOLUTION_ROWS - 1) / CONVOLUTION_ROWS;
  const int patch_height = (rows - 1) * stride + kernel_height;
  const int patch_width = (tiles_across * CONVOLUTION_ROWS - 1) * stride + kernel_width;

  for (int first = 0; first < channels; first += depth) {
    const int deep = min(depth, channels - first), pitch = stride * deep;
    convolution_gather(x + b * height * width * channels, patch, patch_height, patch_width, strip_y * stride - top,
                       strip_x * stride - left, first, deep, height, width, channels, factor, dilated);
    for (int p = first_panel; p < last_panel; ++p) {
      __global const float *panel = packed + ((size_t)p * channels + first) * taps * CONVOLUTION_COLUMNS;
      const int j = p * CONVOLUTION_COLUMNS;
      for (int tile = 0; tile < rows * tiles_across; ++tile) {
        const int ty = tile / tiles_across, tx = tile % tiles_across * CONVOLUTION_ROWS;
        const int valid = min(CONVOLUTION_ROWS, columns - tx);
        const size_t at = ((b * out_height + strip_y + ty) * out_width + strip_x + tx) * outputs;
        const int whole = valid == CONVOLUTION_ROWS && j + CONVOLUTION_COLUMNS <= outputs;
        floatL sum[CONVOLUTION_ROWS][CONVOLUTION_VECTORS];
        if (whole) {
          floatL start[CONVOLUTION_VECTORS];
          CONVOLUTION_EACH_VECTOR start[v] = has_bias ? LOAD_PACKED(bias + j + v * LANES) : (floatL)(0.0f);
          __global const float *before = first > 0 ? y : residual;
          const int adds = first > 0 || has_residual;
          CONVOLUTION_EACH_ROW CONVOLUTION_EACH_VECTOR {
            sum[r][v] = first > 0 ? (floatL)(0.0f) : start[v];
            if (adds) sum[r][v] += LOAD_PACKED(before + at + (size_t)r * outputs + j + v * LANES);
          }
        } else {
          // Loops over the sums would keep them from registers, so what is ragged passes through memory.
          floatL edge[CONVOLUTION_ROWS * CONVOLUTION_VECTORS];
          for (int e = 0; e < CONVOLUTION_ROWS * CONVOLUTION_VECTORS; ++e) {
            const int r = e / CONVOLUTION_VECTORS, column = j + e % CONVOLUTION_VECTORS * LANES;
            edge[e] = 0.0f;
            if (r >= valid || column >= outputs) continue;
            const size_t here = at + (size_t)r * outputs;
            if (first > 0) edge[e] = lanes_load(y + here, column, outputs);
            else {
              if (has_bias) edge[e] = lanes_load(bias, column, outputs);
              if (has_residual) edge[e] += lanes_load(residual + here, column, outputs);
            }
          }
          CONVOLUTION_EACH_ROW CONVOLUTION_EACH_VECTOR sum[r][v] = edge[r * CONVOLUTION_VECTORS + v];
        }
        __local const float *corner = patch + (ty * stride * patch_width + tx * stride) * deep;
        for (int tap = 0; tap < taps; ++tap) {
          __local const float *pixel = corner + (tap / kernel_width * patch_width + tap % kernel_width) * deep;
          __global const float *column = panel + (size_t)tap * deep * CONVOLUTION_COLUMNS;
          for (int c = 0; c < deep; ++c) {
            floatL right[CONVOLUTION_VECTORS];
            CONVOLUTION_EACH_VECTOR right[v] = LOAD_PACKED(column + c * CONVOLUTION_COLUMNS + v * LANES);
            CONVOLUTION_EACH_ROW {
              const float value = pixel[r * pitch + c];
              CONVOLUTION_EACH_VECTOR sum[r][v] += value * right[v];
            }
          }
        }
        if (whole) {
          CONVOLUTION_EACH_ROW CONVOLUTION_EACH_VECTOR
              STORE_PACKED(sum[r][v], y + at + (size_t)r * outputs + j + v * LANES);
        } else {
          floatL edge[CONVOLUTION_ROWS * CONVOLUTION_VECTORS];
          CONVOLUTION_EACH_ROW CONVOLUTION_EACH_VECTOR edge[r * CONVOLUTION_VECTORS + v] = sum[r][v];
          for (int r = 0; r < valid; ++r)
            for (int v = 0; v < CONVOLUTION_VECTORS && j + v * LANES < outputs; ++v)
              lanes_store(y + at + (size_t)r * outputs, j + v * LANES, outputs, edge[r * CONVOLUTION_VECTORS + v]);
        }
      }
    }
  }
}

#else

// packed[tap][channel][output]. Traffic: 8 outputs channels taps bytes.
__kernel void convolution_pack(IN(float, weight), OUT(float, packed), const int outputs, const int channels,
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
#endif
