// entropy_cached: entropy of the attention of the newest rows of sequences among what is kept of them (softmax_entropy.cl, a row at a
// time).
//
// Row g of sequence b stands at p = known[b mod period] + offset + g; its key, and those before it, are in the cache. Its columns are
// the places from `buffer` to p, n of them:
//
//   a_hc = softmax(scale turn(query_bgh, p) . cache_key[b, h / HEAD_GROUP])_c over all places up to p
//   w_hc = a_hc / max(sum_c a_hc, 1e-8);   u_c = max(mean_h w_hc, 1e-8)
//   E_bg = clamp((-sum_c u_c log u_c - m 1e-8 log 1e-8) / log n, 0, 1), m places behind p;   1 where n < 2
//
// A row that sees nothing to choose from is as uncertain as can be.
//
// query [B, G, H, HEAD_DIM], cache_key [B, H / HEAD_GROUP, capacity, HEAD_DIM], table
// [capacity, HEAD_DIM] (cosines, then sines), entropy [B, G]. A row's bits do not depend on the other rows.
// Least traffic: the keys kept, 4 B (H / HEAD_GROUP) L HEAD_DIM bytes; 4 B H G L HEAD_DIM FLOPs.
//
// -D HEAD_DIM, HEAD_GROUP  as attention_cached.cl
#include "cached_rows.cl"

#if defined(HEAD_DIM) && defined(HEAD_GROUP)

// Most heads of queries.
#define ENTROPY_HEADS 128
#define PLACED_ROW(p, unit, h) (p + ((size_t)(unit) * heads + (h)) * HEAD_DIM)

#if TEAM_GPU
// A work-item has a place at a time; the team has a head.
#define ENTROPY_PLACES 1
#define ENTROPY_QUERY __local float own[HEAD_DIM]
#define ENTROPY_SHARED __local
#define ENTROPY_TURN(row)                                                                                                  \
  TEAM_BARRIER;                                                                                                            \
  for (int i = TEAM_RANK; i < HEAD_DIM; i += TEAM_SIZE) own[i] = turned(row, angle, i, rotated) * (scale * LOG2_E);        \
  TEAM_BARRIER
INLINE float entropy_score(__local const float *own, __global const float *key) {
  float score = 0.0f;
  for (int i = 0; i < HEAD_DIM; ++i) score = fma(own[i], key[i], score);
  return score;
}
#else
#define ENTROPY_PLACES 32
#define ENTROPY_QUERY floatL own[CHUNKS]
#define ENTROPY_SHARED
#define ENTROPY_TURN(row)                              \
  for (int i = 0; i < CHUNKS * LANES; ++i)             \
    ((float *)own)[i] = i < HEAD_DIM ? turned(row, angle, i, rotated) * (scale * LOG2_E) : 0.0f
INLINE float entropy_score(const floatL *own, __global const float *key) {
  floatL sum = (floatL)(0.0f);
#pragma unroll
  for (int c = 0; c < CHUNKS; ++c) sum = fma(own[c], chunk_load(key, c), sum);
  return lanes_sum(sum);
}
#endif

// Launch: any number of teams; a unit is a row with all its heads.
TEAM_KERNEL void entropy_cached(IN(float, query), IN(float, cache_key), IN(int, known), IN(float, table), OUT(float, entropy),
                             const int batch, const int rows, const int heads, const int capacity, const int period,
                             const int offset, const int buffer, const int rotated, const float scale) {
  TEAM_LOCAL;
  USE_IN(float, query);
  USE_IN(float, cache_key);
  USE_IN(int, known);
  USE_IN(float, table);
  USE_OUT(float, entropy);
  ENTROPY_QUERY;
  ENTROPY_SHARED float high[ENTROPY_HEADS], inverse[ENTROPY_HEADS];
  TEAM_ROWS(unit, batch * rows) {
    const int b = unit / rows, p = clamp(known[b % period] + offset + unit % rows, 0, capacity - 1), n = p + 1 - buffer;
    __global const float *angle = table + (size_t)p * HEAD_DIM;
    __global const float *keys = cache_key + (size_t)b * (heads / HEAD_GROUP) * capacity * HEAD_DIM;
#define HEAD_KEY(h, place) (keys + ((size_t)((h) / HEAD_GROUP) * capacity + (place)) * HEAD_DIM)
    for (int h = 0; h < heads && n > 1; ++h) {
      ENTROPY_TURN(PLACED_ROW(query, unit, h));
      float top = -INFINITY, inside = 0.0f, outside = 0.0f;
      for (int place = TEAM_RANK; place <= p; place += TEAM_SIZE) {
        const float score = entropy_score(own, HEAD_KEY(h, place)), next = fmax(top, score), keep = exp2(top - next);
        const float weight = exp2(score - next);
        inside = inside * keep + (place < buffer ? 0.0f : weight);
        outside = outside * keep + (place < buffer ? weight : 0.0f);
        top = next;
      }
      // A work-item without a place has nothing to add.
      const float all = team_max_scalar(top), keep = exp2(top - all);
      inside = team_sum_scalar(inside * keep);
      const float least = (inside + team_sum_scalar(outside * keep)) * FLOOR;
      if (TEAM_RANK == 0) {
        high[h] = all;
        inverse[h] = 1.0f / fmax(inside, least);
      }
    }
    TEAM_BARRIER;
    float sum = 0.0f;
    for (int start = buffer; start <= p && n > 1; start += TEAM_SIZE * ENTROPY_PLACES) {
      float mean[ENTROPY_PLACES];
      for (int i = 0; i < ENTROPY_PLACES; ++i) mean[i] = 0.0f;
      for (int h = 0; h < heads; ++h) {
        ENTROPY_TURN(PLACED_ROW(query, unit, h));
        for (int i = 0, place = start + TEAM_RANK; i < ENTROPY_PLACES && place <= p; ++i, place += TEAM_SIZE)
          mean[i] += exp2(entropy_score(own, HEAD_KEY(h, place)) - high[h]) * inverse[h];
      }
      for (int i = 0, place = start + TEAM_RANK; i < ENTROPY_PLACES && place <= p; ++i, place += TEAM_SIZE) {
        const float u = fmax(mean[i] / (float)heads, FLOOR);
        sum -= u * log(u);
      }
    }
    sum = team_sum_scalar(sum) + (float)(capacity - 1 - p) * FLOOR_ENTROPY;
    if (TEAM_RANK == 0) entropy[unit] = n > 1 ? clamp(sum / log((float)n), 0.0f, 1.0f) : 1.0f;
    TEAM_BARRIER;
  }
}
#endif
