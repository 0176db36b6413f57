// cpu_attention_short_backward: gradients of cpu_attention_short.cl, with the formulas of attention_backward.cl.
//
// dq [B, QUERIES, *], dk, dv [Bk, KEYS, *]; 10 B H QUERIES KEYS HEAD_DIM FLOPs, every tensor crosses the bus once. All
// weights of a query are at hand, so delta_i = dout_i . out_i is taken as sum_j z_ij p_ij (dout_i . v_j): `out` is not read.
// Only q and dout are transposed, for the scores and their gradients; the other three products end in rows.
#include "attention_shape.cl"

#if defined(HEAD_DIM) && defined(KEYS) && !TEAM_GPU
#include "cpu_attention_rows.cl"

CALLED void attention_short_backward_head(__global const float *query, __global const float *key,
                                          __global const float *value, __global const float *dout,
                                          __global const float *logsumexp, __global float *dquery, __global float *dkey,
                                          __global float *dvalue, int prefix, int position, float scale,
                                          ulong drop_block TAKE_DROPOUT) {
  floatL columns[COLUMN_VECTORS], weights[KEYS * QUERY_VECTORS], dscores[KEYS * QUERY_VECTORS];
  floatL high[QUERY_VECTORS], delta[QUERY_VECTORS];
  columns_of_rows(query, QUERY_STRIDE, QUERIES, columns);
  dot_keys(columns, key, weights);
  columns_of_rows(dout, OUT_STRIDE, QUERIES, columns);
  dot_keys(columns, value, dscores);
  if (prefix < KEYS) mask_keys(weights, 0, KEYS, position, prefix);
#if DROPOUT
  floatL kept[KEYS * QUERY_VECTORS];
  FOR_KEYS(0) FOR_VECTORS kept[j * QUERY_VECTORS + v] = (floatL)(1.0f);
  drop_weights(kept, KEYS, drop_block, DROP_STRIDE, now, stream, probability);
  FOR_KEYS(0) FOR_VECTORS dscores[j * QUERY_VECTORS + v] *= kept[j * QUERY_VECTORS + v];
#endif
  FOR_VECTORS {
    high[v] = lanes_load(logsumexp, v * LANES, QUERIES) * LOG2_E;
    delta[v] = (floatL)(0.0f);
  }
  FOR_KEYS(0) FOR_VECTORS {
    const floatL weight = exp2_lanes(fma(weights[j * QUERY_VECTORS + v], (floatL)(scale * LOG2_E), -high[v]));
    delta[v] = fma(weight, dscores[j * QUERY_VECTORS + v], delta[v]);
    weights[j * QUERY_VECTORS + v] = weight;
  }
  FOR_KEYS(0) FOR_VECTORS {
    const int at = j * QUERY_VECTORS + v;
    dscores[at] = weights[at] * scale * (dscores[at] - delta[v]);
  }
#if DROPOUT
  FOR_KEYS(0) FOR_VECTORS weights[j * QUERY_VECTORS + v] *= kept[j * QUERY_VECTORS + v];
#endif
  sum_over_queries(weights, dout, OUT_STRIDE, dvalue);
  sum_over_queries(dscores, query, QUERY_STRIDE, dkey);
  sum_over_keys(dscores, key, dquery, QUERY_STRIDE);
}

// Launch: any number of teams; a unit is a head of a key batch with all its query batches, so that dk and dv have one writer.
TEAM_KERNEL void attention_short_backward(IN(float, query), IN(float, key), IN(float, value), IN(float, dout),
                                       IN(float, logsumexp), OUT(float, dquery), OUT(float, dkey), OUT(float, dvalue),
                                       SHORT_SHAPE DROPOUT_ARGUMENTS) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, logsumexp);
  USE_OUT(float, dquery);
  USE_OUT(float, dkey);
  USE_OUT(float, dvalue);
  USE_DROPOUT;
  USE_SHORT_SHAPE;
  TEAM_RANGE(unit, batch / kv_group * heads) {
    const int bk = unit / heads, h = unit % heads;
    if (KV_SHARED) {
      zero_rows(KEY_ROWS(dkey, bk, h, 0), KEY_STRIDE, KEYS);
      zero_rows(VALUE_ROWS(dvalue, bk, h, 0), KEY_STRIDE, KEYS);
    }
    for (int b = bk * kv_group; b < (bk + 1) * kv_group; ++b) {
      const int next_b = KV_SHARED ? b + 1 : (unit + 1) / heads, next_h = KV_SHARED ? h : (unit + 1) % heads;
      if (next_b < batch) {
        FETCH_ROWS(QUERY_ROWS(query, next_b, next_h, 0), QUERIES, QUERY_STRIDE);
        FETCH_ROWS(OUT_ROWS(dout, next_b, next_h, 0), QUERIES, OUT_STRIDE);
        if (!KV_SHARED) {
          FETCH_ROWS(KEY_ROWS(key, next_b, next_h, 0), KEYS, KEY_STRIDE);
          FETCH_ROWS(VALUE_ROWS(value, next_b, next_h, 0), KEYS, KEY_STRIDE);
        }
      }
      ulong drop_block = 0;
#if DROPOUT
      drop_block = dropout_block(b, heads, h, queries, keys, 0, 0);
#endif
      attention_short_backward_head(QUERY_ROWS(query, b, h, 0), KEY_ROWS(key, bk, h, 0), VALUE_ROWS(value, bk, h, 0),
                                    OUT_ROWS(dout, b, h, 0), HEAD_ROWS(logsumexp, b, h, 0), QUERY_ROWS(dquery, b, h, 0),
                                    KEY_ROWS(dkey, bk, h, 0), VALUE_ROWS(dvalue, bk, h, 0), prefix, position, scale,
                                    drop_block PASS_DROPOUT);
    }
  }
}

#endif
