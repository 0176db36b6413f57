// drift_field: the force on every generated sample, for all temperatures at once.
//
//   A       the affinities of doubly_stochastic.cl, recomputed from distances and row and column states
//   n, p    sums of A[q][i, :] over the targets that repel (samples and negatives) and over those that attract (positives)
//   F[q, b, i, :] = (n sum_pos A target - p sum_neg A target) / s,   s = max(scale / sqrt(S), 1e-3)
//   product[q <= r][b, i] = F[q, b, i, :] . F[r, b, i, :]
//
// The coefficients of a row, n A and -p A, sum to zero by construction, so `- sum(coefficients) * gen` is left out.
// The products are all the loss needs of F: mean F[q]^2 are the diagonal ones (drift_loss.cl).
// Coefficients times targets is one small matrix product per group, [TEMPERATURES G, T] x [T, S].
//
// -D TEMPERATURES: how many temperatures (default 3).
#ifndef DRIFT_FIELD_CL
#define DRIFT_FIELD_CL
#include "doubly_stochastic.cl"
#include "pairwise_distance.cl"

// Pairs of temperatures q <= r, in the order (0,0) (0,1) .. (1,1) ..
#define DRIFT_PAIRS (TEMPERATURES * (TEMPERATURES + 1) / 2)

// What the coordinates are divided by.
static inline float coordinate_unit(float scale, int width) { return fmax(scale / sqrt((float)width), 1e-3f); }

#if TEAM_SIZE > 1
// An item holds 4 samples x 4 coordinates x TEMPERATURES; a team FIELD_ROWS samples x FIELD_COLUMNS coordinates.
#define FIELD_COLUMN_ITEMS (TEAM_SIZE < 32 ? TEAM_SIZE : 32)
#define FIELD_COLUMNS (FIELD_COLUMN_ITEMS * 4)
#define FIELD_ROWS (TEAM_SIZE / FIELD_COLUMN_ITEMS * 4)
#define FIELD_DEPTH 16
#define FIELD_PITCH (TEMPERATURES * FIELD_ROWS + 4)
#else
// The register tile: FIELD_ROWS samples x TEMPERATURES against two vectors of coordinates; AVX-512 has the registers for 24.
#if LANES == 16
#define FIELD_HEIGHT 12
#else
#define FIELD_HEIGHT 6
#endif
#if TEMPERATURES < FIELD_HEIGHT
#define FIELD_ROWS (FIELD_HEIGHT / TEMPERATURES)
#else
#define FIELD_ROWS 1
#endif
#define FIELD_LINES (FIELD_ROWS * TEMPERATURES)
// Targets whose coefficients a work-item keeps; longer rows come in several parts.
#define FIELD_DEPTH 1024
// One cache line more than a power of two, or all lines of coefficients would fall into the same sets of the cache.
#define FIELD_LINE (FIELD_DEPTH + 16)

static inline floatL field_target(__global const float *row, int s, int width, int narrow) {
  return narrow ? lanes_load(row, s, width) : vloadL(0, row + s);
}

// sum[l][v] += c[l][k] * row k [start[v] ..], over `count` rows that follow each other. The tile is held in `tile`, which only
// constants index, so that it stays in registers.
#define FIELD_ACCUMULATE(name, vectors, narrow)                                                                        \
  CALLED void name(floatL *sum, __global const float *row, const float *c, int count, int width, const int *start) {   \
    floatL tile[FIELD_LINES * vectors];                                                                                \
    _Pragma("unroll") for (int l = 0; l < FIELD_LINES; ++l)                                                            \
        _Pragma("unroll") for (int v = 0; v < vectors; ++v) tile[l * vectors + v] = sum[l * 2 + v];                    \
    for (int k = 0; k < count; ++k, row += width, ++c) {                                                               \
      floatL t[vectors];                                                                                               \
      _Pragma("unroll") for (int v = 0; v < vectors; ++v) t[v] = field_target(row, start[v], width, narrow);           \
      _Pragma("unroll") for (int l = 0; l < FIELD_LINES; ++l)                                                          \
          _Pragma("unroll") for (int v = 0; v < vectors; ++v) tile[l * vectors + v] =                                  \
          fma((floatL)(c[l * FIELD_LINE]), t[v], tile[l * vectors + v]);                                               \
    }                                                                                                                  \
    _Pragma("unroll") for (int l = 0; l < FIELD_LINES; ++l)                                                            \
        _Pragma("unroll") for (int v = 0; v < vectors; ++v) sum[l * 2 + v] = tile[l * vectors + v];                    \
  }
FIELD_ACCUMULATE(field_accumulate_two, 2, 0)
FIELD_ACCUMULATE(field_accumulate_one, 1, 0)
FIELD_ACCUMULATE(field_accumulate_narrow, 1, 1)
#endif

// gen [B, G, S], negative [B, N, S], positive [B, P, S], weights [B, G], [B, N], [B, P] (read when `weighted`),
// distance [B, G, T], scale [1], temperature [TEMPERATURES], row_state [B, STATE_PLANES, G],
// column_state [B, STATE_PLANES, T] -> force [TEMPERATURES, B, G, S], product [DRIFT_PAIRS, B, G].
// Traffic: 4 (B G T + B T S G / FIELD_ROWS + TEMPERATURES B G S) bytes, the middle term from cache;
// 2 TEMPERATURES B G T S FLOPs.
TEAM_KERNEL void drift_field_forward(IN(float, gen), IN(float, negative), IN(float, positive), IN(float, weight_gen),
                                  IN(float, weight_negative), IN(float, weight_positive), IN(float, distance),
                                  IN(float, scale), IN(float, temperature), IN(float, row_state),
                                  IN(float, column_state), OUT(float, force), OUT(float, product), const int groups,
                                  const int samples, const int self, const int negatives, const int positives,
                                  const int width, const int weighted, const float self_penalty,
                                  const float affinity_floor) {
  USE_IN(float, gen);
  USE_IN(float, negative);
  USE_IN(float, positive);
  USE_IN(float, weight_gen);
  USE_IN(float, weight_negative);
  USE_IN(float, weight_positive);
  USE_IN(float, distance);
  USE_IN(float, scale);
  USE_IN(float, temperature);
  USE_IN(float, row_state);
  USE_IN(float, column_state);
  USE_OUT(float, force);
  USE_OUT(float, product);
  const int repelling = self + negatives;
  const int targets = repelling + positives;
  const float unit = distance_unit(scale[0]);
  const float penalty = self_penalty * unit;
  const float per_coordinate = 1.0f / coordinate_unit(scale[0], width);
  float factor[TEMPERATURES];
  exponent_factors(factor, temperature, unit);
  const int blocks = (samples + FIELD_ROWS - 1) / FIELD_ROWS;
#if TEAM_SIZE > 1
  __local float coefficient[FIELD_DEPTH * FIELD_PITCH];
  __local float target_tile[FIELD_DEPTH * FIELD_COLUMNS];
  __local float signed_sum[FIELD_ROWS * TEMPERATURES * 2];
  __local float scratch[TEAM_SIZE];
  const int item_row = TEAM_RANK / FIELD_COLUMN_ITEMS * 4;
  const int item_column = TEAM_RANK % FIELD_COLUMN_ITEMS * 4;
  TEAM_ROWS(task, groups * blocks) {
    const int b = task / blocks;
    const int first = task % blocks * FIELD_ROWS;
    __global const float *rows = row_state + (size_t)b * STATE_PLANES * samples;
    __global const float *columns = column_state + (size_t)b * STATE_PLANES * targets;

    // n and -p of each row and temperature: the items of a row take its targets in turn.
    {
      const int items = TEAM_SIZE / FIELD_ROWS;
      const int r = TEAM_RANK / items;
      const int i = min(first + r, samples - 1);
      __global const float *d = distance + ((size_t)b * samples + i) * targets;
      float sum[TEMPERATURES][2];
      for (int q = 0; q < TEMPERATURES; ++q) sum[q][0] = sum[q][1] = 0.0f;
      for (int j = TEAM_RANK % items; j < targets; j += items) {
        const float u = d[j] + (i == j && i < self ? penalty : 0.0f) - (rows[i] + columns[j]);
        const float w = target_weight(weight_gen, weight_negative, weight_positive, b, j, samples, self, negatives,
                                      positives, weighted);
#pragma unroll
        for (int q = 0; q < TEMPERATURES; ++q) {
          const float x = -fma(u, factor[q], rows[(1 + q) * samples + i] + columns[(size_t)(1 + q) * targets + j]);
          const float a = fmax(exp2(x), affinity_floor) * w;
          sum[q][0] += j < repelling ? a : 0.0f;
          sum[q][1] += j < repelling ? 0.0f : a;
        }
      }
#pragma unroll
      for (int q = 0; q < TEMPERATURES; ++q)
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          TEAM_BARRIER;
          scratch[TEAM_RANK] = sum[q][side];
          TEAM_BARRIER;
          if (TEAM_RANK % items == 0) {
            float total = 0.0f;
            for (int k = 0; k < items; ++k) total += scratch[TEAM_RANK + k];
            signed_sum[(r * TEMPERATURES + q) * 2 + side] = side == 0 ? total : -total;
          }
        }
    }

    float4 products[DRIFT_PAIRS];
#pragma unroll
    for (int k = 0; k < DRIFT_PAIRS; ++k) products[k] = (float4)(0.0f);
    for (int s = 0; s < width; s += FIELD_COLUMNS) {
      float4 sum[TEMPERATURES][4];
#pragma unroll
      for (int q = 0; q < TEMPERATURES; ++q)
#pragma unroll
        for (int r = 0; r < 4; ++r) sum[q][r] = (float4)(0.0f);
      for (int from = 0; from < targets; from += FIELD_DEPTH) {
        TEAM_BARRIER;
        for (int e = TEAM_RANK; e < FIELD_ROWS * FIELD_DEPTH; e += TEAM_SIZE) {
          const int k = e % FIELD_DEPTH, r = e / FIELD_DEPTH;
          const int i = min(first + r, samples - 1), j = min(from + k, targets - 1);
          const float u = distance[((size_t)b * samples + i) * targets + j] + (i == j && i < self ? penalty : 0.0f) -
                          (rows[i] + columns[j]);
          const float w = from + k < targets
                              ? target_weight(weight_gen, weight_negative, weight_positive, b, j, samples, self,
                                              negatives, positives, weighted)
                              : 0.0f;
#pragma unroll
          for (int q = 0; q < TEMPERATURES; ++q) {
            const float x = -fma(u, factor[q], rows[(1 + q) * samples + i] + columns[(size_t)(1 + q) * targets + j]);
            coefficient[k * FIELD_PITCH + q * FIELD_ROWS + r] =
                fmax(exp2(x), affinity_floor) * w * signed_sum[(r * TEMPERATURES + q) * 2 + (j < repelling ? 1 : 0)];
          }
        }
        for (int e = TEAM_RANK; e < FIELD_DEPTH * FIELD_COLUMN_ITEMS; e += TEAM_SIZE) {
          const int k = e / FIELD_COLUMN_ITEMS, c = e % FIELD_COLUMN_ITEMS * 4;
          const int j = min(from + k, targets - 1);
          vstore4(row_load4(target_row(gen, negative, positive, b, j, samples, self, negatives, positives, width), s + c,
                            width),
                  0, target_tile + k * FIELD_COLUMNS + c);
        }
        TEAM_BARRIER;
#pragma unroll
        for (int k = 0; k < FIELD_DEPTH; ++k) {
          const float4 t = vload4(0, target_tile + k * FIELD_COLUMNS + item_column);
#pragma unroll
          for (int q = 0; q < TEMPERATURES; ++q) {
            const float4 a = vload4(0, coefficient + k * FIELD_PITCH + q * FIELD_ROWS + item_row);
            sum[q][0] = fma((float4)(a.x), t, sum[q][0]);
            sum[q][1] = fma((float4)(a.y), t, sum[q][1]);
            sum[q][2] = fma((float4)(a.z), t, sum[q][2]);
            sum[q][3] = fma((float4)(a.w), t, sum[q][3]);
          }
        }
      }
      // Coordinates past the width are zero here, since their targets were read as zero.
      const int column = s + item_column;
#pragma unroll
      for (int q = 0; q < TEMPERATURES; ++q)
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          sum[q][r] *= per_coordinate;
          const int i = first + item_row + r;
          if (i >= samples || column >= width) continue;
          __global float *out = force + (((size_t)q * groups + b) * samples + i) * width + column;
          if (column + 4 <= width) {
            vstore4(sum[q][r], 0, out);
          } else {
            out[0] = sum[q][r].x;
            if (column + 1 < width) out[1] = sum[q][r].y;
            if (column + 2 < width) out[2] = sum[q][r].z;
          }
        }
      int pair = 0;
#pragma unroll
      for (int q = 0; q < TEMPERATURES; ++q)
#pragma unroll
        for (int r = q; r < TEMPERATURES; ++r, ++pair)
          products[pair] += (float4)(dot(sum[q][0], sum[r][0]), dot(sum[q][1], sum[r][1]), dot(sum[q][2], sum[r][2]),
                                     dot(sum[q][3], sum[r][3]));
    }
    // Four samples of a pair at a time, through the memory of the targets. Unrolled, so that the products are registers.
#pragma unroll
    for (int pair = 0; pair < DRIFT_PAIRS; ++pair) {
      TEAM_BARRIER;
      vstore4(products[pair], TEAM_RANK, target_tile);
      TEAM_BARRIER;
      if (item_column == 0) {
        float total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int k = 0; k < FIELD_COLUMN_ITEMS; ++k) {
          const float4 p = vload4(TEAM_RANK + k, target_tile);
          total[0] += p.x;
          total[1] += p.y;
          total[2] += p.z;
          total[3] += p.w;
        }
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const int i = first + item_row + r;
          if (i < samples) product[((size_t)pair * groups + b) * samples + i] = total[r];
        }
      }
    }
  }
#else
  const int narrow = width < LANES;
  const int vectors = (width + LANES - 1) / LANES;
  float coefficient[FIELD_LINES * FIELD_LINE];
  float weight[FIELD_DEPTH];
  for (int j = 0; j < FIELD_DEPTH; ++j) weight[j] = 1.0f;
  TEAM_ROWS(task, groups * blocks) {
    const int b = task / blocks;
    const int first = task % blocks * FIELD_ROWS;
    __global const float *rows = row_state + (size_t)b * STATE_PLANES * samples;
    __global const float *columns = column_state + (size_t)b * STATE_PLANES * targets;
    floatL repelled[FIELD_LINES], attracted[FIELD_LINES], products[FIELD_ROWS * DRIFT_PAIRS];
    float n[FIELD_LINES], p[FIELD_LINES];
    for (int l = 0; l < FIELD_LINES; ++l) repelled[l] = attracted[l] = (floatL)(0.0f);
    for (int l = 0; l < FIELD_ROWS * DRIFT_PAIRS; ++l) products[l] = (floatL)(0.0f);

    // A row of one part has its affinities computed once; the sums of a longer one take a pass of their own.
    const int parts = (targets + FIELD_DEPTH - 1) / FIELD_DEPTH;
    for (int step = parts > 1 ? -parts : 0; step < parts; ++step) {
      const int from = (step < 0 ? step + parts : step) * FIELD_DEPTH;
      const int to = min(from + FIELD_DEPTH, targets);
      if (weighted)
        for (int j = from; j < to; ++j)
          weight[j - from] = target_weight(weight_gen, weight_negative, weight_positive, b, j, samples, self, negatives,
                                           positives, weighted);
      for (int r = 0; r < FIELD_ROWS; ++r) {
        const int i = min(first + r, samples - 1);
        __global const float *row = distance + ((size_t)b * samples + i) * targets;
        float half_log[TEMPERATURES];
        for (int q = 0; q < TEMPERATURES; ++q) half_log[q] = rows[(1 + q) * samples + i];
        for (int j = from; j < to; j += LANES) {
          const floatL w = lanes_keep(vloadL(0, weight + (j - from)), j, targets, 0.0f);
          const floatL u =
              masked_distance(row, i, j, targets, self, penalty) - (rows[i] + lanes_load(columns, j, targets));
          const intL repels = LANE_INDEX + j < (intL)(repelling);
#pragma unroll
          for (int q = 0; q < TEMPERATURES; ++q) {
            const int l = r * TEMPERATURES + q;
            const floatL h = half_log[q] + lanes_load(columns + (size_t)(1 + q) * targets, j, targets);
            const floatL a = fmax(exp2_lanes(-fma(u, (floatL)(factor[q]), h)), affinity_floor) * w;
            vstoreL(a, 0, coefficient + l * FIELD_LINE + (j - from));
            if (step < 0 || parts == 1) {
              repelled[l] += select((floatL)(0.0f), a, repels);
              attracted[l] += select(a, (floatL)(0.0f), repels);
            }
          }
        }
      }
      if (step < 0) continue;
      if (step == 0)
        for (int l = 0; l < FIELD_LINES; ++l) {
          n[l] = lanes_sum(repelled[l]);
          p[l] = lanes_sum(attracted[l]);
        }
      for (int l = 0; l < FIELD_LINES; ++l)
        for (int j = from; j < to; j += LANES) {
          float *a = coefficient + l * FIELD_LINE + (j - from);
          const intL repels = LANE_INDEX + j < (intL)(repelling);
          vstoreL(vloadL(0, a) * select((floatL)(n[l]), (floatL)(-p[l]), repels), 0, a);
        }

      for (int v = 0; v < vectors; v += 2) {
        // The last vector ends at the width and overlaps its neighbour; `keep` are the lanes that are its own.
        int start[2], own[2];
        for (int k = 0; k < 2; ++k) {
          start[k] = narrow ? 0 : min((v + k) * LANES, width - LANES);
          own[k] = (v + k) * LANES;
        }
        floatL sum[FIELD_LINES * 2];
#pragma unroll
        for (int l = 0; l < FIELD_LINES * 2; ++l) sum[l] = (floatL)(0.0f);
        for (int segment = 0; segment < 3; ++segment) {
          const int begin = segment == 0 ? 0 : segment == 1 ? self : repelling;
          const int end = segment == 0 ? self : segment == 1 ? repelling : targets;
          const int low = max(begin, from), count = min(end, to) - low;
          if (count <= 0) continue;
          __global const float *row =
              target_row(gen, negative, positive, b, low, samples, self, negatives, positives, width);
          const float *c = coefficient + (low - from);
          if (v + 1 < vectors)
            field_accumulate_two(sum, row, c, count, width, start);
          else if (!narrow)
            field_accumulate_one(sum, row, c, count, width, start);
          else
            field_accumulate_narrow(sum, row, c, count, width, start);
        }
        for (int k = 0; k < 2 && v + k < vectors; ++k) {
          const intL keep = (LANE_INDEX + start[k] >= own[k]) & (LANE_INDEX + start[k] < width);
          for (int r = 0; r < FIELD_ROWS && first + r < samples; ++r) {
            floatL f[TEMPERATURES];
            for (int q = 0; q < TEMPERATURES; ++q) {
              __global float *out = force + (((size_t)q * groups + b) * samples + first + r) * width;
              f[q] = sum[(r * TEMPERATURES + q) * 2 + k] * per_coordinate;
              // Earlier parts of the row are there already, except in lanes a neighbour has just written.
              if (step > 0) f[q] += field_target(out, start[k], width, narrow);
              if (start[k] < own[k]) {
                float lane[LANES];
                vstoreL(f[q], 0, lane);
                for (int x = own[k] - start[k]; x < LANES; ++x) out[start[k] + x] = lane[x];
              } else {
                lanes_store(out, start[k], width, f[q]);
              }
              f[q] = select((floatL)(0.0f), f[q], keep);
            }
            if (step + 1 < parts) continue;
            int pair = r * DRIFT_PAIRS;
            for (int q = 0; q < TEMPERATURES; ++q)
              for (int o = q; o < TEMPERATURES; ++o, ++pair) products[pair] = fma(f[q], f[o], products[pair]);
          }
        }
      }
    }
    for (int r = 0; r < FIELD_ROWS && first + r < samples; ++r)
      for (int pair = 0; pair < DRIFT_PAIRS; ++pair)
        product[((size_t)pair * groups + b) * samples + first + r] = lanes_sum(products[r * DRIFT_PAIRS + pair]);
  }
#endif
}
#endif
