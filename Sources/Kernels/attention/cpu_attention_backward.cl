// cpu_attention_backward: attention_backward.cl for CPUs, one pass over the queries of a head, whose key rows have one writer.
#include "attention_shape.cl"

#if defined(HEAD_DIM) && !TEAM_GPU

INLINE void attention_backward_block(__global const float *query, __global const float *key, __global const float *value,
                                     __global const float *dout, __global const float *out, __global const float *logsumexp,
                                     __global float *dquery, __global float *dkey, __global float *dvalue,
                                     size_t query_stride, size_t key_stride, size_t value_stride, size_t out_stride,
                                     int position, int rows, int keys, int prefix, float scale, ulong drop_block,
                                     ulong drop_stride TAKE_DROPOUT) {
  floatL packed_query[COLUMN_VECTORS], packed_dout[COLUMN_VECTORS];
  floatL columns[COLUMN_VECTORS], dout_columns[COLUMN_VECTORS], sums[COLUMN_VECTORS];
  floatL weights[KEY_TILE * QUERY_VECTORS], dscores[KEY_TILE * QUERY_VECTORS];
  floatL high[QUERY_VECTORS], delta[QUERY_VECTORS], one[QUERY_VECTORS];
  pack_rows(query, query_stride, rows, packed_query);
  pack_rows(dout, out_stride, rows, packed_dout);
  columns_of_packed(packed_query, columns);
  columns_of_packed(packed_dout, dout_columns);
#pragma unroll 1
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    floatL products[LANES];
#pragma unroll 1
    for (int i = 0; i < LANES; ++i) {
      products[i] = (floatL)(0.0f);
      if (v * LANES + i < rows)
        for (int c = 0; c < CHUNKS; ++c)
          products[i] += packed_dout[(v * LANES + i) * CHUNKS + c] * chunk_load(out + (v * LANES + i) * out_stride, c);
    }
    transpose_lanes(products);
    delta[v] = products[0];
#pragma unroll
    for (int i = 1; i < LANES; ++i) delta[v] += products[i];
    high[v] = lanes_load(logsumexp, v * LANES, rows) * LOG2_E;
    one[v] = (floatL)(1.0f);
  }
  for (int d = 0; d < CHUNKS * LANES * QUERY_VECTORS; ++d) sums[d] = (floatL)(0.0f);
  const int limit = keys_visible(keys, prefix, position + rows);
  for (int start = 0; start < limit; start += KEY_TILE) {
    const int count = min(KEY_TILE, limit - start);
    dot_rows(columns, key + start * key_stride, key_stride, count, weights);
    dot_rows(dout_columns, value + start * value_stride, value_stride, count, dscores);
    mask_keys(weights, start, count, position, prefix);
#if DROPOUT
    drop_weights(dscores, count, drop_block + start / 8 * drop_stride, drop_stride, now, stream, probability);
#endif
    for (int j = 0; j < count; ++j) FOR_VECTORS {
      const floatL weight = exp2_lanes(fma(weights[j * QUERY_VECTORS + v], (floatL)(scale * LOG2_E), -high[v]));
      dscores[j * QUERY_VECTORS + v] = weight * (dscores[j * QUERY_VECTORS + v] - delta[v]) * scale;
      weights[j * QUERY_VECTORS + v] = weight;
    }
#if DROPOUT
    drop_weights(weights, count, drop_block + start / 8 * drop_stride, drop_stride, now, stream, probability);
#endif
    add_outer(dvalue + start * value_stride, value_stride, count, weights, packed_dout);
    add_outer(dkey + start * key_stride, key_stride, count, dscores, packed_query);
    add_weighted_rows(sums, one, dscores, key + start * key_stride, key_stride, count);
  }
  rows_of_columns(sums, dquery, query_stride, rows);
}

// Launch: any number of teams; a unit is a head of a key batch with all its query batches, so that dk and dv have one writer.
// 10 B H N M HEAD_DIM FLOPs.
TEAM_KERNEL void attention_backward(IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, out),
                                 IN(float, logsumexp), OUT(float, dquery), OUT(float, dkey), OUT(float, dvalue),
                                 ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, out);
  USE_IN(float, logsumexp);
  USE_OUT(float, dquery);
  USE_OUT(float, dkey);
  USE_OUT(float, dvalue);
  USE_DROPOUT;
  TEAM_ROWS(unit, batch / kv_group * heads) {
    const int bk = unit / heads, h = unit % heads;
    zero_rows(KEY_ROWS(dkey, bk, h, 0), key_stride, keys);
    zero_rows(VALUE_ROWS(dvalue, bk, h, 0), value_stride, keys);
    for (int b = bk * kv_group; b < (bk + 1) * kv_group; ++b)
      for (int first = 0; first < queries; first += QUERY_BLOCK) {
        const int rows = min(QUERY_BLOCK, queries - first);
        ulong drop_block = 0, drop_stride = 0;
#if DROPOUT
        drop_block = dropout_block(b, heads, h, queries, keys, first, 0);
        drop_stride = (queries + 15) / 16 * 16;
#endif
        attention_backward_block(QUERY_ROWS(query, b, h, first), KEY_ROWS(key, bk, h, 0), VALUE_ROWS(value, bk, h, 0),
                                 OUT_ROWS(dout, b, h, first), OUT_ROWS(out, b, h, first), HEAD_ROWS(logsumexp, b, h, first),
                                 QUERY_ROWS(dquery, b, h, first), KEY_ROWS(dkey, bk, h, 0), VALUE_ROWS(dvalue, bk, h, 0),
                                 query_stride, key_stride, value_stride, (size_t)heads * HEAD_DIM, position + first, rows, keys,
                                 prefix, scale, drop_block, drop_stride PASS_DROPOUT);
      }
  }
}

#endif
