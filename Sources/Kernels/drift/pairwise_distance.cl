// pairwise_distance: Euclidean distances from every generated sample to every target of its group.
//
//   distance[b, i, j] = sqrt(max(sum_s (gen[b, i, s] - target[b, j, s])^2, 1e-8))
//   scale             = mean(distance * weight) / mean(weight)            over the whole batch of groups
//
// The targets of a group are three tensors in a fixed order that is never materialised: the first `self` generated samples
// (all G, or none), `negatives` rows of `negative`, `positives` rows of `positive`; T = self + negatives + positives.
// Differences are squared directly: x.x + y.y - 2 x.y would drown the distance of near duplicates in rounding noise.
#ifndef PAIRWISE_DISTANCE_CL
#define PAIRWISE_DISTANCE_CL
#include "team.cl"

// Element 0 of target j of group b.
static inline __global const float *target_row(__global const float *gen, __global const float *negative,
                                               __global const float *positive, int b, int j, int samples, int self,
                                               int negatives, int positives, int width) {
  if (j < self) return gen + ((size_t)b * samples + j) * width;
  if (j < self + negatives) return negative + ((size_t)b * negatives + (j - self)) * width;
  return positive + ((size_t)b * positives + (j - self - negatives)) * width;
}

// Weight of target j of group b; the tensors are not read when the targets carry no weights.
static inline float target_weight(__global const float *gen, __global const float *negative,
                                  __global const float *positive, int b, int j, int samples, int self, int negatives,
                                  int positives, int weighted) {
  if (!weighted) return 1.0f;
  if (j < self) return gen[(size_t)b * samples + j];
  if (j < self + negatives) return negative[(size_t)b * negatives + (j - self)];
  return positive[(size_t)b * positives + (j - self - negatives)];
}

// Four floats of a row of `width` from s on, zeros past its end.
static inline float4 row_load4(__global const float *row, int s, int width) {
  if (s + 4 <= width) return vload4(0, row + s);
  return (float4)(s < width ? row[s] : 0.0f, s + 1 < width ? row[s + 1] : 0.0f, s + 2 < width ? row[s + 2] : 0.0f, 0.0f);
}

#define DISTANCE_SQUARE_FLOOR 1e-8f

#if TEAM_SIZE > 1
// Each item holds 4 samples x 4 targets, the team 16 samples x TEAM_SIZE targets.
#define DISTANCE_ROWS 16
#define DISTANCE_COLUMNS TEAM_SIZE
#define DISTANCE_DEPTH 16
#define DISTANCE_PITCH (DISTANCE_COLUMNS + 4)
#else
// LANES pairs at a time, LANES / 4 samples x 4 targets, so that one transposing sum ends all of them.
#define DISTANCE_ROWS 8
#define DISTANCE_BLOCK (LANES / 4)

// Lane p of the result is the sum of the lanes of v[p]; v is overwritten.
static inline floatL lanes_sum_each(floatL *v) {
#pragma unroll
  for (int count = LANES / 2; count > 0; count >>= 1) {
#pragma unroll
    for (int p = 0; p < count; ++p)
      v[p] = (floatL)(v[2 * p].even + v[2 * p].odd, v[2 * p + 1].even + v[2 * p + 1].odd);
  }
  return v[0];
}

// Squared distances of DISTANCE_BLOCK samples to 4 targets, samples outermost.
CALLED floatL distance_block(__global const float *const *x, __global const float *const *y, int width) {
  floatL sum[LANES];
#pragma unroll
  for (int p = 0; p < LANES; ++p) sum[p] = (floatL)(0.0f);
  int s = 0;
  for (; s + LANES <= width; s += LANES) {
    floatL b[4];
#pragma unroll
    for (int c = 0; c < 4; ++c) b[c] = vloadL(0, y[c] + s);
#pragma unroll
    for (int r = 0; r < DISTANCE_BLOCK; ++r) {
      floatL a = vloadL(0, x[r] + s);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        floatL d = a - b[c];
        sum[r * 4 + c] = fma(d, d, sum[r * 4 + c]);
      }
    }
  }
  if (s < width) {
#pragma unroll
    for (int r = 0; r < DISTANCE_BLOCK; ++r) {
      floatL a = lanes_load(x[r], s, width);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        floatL d = a - lanes_load(y[c], s, width);
        sum[r * 4 + c] = fma(d, d, sum[r * 4 + c]);
      }
    }
  }
  return lanes_sum_each(sum);
}

// Rows this narrow would leave most lanes of a row idle: there the lanes are targets.
#define DISTANCE_NARROW 8
#endif

// gen [B, G, S], negative [B, N, S], positive [B, P, S], weights [B, G], [B, N], [B, P] (read when `weighted`)
// -> distance [B, G, T], row_sum [B, G] = sum_j distance * weight.
// Traffic: 4 (B G T + B T S G / DISTANCE_ROWS) bytes, 3 B G T S FLOPs.
TEAM_KERNEL void pairwise_distance_forward(IN(float, gen), IN(float, negative), IN(float, positive), IN(float, weight_gen),
                                        IN(float, weight_negative), IN(float, weight_positive), OUT(float, distance),
                                        OUT(float, row_sum), const int groups, const int samples, const int self,
                                        const int negatives, const int positives, const int width, const int weighted) {
  USE_IN(float, gen);
  USE_IN(float, negative);
  USE_IN(float, positive);
  USE_IN(float, weight_gen);
  USE_IN(float, weight_negative);
  USE_IN(float, weight_positive);
  USE_OUT(float, distance);
  USE_OUT(float, row_sum);
  const int targets = self + negatives + positives;
  const int blocks = (samples + DISTANCE_ROWS - 1) / DISTANCE_ROWS;
#if TEAM_SIZE > 1
  __local float gen_tile[DISTANCE_DEPTH * DISTANCE_ROWS];
  __local float target_tile[DISTANCE_DEPTH * DISTANCE_PITCH];
  const int item_row = TEAM_RANK / (TEAM_SIZE / 4) * 4;
  const int item_column = TEAM_RANK % (TEAM_SIZE / 4) * 4;
  TEAM_ROWS(task, groups * blocks) {
    const int b = task / blocks;
    const int first = task % blocks * DISTANCE_ROWS;
    float weighted_sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int column = 0; column < targets; column += DISTANCE_COLUMNS) {
      float4 sum[4];
      for (int r = 0; r < 4; ++r) sum[r] = (float4)(0.0f);
      for (int s = 0; s < width; s += DISTANCE_DEPTH) {
        TEAM_BARRIER;
        for (int q = TEAM_RANK; q < DISTANCE_ROWS * (DISTANCE_DEPTH / 4); q += TEAM_SIZE) {
          const int r = q / (DISTANCE_DEPTH / 4), k = q % (DISTANCE_DEPTH / 4) * 4;
          const int i = min(first + r, samples - 1);
          const float4 v = row_load4(gen + ((size_t)b * samples + i) * width, s + k, width);
          gen_tile[k * DISTANCE_ROWS + r] = v.x;
          gen_tile[(k + 1) * DISTANCE_ROWS + r] = v.y;
          gen_tile[(k + 2) * DISTANCE_ROWS + r] = v.z;
          gen_tile[(k + 3) * DISTANCE_ROWS + r] = v.w;
        }
        for (int q = TEAM_RANK; q < DISTANCE_COLUMNS * (DISTANCE_DEPTH / 4); q += TEAM_SIZE) {
          const int c = q / (DISTANCE_DEPTH / 4), k = q % (DISTANCE_DEPTH / 4) * 4;
          const int j = min(column + c, targets - 1);
          const float4 v = row_load4(
              target_row(gen, negative, positive, b, j, samples, self, negatives, positives, width), s + k, width);
          target_tile[k * DISTANCE_PITCH + c] = v.x;
          target_tile[(k + 1) * DISTANCE_PITCH + c] = v.y;
          target_tile[(k + 2) * DISTANCE_PITCH + c] = v.z;
          target_tile[(k + 3) * DISTANCE_PITCH + c] = v.w;
        }
        TEAM_BARRIER;
#pragma unroll
        for (int k = 0; k < DISTANCE_DEPTH; ++k) {
          const float4 x = vload4(0, gen_tile + k * DISTANCE_ROWS + item_row);
          const float4 y = vload4(0, target_tile + k * DISTANCE_PITCH + item_column);
          float4 d = x.x - y;
          sum[0] = fma(d, d, sum[0]);
          d = x.y - y;
          sum[1] = fma(d, d, sum[1]);
          d = x.z - y;
          sum[2] = fma(d, d, sum[2]);
          d = x.w - y;
          sum[3] = fma(d, d, sum[3]);
        }
      }
      for (int c = 0; c < 4; ++c) {
        const int j = column + item_column + c;
        if (j >= targets) continue;
        const float w = target_weight(weight_gen, weight_negative, weight_positive, b, j, samples, self, negatives,
                                      positives, weighted);
        for (int r = 0; r < 4; ++r) {
          const int i = first + item_row + r;
          const float square = c == 0 ? sum[r].x : c == 1 ? sum[r].y : c == 2 ? sum[r].z : sum[r].w;
          const float d = sqrt(fmax(square, DISTANCE_SQUARE_FLOOR));
          weighted_sum[r] = fma(d, w, weighted_sum[r]);
          if (i < samples) distance[((size_t)b * samples + i) * targets + j] = d;
        }
      }
    }
    // The tiles are done with: the target tile serves as scratch for the sums over the items of a row.
    for (int r = 0; r < 4; ++r) {
      TEAM_BARRIER;
      target_tile[TEAM_RANK] = weighted_sum[r];
      TEAM_BARRIER;
      if (item_column == 0 && first + item_row + r < samples) {
        float total = 0.0f;
        for (int q = 0; q < TEAM_SIZE / 4; ++q) total += target_tile[TEAM_RANK + q];
        row_sum[(size_t)b * samples + first + item_row + r] = total;
      }
    }
  }
#else
  TEAM_ROWS(task, groups * blocks) {
    const int b = task / blocks;
    const int first = task % blocks * DISTANCE_ROWS;
    const int rows = min(DISTANCE_ROWS, samples - first);
    if (width <= DISTANCE_NARROW) {
      floatL sum[DISTANCE_ROWS];
      for (int r = 0; r < DISTANCE_ROWS; ++r) sum[r] = (floatL)(0.0f);
      for (int column = 0; column < targets; column += LANES) {
        float y[DISTANCE_NARROW][LANES], w[LANES];
        for (int c = 0; c < LANES; ++c) {
          const int j = min(column + c, targets - 1);
          __global const float *row =
              target_row(gen, negative, positive, b, j, samples, self, negatives, positives, width);
          for (int s = 0; s < width; ++s) y[s][c] = row[s];
          w[c] = column + c < targets ? target_weight(weight_gen, weight_negative, weight_positive, b, j, samples,
                                                      self, negatives, positives, weighted)
                                      : 0.0f;
        }
        const floatL weight = vloadL(0, w);
        for (int r = 0; r < rows; ++r) {
          __global const float *x = gen + ((size_t)b * samples + first + r) * width;
          floatL square = (floatL)(0.0f);
          for (int s = 0; s < width; ++s) {
            const floatL d = x[s] - vloadL(0, y[s]);
            square = fma(d, d, square);
          }
          const floatL d = sqrt(fmax(square, DISTANCE_SQUARE_FLOOR));
          sum[r] = fma(d, weight, sum[r]);
          lanes_store(distance + ((size_t)b * samples + first + r) * targets, column, targets, d);
        }
      }
      for (int r = 0; r < rows; ++r) row_sum[(size_t)b * samples + first + r] = team_sum(sum[r]);
      continue;
    }
    float4 weighted_sum[DISTANCE_ROWS];
    for (int r = 0; r < DISTANCE_ROWS; ++r) weighted_sum[r] = (float4)(0.0f);
    for (int column = 0; column < targets; column += 4) {
      const int columns = min(4, targets - column);
      __global const float *y[4];
      float w[4];
      for (int c = 0; c < 4; ++c) {
        const int j = min(column + c, targets - 1);
        y[c] = target_row(gen, negative, positive, b, j, samples, self, negatives, positives, width);
        w[c] = c < columns ? target_weight(weight_gen, weight_negative, weight_positive, b, j, samples, self, negatives,
                                           positives, weighted)
                           : 0.0f;
      }
      const float4 weight = vload4(0, w);
      for (int block = 0; block < rows; block += DISTANCE_BLOCK) {
        __global const float *x[DISTANCE_BLOCK];
#pragma unroll
        for (int r = 0; r < DISTANCE_BLOCK; ++r)
          x[r] = gen + ((size_t)b * samples + first + min(block + r, rows - 1)) * width;
        float d[LANES];
        vstoreL(sqrt(fmax(distance_block(x, y, width), DISTANCE_SQUARE_FLOOR)), 0, d);
#pragma unroll
        for (int r = 0; r < DISTANCE_BLOCK; ++r) {
          if (block + r >= rows) break;
          const float4 four = vload4(r, d);
          weighted_sum[block + r] = fma(four, weight, weighted_sum[block + r]);
          __global float *out = distance + ((size_t)b * samples + first + block + r) * targets + column;
          if (columns == 4) {
            vstore4(four, 0, out);
          } else {
            for (int c = 0; c < columns; ++c) out[c] = d[r * 4 + c];
          }
        }
      }
    }
    for (int r = 0; r < rows; ++r) {
      const float2 half_sum = weighted_sum[r].lo + weighted_sum[r].hi;
      row_sum[(size_t)b * samples + first + r] = half_sum.x + half_sum.y;
    }
  }
#endif
}

// row_sum [B, G], weights as above -> scale [1]. One team.
// Rows were summed first, so that the error does not grow with the batch. Traffic: 4 B (G + T) bytes.
TEAM_KERNEL void pairwise_distance_scale(IN(float, row_sum), IN(float, weight_gen), IN(float, weight_negative),
                                      IN(float, weight_positive), OUT(float, scale), const int groups, const int samples,
                                      const int self, const int negatives, const int positives, const int weighted) {
  TEAM_LOCAL;
  USE_IN(float, row_sum);
  USE_IN(float, weight_gen);
  USE_IN(float, weight_negative);
  USE_IN(float, weight_positive);
  USE_OUT(float, scale);
  if (TEAM_INDEX > 0) return;
  floatL distances = (floatL)(0.0f);
  TEAM_FOR(i, groups * samples) distances += lanes_load(row_sum, i, groups * samples);
  const float distance_sum = team_sum(distances);
  float weight_sum = (float)groups * (float)(self + negatives + positives);
  if (weighted) {
    floatL weights = (floatL)(0.0f);
    if (self > 0) TEAM_FOR(i, groups * samples) weights += lanes_load(weight_gen, i, groups * samples);
    TEAM_FOR(i, groups * negatives) weights += lanes_load(weight_negative, i, groups * negatives);
    TEAM_FOR(i, groups * positives) weights += lanes_load(weight_positive, i, groups * positives);
    weight_sum = team_sum(weights);
  }
  if (TEAM_RANK == 0) scale[0] = distance_sum / ((float)samples * weight_sum);
}
#endif
