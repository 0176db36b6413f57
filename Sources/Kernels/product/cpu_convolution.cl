// cpu_convolution: convolution.cl for CPUs.
#include "transpose_lanes.cl"
#include "convolution_shape.cl"

#if !defined(TEAM_GPU) && !defined(CPU_CONVOLUTION_CL)
#define CPU_CONVOLUTION_CL

// packed[panel][chunk of channels][tap][channel of the chunk][CONVOLUTION_COLUMNS], zero beyond the last output: the order
// in which convolution_forward reads. Chunks have `depth` channels, the last what is left.
// Traffic: 8 outputs channels taps bytes.
TEAM_KERNEL void convolution_pack(IN(float, weight), OUT(float, packed), const int outputs, const int channels,
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
    floatL x[LANES];
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
      transpose_lanes(x);
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
// Grid: (strips of an image, groups of panels, batch). `residual` may be y. Traffic: 4 (B H W C + B OH OW O + C O taps)
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

#endif
