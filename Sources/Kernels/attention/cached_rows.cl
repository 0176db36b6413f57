// cached_rows: what a query does with keys and values that are kept, for the kernels that have some.
//
// keys, values [places, HEAD_DIM] of a head. Queries walk the keys from the first place on, so that a query's bits depend on nothing
// but these.
#include "attention_shape.cl"

#if defined(HEAD_DIM) && defined(HEAD_GROUP)
#ifndef CACHED_ROWS_CL
#define CACHED_ROWS_CL

// The column that turns with column i, and column i turned (rotary.cl).
#define PARTNER(i) ((i) < HEAD_DIM / 2 ? (i) + HEAD_DIM / 2 : (i) - HEAD_DIM / 2)
INLINE float turned_column(float x, float partner, __global const float *angle, int i) {
  const int half_size = HEAD_DIM / 2;
  return i < half_size ? x * angle[i] - partner * angle[half_size + i] : x * angle[i - half_size] + partner * angle[i];
}
// Column i of a head at x turned by the angles at `angle`.
INLINE float turned(__global const float *x, __global const float *angle, int i, int rotated) {
  return rotated ? turned_column(x[i], x[PARTNER(i)], angle, i) : x[i];
}

#if !TEAM_GPU
#define CACHED_TILE (4 * LANES)

// One query, scaled, over the first `end` keys; what it finds takes its place.
INLINE void attend_cached(floatL *query, __global const float *keys, __global const float *values, int end) {
  floatL sums[CHUNKS];
  float high = -INFINITY, total = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; ++c) sums[c] = (floatL)(0.0f);
  for (int start = 0; start < end; start += CACHED_TILE) {
    const int count = min(CACHED_TILE, end - start);
    floatL scores[4];
    float *score = (float *)scores;
    for (int v = 0; v < 4; ++v) scores[v] = (floatL)(-INFINITY);
    for (int j = 0; j < count; j += 4) {
      floatL dots[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        __global const float *row = keys + (size_t)(start + min(j + i, count - 1)) * HEAD_DIM;
        dots[i] = (floatL)(0.0f);
#pragma unroll
        for (int c = 0; c < CHUNKS; ++c) dots[i] = fma(query[c], chunk_load(row, c), dots[i]);
      }
      const float4 sum = lanes_sum4(dots[0], dots[1], dots[2], dots[3]);
      score[j] = sum.x;
      if (j + 1 < count) score[j + 1] = sum.y;
      if (j + 2 < count) score[j + 2] = sum.z;
      if (j + 3 < count) score[j + 3] = sum.w;
    }
    const float top = fmax(high, lanes_max(fmax(fmax(scores[0], scores[1]), fmax(scores[2], scores[3]))));
    const float keep = exp2(high - top);
    floatL weight_sum = (floatL)(0.0f);
    for (int v = 0; v < 4; ++v) {
      scores[v] = exp2_lanes(scores[v] - top);
      weight_sum += scores[v];
    }
    high = top;
    total = total * keep + lanes_sum(weight_sum);
#pragma unroll
    for (int c = 0; c < CHUNKS; ++c) sums[c] *= keep;
    for (int j = 0; j < count; ++j) {
      __global const float *row = values + (size_t)(start + j) * HEAD_DIM;
#pragma unroll
      for (int c = 0; c < CHUNKS; ++c) sums[c] = fma((floatL)(score[j]), chunk_load(row, c), sums[c]);
    }
  }
  const float inverse = 1.0f / total;
#pragma unroll
  for (int c = 0; c < CHUNKS; ++c) query[c] = sums[c] * inverse;
}
#endif
#endif
#endif
