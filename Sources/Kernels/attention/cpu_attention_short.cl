// cpu_attention_short: attention.cl on a CPU for sequences so short that a head's scores stay in registers and L1.
//
// q [B, QUERIES, *], k, v [Bk, KEYS, *] -> out [B, QUERIES, H * HEAD_DIM], logsumexp [B, H, QUERIES], with the formulas,
// masks and dropout numbering of attention.cl. 4 B H QUERIES KEYS HEAD_DIM FLOPs; every tensor crosses the bus once.
//
// Both sequence lengths and all strides are compile-time values: no loop has a tail, no tile is rescaled. Scores lie
// transposed as in cpu_attention_lanes.cl, one vector of LANES queries for each key, so that softmax runs across vectors. The
// second product reads the weights as scalars and rows of v as vectors and ends in rows as they are stored: of the
// transpositions of the long form only that of q is left.
#include "attention_shape.cl"

#if defined(HEAD_DIM) && defined(KEYS) && !TEAM_GPU
#include "cpu_attention_rows.cl"

CALLED void attention_short_head(__global const float *query, __global const float *key, __global const float *value,
                                 __global float *out, __global float *logsumexp, int prefix, int position, float scale,
                                 ulong drop_block TAKE_DROPOUT) {
  floatL columns[COLUMN_VECTORS], weights[KEYS * QUERY_VECTORS], high[QUERY_VECTORS], total[QUERY_VECTORS];
  columns_of_rows(query, QUERY_STRIDE, QUERIES, columns);
  dot_keys(columns, key, weights);
  if (prefix < KEYS) mask_keys(weights, 0, KEYS, position, prefix);
  FOR_VECTORS high[v] = weights[v];
  FOR_KEYS(1) FOR_VECTORS {
    const floatL score = weights[j * QUERY_VECTORS + v];
    high[v] = score > high[v] ? score : high[v];
  }
  FOR_VECTORS {
    high[v] *= scale;
    total[v] = (floatL)(0.0f);
  }
  FOR_KEYS(0) FOR_VECTORS {
    const floatL weight = exp2_lanes(fma(weights[j * QUERY_VECTORS + v], (floatL)(scale), -high[v]));
    total[v] += weight;
    weights[j * QUERY_VECTORS + v] = weight;
  }
  FOR_VECTORS {
    lanes_store(logsumexp, v * LANES, QUERIES, fma(high[v], (floatL)(LN_2), log_lanes(total[v])));
    total[v] = 1.0f / total[v];
  }
#if DROPOUT
  drop_weights(weights, KEYS, drop_block, DROP_STRIDE, now, stream, probability);
#endif
  FOR_KEYS(0) FOR_VECTORS weights[j * QUERY_VECTORS + v] *= total[v];
  sum_over_keys(weights, value, out, OUT_STRIDE);
}

// Launch: any number of teams; a unit is a head.
TEAM_KERNEL void attention_short_forward(IN(float, query), IN(float, key), IN(float, value), OUT(float, out),
                                      OUT(float, logsumexp), SHORT_SHAPE DROPOUT_ARGUMENTS) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_OUT(float, out);
  USE_OUT(float, logsumexp);
  USE_DROPOUT;
  USE_SHORT_SHAPE;
  TEAM_RANGE(unit, batch * heads) {
    const int b = unit / heads, h = unit % heads, bk = b / kv_group;
    if (unit + 1 < unit_end) {
      const int next_b = (unit + 1) / heads, next_h = (unit + 1) % heads;
      FETCH_ROWS(QUERY_ROWS(query, next_b, next_h, 0), QUERIES, QUERY_STRIDE);
      FETCH_ROWS(KEY_ROWS(key, next_b / kv_group, next_h, 0), KEYS, KEY_STRIDE);
      FETCH_ROWS(VALUE_ROWS(value, next_b / kv_group, next_h, 0), KEYS, KEY_STRIDE);
    }
    ulong drop_block = 0;
#if DROPOUT
    drop_block = dropout_block(b, heads, h, queries, keys, 0, 0);
#endif
    attention_short_head(QUERY_ROWS(query, b, h, 0), KEY_ROWS(key, bk, h, 0), VALUE_ROWS(value, bk, h, 0),
                         OUT_ROWS(out, b, h, 0), HEAD_ROWS(logsumexp, b, h, 0), prefix, position, scale * LOG2_E,
                         drop_block PASS_DROPOUT);
  }
}

#endif
