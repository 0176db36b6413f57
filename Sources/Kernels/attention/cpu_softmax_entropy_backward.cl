// cpu_softmax_entropy_backward: softmax_entropy_backward.cl for CPUs, one pass over the rows of a head.
#include "softmax_entropy_shape.cl"

#if defined(HEAD_DIM) && !TEAM_GPU

CALLED void entropy_backward_block(__global const float *query, __global const float *key, __global const float *dentropy,
                                   __global const float *entropy, __global const float *slope, __global const float *statistics,
                                   size_t statistic, __global float *dquery, __global float *dkey,
                                   size_t query_stride, size_t key_stride, int first, int rows, int buffer_length,
                                   int content, int ahead, float scale) {
  floatL packed[COLUMN_VECTORS], columns[COLUMN_VECTORS], sums[COLUMN_VECTORS], scores[KEY_TILE * QUERY_VECTORS];
  floatL upstream[QUERY_VECTORS], high[QUERY_VECTORS], inverse[QUERY_VECTORS], total[QUERY_VECTORS], one[QUERY_VECTORS];
  floatL inverse_all[QUERY_VECTORS];
  int any_floored = 0;
  pack_rows(query, query_stride, rows, packed);
  columns_of_packed(packed, columns);
  FOR_VECTORS {
    const floatL e = lanes_load(entropy, v * LANES, rows);
    upstream[v] = (e > 0.0f && e < 1.0f) ? lanes_load(dentropy, v * LANES, rows) : (floatL)(0.0f);
    high[v] = lanes_load(statistics, v * LANES, rows);
    inverse[v] = lanes_load(statistics + statistic, v * LANES, rows);
    inverse_all[v] = lanes_load(statistics + 2 * statistic, v * LANES, rows);
    total[v] = (floatL)(0.0f);
    one[v] = (floatL)(1.0f);
    any_floored |= any(inverse_all[v] > 0.0f);
  }
  for (int d = 0; d < CHUNKS * LANES * QUERY_VECTORS; ++d) sums[d] = (floatL)(0.0f);
  const int limit = SEEN(first + rows - 1);
  const floatL scale2 = (floatL)(scale * LOG2_E);
  for (int start = 0; start < limit; start += KEY_TILE) {
    const int count = min(KEY_TILE, limit - start);
    dot_rows(columns, key + (buffer_length + start) * key_stride, key_stride, count, scores);
    mask_keys(scores, start, count, first + ahead, 0);
    for (int j = 0; j < count; ++j) FOR_VECTORS {
      const floatL weight = exp2_lanes(fma(scores[j * QUERY_VECTORS + v], scale2, -high[v]));
      total[v] += weight * lanes_load(slope + (size_t)(start + j) * content, v * LANES, rows);
    }
  }
  FOR_VECTORS total[v] *= upstream[v] * inverse[v];
  // A floored row takes from the buffer columns, too.
  for (int start = any_floored ? -buffer_length : 0; start < limit;) {
    const int count = min(KEY_TILE, (start < 0 ? 0 : limit) - start);
    __global const float *rows_of_key = key + (buffer_length + start) * key_stride;
    dot_rows(columns, rows_of_key, key_stride, count, scores);
    mask_keys(scores, start, count, first + ahead, 0);
    for (int j = 0; j < count; ++j) FOR_VECTORS {
      const floatL weight = exp2_lanes(fma(scores[j * QUERY_VECTORS + v], scale2, -high[v]));
      floatL gradient = -total[v] * inverse_all[v];
      if (start >= 0)
        gradient = lanes_load(slope + (size_t)(start + j) * content, v * LANES, rows) * upstream[v] * inverse[v] -
                   total[v] * (inverse_all[v] > 0.0f ? inverse_all[v] : inverse[v]);
      gradient *= weight;
      scores[j * QUERY_VECTORS + v] = gradient * scale;
    }
    add_outer(dkey + (buffer_length + start) * key_stride, key_stride, count, scores, packed);
    add_weighted_rows(sums, one, scores, rows_of_key, key_stride, count);
    start += count;
  }
  rows_of_columns(sums, dquery, query_stride, rows);
}

// Launch: any number of teams; a unit is a head of a batch entry. 8 B H R (K + R) HEAD_DIM FLOPs, half of them where rows
// do not look ahead.
TEAM_KERNEL void softmax_entropy_backward(IN(float, query), IN(float, key), IN(float, dentropy), IN(float, entropy),
                                       IN(float, slope), IN(float, statistics), OUT(float, dquery), OUT(float, dkey),
                                       ENTROPY_SHAPE) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, dentropy);
  USE_IN(float, entropy);
  USE_IN(float, slope);
  USE_IN(float, statistics);
  USE_OUT(float, dquery);
  USE_OUT(float, dkey);
  TEAM_ROWS(unit, batch * heads) {
    const int b = unit / heads, h = unit % heads;
    zero_rows(SEQUENCE_ROWS(dquery, query_stride, query_column, b, h, 0), query_stride, buffer_length);
    zero_rows(SEQUENCE_ROWS(dkey, key_stride, key_column, b, h, 0), key_stride, buffer_length + content);
    if (value_column >= 0)
      zero_rows(SEQUENCE_ROWS(dkey, key_stride, value_column, b, h, 0), key_stride, buffer_length + content);
    for (int first = 0; first < content; first += QUERY_BLOCK) {
      const int rows = min(QUERY_BLOCK, content - first);
      entropy_backward_block(SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + first),
                             SEQUENCE_ROWS(key, key_stride, key_column, b, h, 0), dentropy + (size_t)b * content + first,
                             entropy + (size_t)b * content + first, SLOPE(b, 0, first),
                             CONTENT_ROWS(statistics, b, h, first), (size_t)batch * heads * content,
                             SEQUENCE_ROWS(dquery, query_stride, query_column, b, h, buffer_length + first),
                             SEQUENCE_ROWS(dkey, key_stride, key_column, b, h, 0), query_stride, key_stride, first, rows,
                             buffer_length, content, ahead, scale);
    }
  }
}

#endif
