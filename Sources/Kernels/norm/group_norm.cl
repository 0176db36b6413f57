// group_norm: y = (x - mean) rstd weight + bias, its SiLU where asked for. Images are pixels of channels, x [B, P, C]; mean
// and variance are those of all pixels and the C / groups consecutive channels of a group. weight, bias [C].
//
// Statistics take two launches: mean and squared deviations of every channel over chunks of pixels, then of the groups by
// Chan's rule, which loses nothing where the mean is large. mean and rstd are kept for each channel, [B, C], so that the
// pixels' pass is vectors alone.
#ifndef GROUP_NORM_CL
#define GROUP_NORM_CL
#include "flat.cl"
#include "math.cl"
#include "row_groups.cl"

// partial [batch, chunks, 2, n]: mean, and sum of squared deviations from it, of each channel over each `chunk` pixels.
// Deviations are taken from the chunk's first pixel. Traffic: 4 B P C bytes; 4 B P C FLOPs.
TEAM_KERNEL void group_norm_partial(IN(float, x), OUT(float, partial), const int batch, const int pixels, const int n,
                                 const int chunk) {
  USE_IN(float, x);
  USE_OUT(float, partial);
  COLUMN_LOCAL;
  const int tiles = COLUMN_TILES(n), chunks = (pixels + chunk - 1) / chunk;
  SHARE_FOR(item, batch * chunks * tiles) {
    const int part = item / tiles, first = part % chunks * chunk, count = min(chunk, pixels - first);
    __global const float *values = x + ((size_t)(part / chunks) * pixels + first) * n;
    __global float *result = partial + (size_t)part * 2 * n;
    COLUMN_RUNS(i, COLUMN_FIRST(item % tiles), n, {
      floatL origin[vectors], sum[vectors], square[vectors];
      COLUMN_EACH(v) {
        origin[v] = column_load(values, i + v * LANES, n, whole);
        sum[v] = square[v] = 0.0f;
      }
      for (int row = COLUMN_SLICE; row < count; row += COLUMN_SLICES) COLUMN_EACH(v) {
        const floatL d = column_load(values + (size_t)row * n, i + v * LANES, n, whole) - origin[v];
        sum[v] += d;
        square[v] = d * d + square[v];
      }
      COLUMN_EACH(v) {
        const floatL total = column_slices_sum(sum[v]), squares = column_slices_sum(square[v]);
        const floatL shift = total / (float)count;
        if (COLUMN_SLICE == 0) {
          column_store(result, i + v * LANES, n, origin[v] + shift, whole);
          column_store(result + n, i + v * LANES, n, fmax(squares - total * shift, (floatL)(0.0f)), whole);
        }
      }
    })
  }
}

// mean and rstd [batch, n] of each channel's group from the partial sums. Traffic: 8 B chunks C bytes.
TEAM_KERNEL void group_norm_statistics(IN(float, partial), OUT(float, mean), OUT(float, rstd), const int batch,
                                    const int pixels, const int n, const int groups, const int chunk,
                                    const float epsilon) {
  USE_IN(float, partial);
  USE_OUT(float, mean);
  USE_OUT(float, rstd);
  TEAM_LOCAL;
  const int span = n / groups, chunks = (pixels + chunk - 1) / chunk;
  const float count = (float)pixels * (float)span;
  TEAM_ROWS(unit, batch * groups) {
    const int b = unit / groups, first = unit % groups * span;
    __global const float *means = partial + (size_t)b * chunks * 2 * n + first;
    const float origin = means[0];
    float sum = 0.0f;
    for (int e = TEAM_RANK; e < chunks * span; e += TEAM_SIZE) {
      const int k = e / span;
      sum += (float)min(chunk, pixels - k * chunk) * (means[(size_t)k * 2 * n + e % span] - origin);
    }
    const float shift = team_sum_scalar(sum) / count;
    float square = 0.0f;
    for (int e = TEAM_RANK; e < chunks * span; e += TEAM_SIZE) {
      const int k = e / span;
      const float d = means[(size_t)k * 2 * n + e % span] - origin - shift;
      square += (float)min(chunk, pixels - k * chunk) * d * d + means[(size_t)k * 2 * n + n + e % span];
    }
    const float inverse = 1.0f / sqrt(team_sum_scalar(square) / count + epsilon);
    for (int c = TEAM_RANK; c < span; c += TEAM_SIZE) {
      mean[(size_t)b * n + first + c] = origin + shift;
      rstd[(size_t)b * n + first + c] = inverse;
    }
  }
}

// y from x, mean, rstd; `silu` 1 for y sigmoid(y). y may be x. Traffic: 8 B P C bytes; 3 B P C FLOPs, 25 with SiLU.
TEAM_KERNEL void group_norm_forward(IN(float, x), IN(float, mean), IN(float, rstd), IN(float, weight), IN(float, bias),
                                 OUT(float, y), const int batch, const int pixels, const int n, const int silu) {
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, rstd);
  USE_IN(float, weight);
  USE_IN(float, bias);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, (size_t)batch * pixels, n, {
    const size_t image = (size_t)((uint)row / (uint)pixels) * n, at = row * n;
    for (int i = first; i < last; i += LANES) {
      const floatL normal = (lanes_load(x + at, i, n) - lanes_load(mean + image, i, n)) * lanes_load(rstd + image, i, n);
      const floatL value = normal * lanes_load(weight, i, n) + lanes_load(bias, i, n);
      lanes_store(y + at, i, n, silu ? silu_lanes(value) : value);
    }
  })
}

// Sums of dy normal and of dy over each chunk of pixels, normal = (x - mean) rstd: partial [batch, chunks, 2, n].
// Traffic: 8 B P C bytes; 5 B P C FLOPs.
TEAM_KERNEL void group_norm_backward_partial(IN(float, dy), IN(float, x), IN(float, mean), IN(float, rstd),
                                          OUT(float, partial), const int batch, const int pixels, const int n,
                                          const int chunk) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, rstd);
  USE_OUT(float, partial);
  COLUMN_LOCAL;
  const int tiles = COLUMN_TILES(n), chunks = (pixels + chunk - 1) / chunk;
  SHARE_FOR(item, batch * chunks * tiles) {
    const int part = item / tiles, b = part / chunks, first = part % chunks * chunk, count = min(chunk, pixels - first);
    const size_t start = ((size_t)b * pixels + first) * n;
    __global float *result = partial + (size_t)part * 2 * n;
    COLUMN_RUNS(i, COLUMN_FIRST(item % tiles), n, {
      floatL product[vectors], plain[vectors];
      COLUMN_EACH(v) product[v] = plain[v] = 0.0f;
      for (int row = COLUMN_SLICE; row < count; row += COLUMN_SLICES) COLUMN_EACH(v) {
        const size_t at = start + (size_t)row * n;
        const floatL center = column_load(mean + (size_t)b * n, i + v * LANES, n, whole);
        const floatL gradient = column_load(dy + at, i + v * LANES, n, whole);
        product[v] = gradient * (column_load(x + at, i + v * LANES, n, whole) - center) + product[v];
        plain[v] += gradient;
      }
      COLUMN_EACH(v) {
        const floatL inverse = column_load(rstd + (size_t)b * n, i + v * LANES, n, whole);
        const floatL products = column_slices_sum(product[v]) * inverse, plains = column_slices_sum(plain[v]);
        if (COLUMN_SLICE == 0) {
          column_store(result, i + v * LANES, n, products, whole);
          column_store(result + n, i + v * LANES, n, plains, whole);
        }
      }
    })
  }
}

// means [batch, 2, n]: of dy weight normal and of dy weight over each channel's group. Traffic: 8 B chunks C bytes.
TEAM_KERNEL void group_norm_backward_statistics(IN(float, partial), IN(float, weight), OUT(float, means), const int batch,
                                             const int pixels, const int n, const int groups, const int chunk) {
  USE_IN(float, partial);
  USE_IN(float, weight);
  USE_OUT(float, means);
  TEAM_LOCAL;
  const int span = n / groups, chunks = (pixels + chunk - 1) / chunk;
  const float count = (float)pixels * (float)span;
  TEAM_ROWS(unit, batch * groups) {
    const int b = unit / groups, first = unit % groups * span;
    __global const float *sums = partial + (size_t)b * chunks * 2 * n + first;
    float product = 0.0f, plain = 0.0f;
    for (int e = TEAM_RANK; e < chunks * span; e += TEAM_SIZE) {
      const float w = weight[first + e % span];
      const size_t at = (size_t)(e / span) * 2 * n + e % span;
      product += w * sums[at];
      plain += w * sums[at + n];
    }
    product = team_sum_scalar(product) / count;
    plain = team_sum_scalar(plain) / count;
    for (int c = TEAM_RANK; c < span; c += TEAM_SIZE) {
      means[(size_t)b * 2 * n + first + c] = product;
      means[(size_t)b * 2 * n + n + first + c] = plain;
    }
  }
}

// dx = rstd (dy weight - means[1] - normal means[0]); dx may be dy or x. Traffic: 12 B P C bytes; 7 B P C FLOPs.
TEAM_KERNEL void group_norm_backward(IN(float, dy), IN(float, x), IN(float, mean), IN(float, rstd), IN(float, weight),
                                  IN(float, means), OUT(float, dx), const int batch, const int pixels, const int n) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, rstd);
  USE_IN(float, weight);
  USE_IN(float, means);
  USE_OUT(float, dx);
  ROW_RUNS(row, first, last, (size_t)batch * pixels, n, {
    const size_t image = (size_t)((uint)row / (uint)pixels) * n, at = row * n;
    for (int i = first; i < last; i += LANES) {
      const floatL inverse = lanes_load(rstd + image, i, n);
      const floatL normal = (lanes_load(x + at, i, n) - lanes_load(mean + image, i, n)) * inverse;
      const floatL gradient = lanes_load(dy + at, i, n) * lanes_load(weight, i, n);
      const floatL change = gradient - lanes_load(means + 2 * image + n, i, n) - normal * lanes_load(means + 2 * image, i, n);
      lanes_store(dx + at, i, n, change * inverse);
    }
  })
}

#endif
