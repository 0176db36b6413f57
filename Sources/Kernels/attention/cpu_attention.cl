// cpu_attention: attention.cl for CPUs. A work-item owns a block of queries in vectors (cpu_attention_lanes.cl).
#include "attention_shape.cl"

#if defined(HEAD_DIM) && !TEAM_GPU

INLINE void attention_block(__global const float *query, size_t query_stride, __global const float *key, size_t key_stride,
                            __global const float *value, size_t value_stride, __global float *out, size_t out_stride,
                            __global float *logsumexp, int position, int rows, int keys, int prefix, float scale,
                            ulong drop_block, ulong drop_stride TAKE_DROPOUT) {
  floatL columns[COLUMN_VECTORS], sums[COLUMN_VECTORS], weights[KEY_TILE * QUERY_VECTORS];
  floatL high[QUERY_VECTORS], total[QUERY_VECTORS], keep[QUERY_VECTORS];
  columns_of_rows(query, query_stride, rows, columns);
  FOR_VECTORS high[v] = (floatL)(-INFINITY);
  FOR_VECTORS total[v] = (floatL)(0.0f);
  for (int d = 0; d < CHUNKS * LANES * QUERY_VECTORS; ++d) sums[d] = (floatL)(0.0f);
  const int limit = keys_visible(keys, prefix, position + rows);
  for (int start = 0; start < limit; start += KEY_TILE) {
    const int count = min(KEY_TILE, limit - start);
    dot_rows(columns, key + start * key_stride, key_stride, count, weights);
    mask_keys(weights, start, count, position, prefix);
    floatL top[QUERY_VECTORS];
    FOR_VECTORS top[v] = weights[v];
    for (int j = 1; j < count; ++j) FOR_VECTORS {
      const floatL score = weights[j * QUERY_VECTORS + v];
      top[v] = score > top[v] ? score : top[v];
    }
    FOR_VECTORS {
      top[v] = fmax(high[v], top[v] * scale);
      keep[v] = exp2_lanes(high[v] - top[v]);
      high[v] = top[v];
      total[v] *= keep[v];
    }
    for (int j = 0; j < count; ++j) FOR_VECTORS {
      const floatL weight = exp2_lanes(fma(weights[j * QUERY_VECTORS + v], (floatL)(scale), -high[v]));
      total[v] += weight;
      weights[j * QUERY_VECTORS + v] = weight;
    }
#if DROPOUT
    drop_weights(weights, count, drop_block + start / 8 * drop_stride, drop_stride, now, stream, probability);
#endif
    add_weighted_rows(sums, keep, weights, value + start * value_stride, value_stride, count);
  }
  FOR_VECTORS keep[v] = 1.0f / total[v];
  for (int d = 0; d < HEAD_DIM; ++d) FOR_VECTORS sums[d * QUERY_VECTORS + v] *= keep[v];
  rows_of_columns(sums, out, out_stride, rows);
  FOR_VECTORS lanes_store(logsumexp, v * LANES, rows, fma(high[v], (floatL)(LN_2), log_lanes(total[v])));
}

// Launch: any number of teams; a unit is a block of QUERY_BLOCK queries of a head.
TEAM_KERNEL void attention_forward(IN(float, query), IN(float, key), IN(float, value), OUT(float, out), OUT(float, logsumexp),
                                ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_OUT(float, out);
  USE_OUT(float, logsumexp);
  USE_DROPOUT;
  const int blocks = (queries + QUERY_BLOCK - 1) / QUERY_BLOCK;
  TEAM_ROWS(unit, batch * heads * blocks) {
    const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * QUERY_BLOCK;
    const int bk = b / kv_group, rows = min(QUERY_BLOCK, queries - first);
    ulong drop_block = 0, drop_stride = 0;
#if DROPOUT
    drop_block = dropout_block(b, heads, h, queries, keys, first, 0);
    drop_stride = (queries + 15) / 16 * 16;
#endif
    attention_block(QUERY_ROWS(query, b, h, first), query_stride, KEY_ROWS(key, bk, h, 0), key_stride,
                    VALUE_ROWS(value, bk, h, 0), value_stride, OUT_ROWS(out, b, h, first), (size_t)heads * HEAD_DIM,
                    HEAD_ROWS(logsumexp, b, h, first), position + first, rows, keys, prefix, scale * LOG2_E, drop_block,
                    drop_stride PASS_DROPOUT);
  }
}

#endif
