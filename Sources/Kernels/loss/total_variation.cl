// total_variation: what the rows of pixels of images x [B, H, W, C] weigh by their size and by how they differ from their
// neighbours: sums [B, H] of
//
//   absolute |x| + variation (|right - x| + |below - x|),
//
// where a pixel without a neighbour on that side differs from none. Of the difference of two images it is their L1 distance
// and the L1 distance of their gradients (gradient difference loss, arXiv 1511.05440).
#include "row_groups.cl"

static inline floatL sign_lanes(floatL x) {
  return x > 0.0f ? (floatL)(1.0f) : (x < 0.0f ? (floatL)(-1.0f) : (floatL)(0.0f));
}

// Traffic: 4 B H W C bytes, twice that where the next row has left the caches; 7 FLOPs a value.
TEAM_KERNEL void total_variation_forward(IN(float, x), OUT(float, sums), const int batch, const int height, const int width,
                                      const int channels, const float absolute, const float variation) {
  TEAM_LOCAL;
  USE_IN(float, x);
  USE_OUT(float, sums);
  const int n = width * channels;
  TEAM_ROWS(row, batch * height) {
    __global const float *p = x + (size_t)row * n;
    // Without a row below, the row itself.
    __global const float *below = row % height + 1 < height ? p + n : p;
    floatL size = (floatL)(0.0f), change = (floatL)(0.0f);
    TEAM_FOR(i, n) {
      const floatL value = lanes_load(p, i, n);
      size += fabs(value);
      change += fabs(lanes_load(below, i, n) - value);
    }
    TEAM_FOR(i, n - channels) change += fabs(lanes_load(p + channels, i, n - channels) - lanes_load(p, i, n - channels));
    const float total = team_sum(absolute * size + variation * change);
    if (TEAM_RANK == 0) sums[row] = total;
  }
}

// The values of the pixels on the left; of a row's first pixel its own.
static inline floatL lanes_left(__global const float *p, int i, int n, int channels) {
  if (i >= channels) return lanes_load(p - channels, i, n);
  float left[LANES];
  for (int k = 0; k < LANES; ++k) left[k] = i + k < n ? p[i + k >= channels ? i + k - channels : i + k] : 0.0f;
  return vloadL(0, left);
}

// dx from x and dsums [B, H]. A difference belongs to the row above it and to the pixel on its left.
// Traffic: 8 B H W C bytes, 16 where rows leave the caches; 14 FLOPs a value.
TEAM_KERNEL void total_variation_backward(IN(float, x), IN(float, dsums), OUT(float, dx), const int batch, const int height,
                                       const int width, const int channels, const float absolute, const float variation) {
  USE_IN(float, x);
  USE_IN(float, dsums);
  USE_OUT(float, dx);
  const int n = width * channels;
  TEAM_ROWS(row, batch * height) {
    __global const float *p = x + (size_t)row * n;
    const int y = row % height;
    __global const float *above = y > 0 ? p - n : p, *below = y + 1 < height ? p + n : p;
    const float own = dsums[row], upper = y > 0 ? dsums[row - 1] : 0.0f;
    TEAM_FOR(i, n) {
      const floatL value = lanes_load(p, i, n);
      const floatL right = lanes_keep(sign_lanes(value - lanes_load(p, i + channels, n)), i, n - channels, 0.0f);
      const floatL left = sign_lanes(value - lanes_left(p, i, n, channels));
      const floatL sides = right + left + sign_lanes(value - lanes_load(below, i, n));
      const floatL gradient = own * (absolute * sign_lanes(value) + variation * sides)
                              + upper * variation * sign_lanes(value - lanes_load(above, i, n));
      lanes_store(dx + (size_t)row * n, i, n, gradient);
    }
  }
}
