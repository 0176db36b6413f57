// softmax_entropy_backward: gradients of softmax_entropy.cl with respect to query and key.
//
// With g_rc = dE_r slope_rc and t_r = sum_c w_rc g_rc, for each head: ds_rc = w_rc g_rc - x_rc t_r, dq_r = scale sum_c ds_rc k_c,
// dk_c = scale sum_r ds_rc q_r. x is w; or, where the divisor of w is at its floor, a, which then reaches the buffer columns
// as well. The gradient is zero where a clamp acted: slope is 0 there, and a clamped E is exactly 0 or 1.
//
// dquery, dkey have the shapes, strides and columns of query and key. In a packed dqkv the columns of v, from value_column
// on, are set to zero; value_column < 0 where key is a tensor of its own.
#include "softmax_entropy_shape.cl"

#ifdef HEAD_DIM
#if !TEAM_GPU

INLINE void entropy_backward_block(__global const float *query, __global const float *key, __global const float *dentropy,
                                   __global const float *entropy, __global const float *slope, __global const float *statistics,
                                   size_t statistic, __global float *dquery, __global float *dkey,
                                   size_t query_stride, size_t key_stride, int first, int rows, int buffer_length,
                                   int content, float scale) {
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
  const int limit = first + rows;
  const floatL scale2 = (floatL)(scale * LOG2_E);
  for (int start = 0; start < limit; start += KEY_TILE) {
    const int count = min(KEY_TILE, limit - start);
    dot_rows(columns, key + (buffer_length + start) * key_stride, key_stride, count, scores);
    mask_keys(scores, start, count, first, 0);
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
    mask_keys(scores, start, count, first, 0);
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

// Launch: any number of teams; a unit is a head of a batch entry. 8 B H R (K + R) HEAD_DIM FLOPs, half with the causal mask.
__kernel void softmax_entropy_backward(IN(float, query), IN(float, key), IN(float, dentropy), IN(float, entropy),
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
                             buffer_length, content, scale);
    }
  }
}

#else

// dq, and `total` [B, H, R] = sum_c w_rc dE_r slope_rc. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS content rows of a head.
__kernel void softmax_entropy_backward_query(IN(float, query), IN(float, key), IN(float, dentropy), IN(float, entropy),
                                             IN(float, slope), IN(float, statistics), OUT(float, dquery), OUT(float, total),
                                             ENTROPY_SHAPE) {
  __local float own[HEAD_DIM * OWN_ROWS], tile[TILE_ROWS * TILE_PITCH], weights[TILE_ROWS * OWN_ROWS];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, dentropy);
  USE_IN(float, entropy);
  USE_IN(float, slope);
  USE_IN(float, statistics);
  USE_OUT(float, dquery);
  USE_OUT(float, total);
  const int blocks = (content + OWN_ROWS - 1) / OWN_ROWS;
  const size_t statistic = (size_t)batch * heads * content;
  const float exponent_scale = scale * LOG2_E;
  TEAM_ROWS(unit, batch * heads * blocks) {
    const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
    const int rows = min(OWN_ROWS, content - first), limit = first + rows;
    if (first == 0)
      for (int e = TEAM_RANK; e < buffer_length * HEAD_DIM; e += TEAM_SIZE)
        SEQUENCE_ROWS(dquery, query_stride, query_column, b, h, e / HEAD_DIM)[e % HEAD_DIM] = 0.0f;
    float sums[ROWS][COLUMNS_PER_ITEM], dots[ROWS][TILE_PER_ITEM];
    float upstream[ROWS], high[ROWS], inverse[ROWS], inverse_all[ROWS], product[ROWS];
    barrier(CLK_LOCAL_MEM_FENCE);
    load_own(own, SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + first), query_stride, rows);
    FOR_ROWS {
      const int row = min(TEAM_TY + r, rows - 1);
      const float e = entropy[(size_t)b * content + first + row];
      upstream[r] = e > 0.0f && e < 1.0f ? dentropy[(size_t)b * content + first + row] : 0.0f;
      high[r] = CONTENT_ROWS(statistics, b, h, first)[row];
      inverse[r] = CONTENT_ROWS(statistics, b, h, first)[row + statistic];
      inverse_all[r] = CONTENT_ROWS(statistics, b, h, first)[row + 2 * statistic];
      product[r] = 0.0f;
      FOR_COLUMNS sums[r][c] = 0.0f;
    }
    for (int start = 0; start < limit; start += TILE_ROWS) {
      const int count = min(TILE_ROWS, limit - start);
      load_tile(tile, SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count);
      dot_tile(dots, own, tile);
      FOR_ROWS FOR_TILE {
        const int j = TEAM_TX + TEAM_X * t, row = min(TEAM_TY + r, rows - 1);
        if (start + j <= first + row)
          product[r] += exp2(fma(dots[r][t], exponent_scale, -high[r])) * *SLOPE(b, start + j, first + row);
      }
    }
    rows_sum(product, weights);
    FOR_ROWS {
      product[r] *= upstream[r] * inverse[r];
      if (TEAM_TX == 0 && TEAM_TY + r < rows) CONTENT_ROWS(total, b, h, first)[TEAM_TY + r] = product[r];
    }
    for (int start = -buffer_length; start < limit;) {
      const int count = min(TILE_ROWS, (start < 0 ? 0 : limit) - start);
      load_tile(tile, SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count);
      dot_tile(dots, own, tile);
      FOR_ROWS FOR_TILE {
        const int j = start + TEAM_TX + TEAM_X * t, row = min(TEAM_TY + r, rows - 1);
        float gradient = 0.0f;
        if (j < start + count && j <= first + row) {
          const float weight = exp2(fma(dots[r][t], exponent_scale, -high[r]));
          gradient = j < 0 ? -product[r] * inverse_all[r]
                           : *SLOPE(b, j, first + row) * upstream[r] * inverse[r] -
                                 product[r] * (inverse_all[r] > 0.0f ? inverse_all[r] : inverse[r]);
          gradient *= weight * scale;
        }
        dots[r][t] = gradient;
      }
      share_weights(weights, dots);
      add_weighted_tile(sums, weights, tile);
      start += count;
    }
    store_own(SEQUENCE_ROWS(dquery, query_stride, query_column, b, h, buffer_length + first), query_stride, rows, sums);
  }
}

// dk, after softmax_entropy_backward_query. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS keys of a head.
__kernel void softmax_entropy_backward_key(IN(float, query), IN(float, key), IN(float, dentropy), IN(float, entropy),
                                           IN(float, slope), IN(float, statistics), IN(float, total), OUT(float, dkey),
                                           ENTROPY_SHAPE) {
  __local float own[HEAD_DIM * OWN_ROWS], tile[TILE_ROWS * TILE_PITCH], weights[TILE_ROWS * OWN_ROWS];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, dentropy);
  USE_IN(float, entropy);
  USE_IN(float, slope);
  USE_IN(float, statistics);
  USE_IN(float, total);
  USE_OUT(float, dkey);
  const int length = buffer_length + content, blocks = (length + OWN_ROWS - 1) / OWN_ROWS;
  const size_t statistic = (size_t)batch * heads * content;
  const float exponent_scale = scale * LOG2_E;
  TEAM_ROWS(unit, batch * heads * blocks) {
    const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
    const int rows = min(OWN_ROWS, length - first);
    float sums[ROWS][COLUMNS_PER_ITEM], dots[ROWS][TILE_PER_ITEM];
    FOR_ROWS FOR_COLUMNS sums[r][c] = 0.0f;
    barrier(CLK_LOCAL_MEM_FENCE);
    load_own(own, SEQUENCE_ROWS(key, key_stride, key_column, b, h, first), key_stride, rows);
    for (int start = max(0, first - buffer_length) / TILE_ROWS * TILE_ROWS; start < content; start += TILE_ROWS) {
      const int count = min(TILE_ROWS, content - start);
      load_tile(tile, SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + start), query_stride, count);
      dot_tile(dots, own, tile);
      FOR_TILE {
        const int i = TEAM_TX + TEAM_X * t, row = start + min(i, count - 1);
        const float e = entropy[(size_t)b * content + row];
        const float upstream = e > 0.0f && e < 1.0f ? dentropy[(size_t)b * content + row] : 0.0f;
        const float high = CONTENT_ROWS(statistics, b, h, row)[0];
        const float inverse = CONTENT_ROWS(statistics, b, h, row)[statistic];
        const float inverse_all = CONTENT_ROWS(statistics, b, h, row)[2 * statistic];
        const float product = *CONTENT_ROWS(total, b, h, row);
        FOR_ROWS {
          const int c = first + TEAM_TY + r - buffer_length;
          float gradient = 0.0f;
          if (i < count && c <= row) {
            gradient = c < 0 ? -product * inverse_all
                             : *SLOPE(b, c, row) * upstream * inverse -
                                   product * (inverse_all > 0.0f ? inverse_all : inverse);
            gradient *= exp2(fma(dots[r][t], exponent_scale, -high)) * scale;
          }
          dots[r][t] = gradient;
        }
      }
      share_weights(weights, dots);
      add_weighted_tile(sums, weights, tile);
    }
    store_own(SEQUENCE_ROWS(dkey, key_stride, key_column, b, h, first), key_stride, rows, sums);
    FOR_ROWS FOR_COLUMNS sums[r][c] = 0.0f;
    if (value_column >= 0) store_own(SEQUENCE_ROWS(dkey, key_stride, value_column, b, h, first), key_stride, rows, sums);
  }
}

#endif
#endif
