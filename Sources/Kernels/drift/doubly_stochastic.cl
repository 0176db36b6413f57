// doubly_stochastic: the affinities of the drift field, softmax over targets times softmax over generated samples.
//
//   d[i, j] = distance[i, j] / max(scale, 1e-3), plus `self_penalty` where target j is sample i itself
//   logits  = -d / temperature[q],   q = 0 .. TEMPERATURES - 1
//   A[q]    = sqrt(max(softmax_j(logits) * softmax_i(logits), floor^2)) * weight[j]
//
// A is never stored. With m the smallest distance of a row or column and l = log2 of its sum of exp(-(d - m) / temperature),
//   sqrt(softmax_j * softmax_i) = 2^-((d - m_i / 2 - m_j / 2) log2(e) / temperature + l_i / 2 + l_j / 2),
// so a row and a column state of (m / 2, l / 2 for each temperature) is all that is kept, and each use of A costs one
// exponential. Subtracting the minima before dividing by a small temperature keeps the exponent's digits.
//
// -D TEMPERATURES: how many temperatures (default 3).
#ifndef DOUBLY_STOCHASTIC_CL
#define DOUBLY_STOCHASTIC_CL
#include "team.cl"
#include "math.cl"

#ifndef TEMPERATURES
#define TEMPERATURES 3
#endif
// Planes of a state tensor: m / 2, then l / 2 of each temperature.
#define STATE_PLANES (1 + TEMPERATURES)

// Distances are measured in this unit.
static inline float distance_unit(float scale) { return fmax(scale, 1e-3f); }

#if TEAM_SIZE > 1
#define exp2_lanes(x) exp2(x)
#else
// 2^x for x <= 0 (or barely above), relative error 1.7e-7; below 2^-126 it stays there.
static inline floatL exp2_lanes(floatL x) {
  x = fmax(x, -126.0f);
  const floatL whole = rint(x);
  const floatL f = x - whole;
  floatL p = fma((floatL)(0.00132647273f), f, (floatL)(0.00967151299f));
  p = fma(p, f, (floatL)(0.0555073358f));
  p = fma(p, f, (floatL)(0.240222424f));
  p = fma(p, f, (floatL)(0.693147004f));
  p = fma(p, f, (floatL)(1.0f));
  return as_floatL(as_intL(p) + (convert_intL(whole) << 23));
}
#endif

// factor[q] = log2(e) / (temperature[q] * unit): from a distance to a power of two.
static inline void exponent_factors(float *factor, __global const float *temperature, float unit) {
  for (int q = 0; q < TEMPERATURES; ++q) factor[q] = 1.44269504f / (temperature[q] * unit);
}

// Distances of sample i to the targets from j on, the sample itself pushed away; only the first `self` targets are samples.
static inline floatL masked_distance(__global const float *row, int i, int j, int targets, int self, float penalty) {
  const floatL d = lanes_load(row, j, targets);
  if (i < j || i >= j + LANES || i >= self) return d;
  return d + select((floatL)(0.0f), (floatL)(penalty), LANE_INDEX + j == (intL)(i));
}

#if TEAM_SIZE > 1
// Work-items next to each other take columns next to each other.
#define STATE_COLUMNS 1
#define floatState float
static inline float state_distance(__global const float *row, int i, int j, int targets, int self, float penalty) {
  return j < targets ? row[j] + (i == j && i < self ? penalty : 0.0f) : 0.0f;
}
#define state_store(p, j, n, v) \
  if ((j) < (n)) (p)[j] = (v)
#else
#define STATE_COLUMNS LANES
#define floatState floatL
#define state_distance masked_distance
#define state_store lanes_store
#endif

// distance [B, G, T], scale [1], temperature [TEMPERATURES]
// -> row_state [B, STATE_PLANES, G], column_state [B, STATE_PLANES, T].
// Traffic: reads the distances four times (4 B G T bytes each, mostly from cache), 2 TEMPERATURES B G T exponentials.
TEAM_KERNEL void doubly_stochastic_forward(IN(float, distance), IN(float, scale), IN(float, temperature),
                                        OUT(float, row_state), OUT(float, column_state), const int groups,
                                        const int samples, const int targets, const int self, const float self_penalty) {
  TEAM_LOCAL;
  USE_IN(float, distance);
  USE_IN(float, scale);
  USE_IN(float, temperature);
  USE_OUT(float, row_state);
  USE_OUT(float, column_state);
  const float unit = distance_unit(scale[0]);
  const float penalty = self_penalty * unit;
  float factor[TEMPERATURES];
  exponent_factors(factor, temperature, unit);
  const int rows = groups * samples;
  const int column_blocks = (targets + TEAM_SIZE * STATE_COLUMNS - 1) / (TEAM_SIZE * STATE_COLUMNS);
  TEAM_ROWS(task, rows + groups * column_blocks) {
    if (task < rows) {
      const int b = task / samples, i = task % samples;
      __global const float *row = distance + (size_t)task * targets;
      __global float *state = row_state + (size_t)b * STATE_PLANES * samples + i;
      floatL nearest = (floatL)(INFINITY);
      TEAM_FOR(j, targets)
      nearest = fmin(nearest, lanes_keep(masked_distance(row, i, j, targets, self, penalty), j, targets, INFINITY));
      const float m = -team_max(-nearest);
      floatL sum[TEMPERATURES];
      for (int q = 0; q < TEMPERATURES; ++q) sum[q] = (floatL)(0.0f);
      TEAM_FOR(j, targets) {
        const floatL d = masked_distance(row, i, j, targets, self, penalty) - m;
#pragma unroll
        for (int q = 0; q < TEMPERATURES; ++q) sum[q] += lanes_keep(exp2_lanes(d * -factor[q]), j, targets, 0.0f);
      }
      for (int q = 0; q < TEMPERATURES; ++q) {
        const float total = team_sum(sum[q]);
        if (TEAM_RANK == 0) state[(size_t)(1 + q) * samples] = 0.5f * log2(total);
      }
      if (TEAM_RANK == 0) state[0] = 0.5f * m;
    } else {
      const int b = (task - rows) / column_blocks;
      const int j = ((task - rows) % column_blocks * TEAM_SIZE + TEAM_RANK) * STATE_COLUMNS;
      if (j >= targets) continue;
      __global const float *group = distance + (size_t)b * samples * targets;
      __global float *state = column_state + (size_t)b * STATE_PLANES * targets;
      floatState m = (floatState)(INFINITY);
      for (int i = 0; i < samples; ++i)
        m = fmin(m, state_distance(group + (size_t)i * targets, i, j, targets, self, penalty));
      floatState sum[TEMPERATURES];
      for (int q = 0; q < TEMPERATURES; ++q) sum[q] = (floatState)(0.0f);
      for (int i = 0; i < samples; ++i) {
        const floatState d = state_distance(group + (size_t)i * targets, i, j, targets, self, penalty) - m;
#pragma unroll
        for (int q = 0; q < TEMPERATURES; ++q) sum[q] += exp2_lanes(d * -factor[q]);
      }
      state_store(state, j, targets, 0.5f * m);
      for (int q = 0; q < TEMPERATURES; ++q)
        state_store(state + (size_t)(1 + q) * targets, j, targets, 0.5f * log2(sum[q]));
    }
  }
}
#endif
