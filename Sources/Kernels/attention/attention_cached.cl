// attention_cached: attention of the newest rows of sequences whose earlier keys and values are kept.
//
// Of sequence b, L = known[b mod period] + offset rows are kept, as many as the device says; G rows are new. Row g stands at
// position p = L + g. Its key, turned by the angles of p (rotary.cl) where `rotated`, and its value go to place p of the caches;
// what stood there is forgotten, and so is all from L on that an earlier pass had put there. Then for each query head h
//
//   s_q   = scale turn(query_bgh, p) . cache_key[b, h / HEAD_GROUP, q]           q <= p
//   out_bgh = sum_q softmax(s)_q cache_value[b, h / HEAD_GROUP, q]
//
// query, out [B, G, H, HEAD_DIM], key, value [B, G, H / HEAD_GROUP, HEAD_DIM], caches [B, H / HEAD_GROUP, capacity, HEAD_DIM],
// table [capacity, HEAD_DIM] (cosines, then sines). Rows that would stand outside of the caches are not kept.
// Least traffic: keys and values of the rows kept, 8 B (H / HEAD_GROUP) L HEAD_DIM bytes; 4 B H G L HEAD_DIM FLOPs.
//
// A query head walks the keys from the first place on, whatever L and G are: a row's bits do not depend on how many rows are
// new, nor on what else is in the batch.
//
// -D HEAD_DIM    columns of a head; without HEAD_GROUP the family is empty
// -D HEAD_GROUP  query heads that share a head of keys and values
#include "cached_rows.cl"

#if defined(HEAD_DIM) && defined(HEAD_GROUP)

#define CACHED_ARGUMENTS                                                                                                   \
  IN(float, query), IN(float, key), IN(float, value), IN(int, known), OUT(float, cache_key), OUT(float, cache_value),      \
      IN(float, table), OUT(float, out), OUT(float, partial), const int batch, const int rows, const int heads,            \
      const int capacity, const int period, const int offset, const int rotated, const int splits, const float scale
#define USE_CACHED                                                                                                         \
  USE_IN(float, query);                                                                                                    \
  USE_IN(float, key);                                                                                                      \
  USE_IN(float, value);                                                                                                    \
  USE_IN(int, known);                                                                                                      \
  USE_OUT(float, cache_key);                                                                                               \
  USE_OUT(float, cache_value);                                                                                             \
  USE_IN(float, table);                                                                                                    \
  USE_OUT(float, out);                                                                                                     \
  USE_OUT(float, partial)

#define NEW_ROW(p, b, g, h) (p + (((size_t)(b) * rows + (g)) * heads + (h)) * HEAD_DIM)
#define QUERY_ROW(p, b, g, h, j) (p + ((((size_t)(b) * rows + (g)) * heads + (h)) * HEAD_GROUP + (j)) * HEAD_DIM)

#if !TEAM_GPU
// Launch: any number of teams; a unit is a head of keys and values of a sequence, whose caches so have one writer.
TEAM_KERNEL void attention_cached_forward(CACHED_ARGUMENTS) {
  USE_CACHED;
  TEAM_ROWS(unit, batch * heads) {
    const int b = unit / heads, h = unit % heads, length = known[b % period] + offset;
    __global float *keys = cache_key + (size_t)unit * capacity * HEAD_DIM;
    __global float *values = cache_value + (size_t)unit * capacity * HEAD_DIM;
    for (int g = 0; g < rows; ++g) {
      const int p = length + g;
      if (p < 0 || p >= capacity) continue;
      for (int i = 0; i < HEAD_DIM; ++i) {
        keys[(size_t)p * HEAD_DIM + i] = turned(NEW_ROW(key, b, g, h), table + (size_t)p * HEAD_DIM, i, rotated);
        values[(size_t)p * HEAD_DIM + i] = NEW_ROW(value, b, g, h)[i];
      }
    }
    for (int g = 0; g < rows; ++g) {
      const int p = clamp(length + g, 0, capacity - 1);
      for (int j = 0; j < HEAD_GROUP; ++j) {
        floatL own[CHUNKS];
        for (int i = 0; i < CHUNKS * LANES; ++i)
          ((float *)own)[i] =
              i < HEAD_DIM
                  ? turned(QUERY_ROW(query, b, g, h, j), table + (size_t)p * HEAD_DIM, i, rotated) * (scale * LOG2_E)
                  : 0.0f;
        attend_cached(own, keys, values, p + 1);
        for (int c = 0; c < CHUNKS; ++c) chunk_store(QUERY_ROW(out, b, g, h, j), c, own[c]);
      }
    }
  }
}

#else
// Items that take a column each, and parts of the keys that items of one column share.
#define WIDTH (HEAD_DIM < TEAM_SIZE ? HEAD_DIM : TEAM_SIZE)
#define KEY_PARTS (TEAM_SIZE / WIDTH)
#define ITEM_COLUMNS ((HEAD_DIM + WIDTH - 1) / WIDTH)

// Launch: teams of TEAM_SIZE; a unit is one of `splits` stretches of the places of a head of keys and values of a sequence. With
// several, sums go to partial [B, G, H, splits, HEAD_DIM + 2]: weighted values, the maximum, and the sum of weights.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void attention_cached_forward(CACHED_ARGUMENTS) {
  TEAM_LOCAL;
  __local float own[HEAD_DIM], weights[TEAM_SIZE];
  USE_CACHED;
  const int column = TEAM_RANK % WIDTH, part = TEAM_RANK / WIDTH;
  TEAM_ROWS(unit, batch * heads * splits) {
    const int split = unit % splits, sequence = unit / splits, b = sequence / heads, h = sequence % heads;
    const int length = known[b % period] + offset, stretch = (capacity + splits - 1) / splits;
    const int first = split * stretch, last = min(first + stretch, capacity);
    __global float *keys = cache_key + (size_t)sequence * capacity * HEAD_DIM;
    __global float *values = cache_value + (size_t)sequence * capacity * HEAD_DIM;
    for (int g = 0; g < rows; ++g) {
      const int p = length + g;
      if (p < first || p >= last) continue;
      for (int i = TEAM_RANK; i < HEAD_DIM; i += TEAM_SIZE) {
        keys[(size_t)p * HEAD_DIM + i] = turned(NEW_ROW(key, b, g, h), table + (size_t)p * HEAD_DIM, i, rotated);
        values[(size_t)p * HEAD_DIM + i] = NEW_ROW(value, b, g, h)[i];
      }
    }
    TEAM_GLOBAL_BARRIER;
    for (int g = 0; g < rows; ++g) {
      const int p = clamp(length + g, 0, capacity - 1), end = min(last, p + 1);
      for (int j = 0; j < HEAD_GROUP; ++j) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = TEAM_RANK; i < HEAD_DIM; i += TEAM_SIZE)
          own[i] = turned(QUERY_ROW(query, b, g, h, j), table + (size_t)p * HEAD_DIM, i, rotated) * (scale * LOG2_E);
        barrier(CLK_LOCAL_MEM_FENCE);
        float sums[ITEM_COLUMNS], high = -INFINITY, total = 0.0f;
#pragma unroll
        for (int c = 0; c < ITEM_COLUMNS; ++c) sums[c] = 0.0f;
        for (int start = first; start < end; start += TEAM_SIZE) {
          const int place = start + TEAM_RANK, count = min(TEAM_SIZE, end - start);
          float score = -INFINITY;
          if (place < end) {
            score = 0.0f;
            __global const float *row = keys + (size_t)place * HEAD_DIM;
            for (int i = 0; i < HEAD_DIM; ++i) score = fma(own[i], row[i], score);
          }
          const float top = fmax(high, team_max_scalar(score)), keep = exp2(high - top);
          const float weight = place < end ? exp2(score - top) : 0.0f;
          weights[TEAM_RANK] = weight;
          total = total * keep + team_sum_scalar(weight);
          high = top;
          if (part < KEY_PARTS) {
#pragma unroll
            for (int c = 0; c < ITEM_COLUMNS; ++c) {
              sums[c] *= keep;
              if (column + c * WIDTH < HEAD_DIM)
                for (int t = part; t < count; t += KEY_PARTS)
                  sums[c] = fma(weights[t], values[(size_t)(start + t) * HEAD_DIM + column + c * WIDTH], sums[c]);
            }
          }
        }
#if HEAD_DIM < TEAM_SIZE
        barrier(CLK_LOCAL_MEM_FENCE);
        weights[TEAM_RANK] = sums[0];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int other = 1; other < KEY_PARTS && part == 0; ++other) sums[0] += weights[other * WIDTH + column];
#endif
        __global float *to = QUERY_ROW(out, b, g, h, j);
        if (splits > 1) {
          const size_t row = (((size_t)b * rows + g) * heads + h) * HEAD_GROUP + j;
          to = partial + (row * splits + split) * (HEAD_DIM + 2);
          if (TEAM_RANK == 0) {
            to[HEAD_DIM] = high;
            to[HEAD_DIM + 1] = total;
          }
        }
        if (part == 0) {
#pragma unroll
          for (int c = 0; c < ITEM_COLUMNS; ++c)
            if (column + c * WIDTH < HEAD_DIM) to[column + c * WIDTH] = splits > 1 ? sums[c] : sums[c] / total;
        }
      }
    }
  }
}

// The stretches' sums put together: partial [rows, splits, HEAD_DIM + 2] -> out [rows, HEAD_DIM].
// Traffic: 4 rows splits HEAD_DIM bytes. Launch: any number of teams.
TEAM_KERNEL void attention_cached_combine(IN(float, partial), OUT(float, out), const int rows, const int splits) {
  USE_IN(float, partial);
  USE_OUT(float, out);
  TEAM_ROWS(row, rows) {
    __global const float *from = partial + (size_t)row * splits * (HEAD_DIM + 2);
    float top = -INFINITY, total = 0.0f;
    for (int s = 0; s < splits; ++s) top = fmax(top, from[s * (HEAD_DIM + 2) + HEAD_DIM]);
    for (int s = 0; s < splits; ++s)
      total += from[s * (HEAD_DIM + 2) + HEAD_DIM + 1] * exp2(from[s * (HEAD_DIM + 2) + HEAD_DIM] - top);
    for (int i = TEAM_RANK; i < HEAD_DIM; i += TEAM_SIZE) {
      float sum = 0.0f;
      for (int s = 0; s < splits; ++s)
        sum += from[s * (HEAD_DIM + 2) + i] * exp2(from[s * (HEAD_DIM + 2) + HEAD_DIM] - top);
      out[(size_t)row * HEAD_DIM + i] = sum / total;
    }
  }
}
#endif
#endif
