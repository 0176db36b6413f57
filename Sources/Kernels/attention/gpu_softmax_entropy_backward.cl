// gpu_softmax_entropy_backward: softmax_entropy_backward.cl for GPUs, in two kernels without atomics, with the products of
// gpu_attention_tile.cl.
#include "softmax_entropy_shape.cl"

#if defined(HEAD_DIM) && TEAM_GPU

// dq, and `total` [B, H, R] = sum_c w_rc dE_r slope_rc. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS content rows of a head.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void softmax_entropy_backward_query(
    IN(float, query), IN(float, key), IN(float, dentropy), IN(float, entropy), IN(float, slope), IN(float, statistics),
    OUT(float, dquery), OUT(float, total), ENTROPY_SHAPE) {
  __local float4 slices[SLICES_SIZE], weights[WEIGHTS_SIZE];
  __local float scratch[OWN_SCRATCH];
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
    const int rows = min(OWN_ROWS, content - first), limit = SEEN(first + rows - 1);
    if (first == 0)
      for (int e = TEAM_RANK; e < buffer_length * HEAD_DIM; e += TEAM_SIZE)
        SEQUENCE_ROWS(dquery, query_stride, query_column, b, h, e / HEAD_DIM)[e % HEAD_DIM] = 0.0f;
    float sums[OWN_PER_ITEM][COLUMNS_PER_ITEM], dots[OWN_PER_ITEM][TILE_PER_ITEM];
    float upstream[OWN_PER_ITEM], high[OWN_PER_ITEM], inverse[OWN_PER_ITEM], inverse_all[OWN_PER_ITEM];
    float product[OWN_PER_ITEM];
    const Rows own = rows_of(SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + first), query_stride, rows);
    FOR_OWN {
      const int row = min(OWN_ROW(r), rows - 1);
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
      const Rows tile =
          rows_of(SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count);
      dot_tile(dots, slices, own, tile);
      FOR_OWN FOR_TILE {
        const int j = TILE_ROW(t), row = min(OWN_ROW(r), rows - 1);
        if (j < count && start + j <= first + row + ahead)
          product[r] += exp2(fma(dots[r][t], exponent_scale, -high[r])) * *SLOPE(b, start + j, first + row);
      }
    }
    own_sum(product, scratch);
    FOR_OWN {
      product[r] *= upstream[r] * inverse[r];
      if (ITEM_X == 0 && OWN_ROW(r) < rows) CONTENT_ROWS(total, b, h, first)[OWN_ROW(r)] = product[r];
    }
    for (int start = -buffer_length; start < limit;) {
      const int count = min(TILE_ROWS, (start < 0 ? 0 : limit) - start);
      const Rows tile =
          rows_of(SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count);
      dot_tile(dots, slices, own, tile);
      FOR_OWN FOR_TILE {
        const int j = start + TILE_ROW(t), row = min(OWN_ROW(r), rows - 1);
        float gradient = 0.0f;
        if (j < start + count && j <= first + row + ahead) {
          const float weight = exp2(fma(dots[r][t], exponent_scale, -high[r]));
          gradient = j < 0 ? -product[r] * inverse_all[r]
                           : *SLOPE(b, j, first + row) * upstream[r] * inverse[r] -
                                 product[r] * (inverse_all[r] > 0.0f ? inverse_all[r] : inverse[r]);
          gradient *= weight * scale;
        }
        dots[r][t] = gradient;
      }
      share_weights(weights, dots);
      add_weighted_tile(sums, weights, slices, tile);
      start += count;
    }
    store_own(SEQUENCE_ROWS(dquery, query_stride, query_column, b, h, buffer_length + first), query_stride, rows, sums);
  }
}

// dk, after softmax_entropy_backward_query. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS keys of a head.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void softmax_entropy_backward_key(
    IN(float, query), IN(float, key), IN(float, dentropy), IN(float, entropy), IN(float, slope), IN(float, statistics),
    IN(float, total), OUT(float, dkey), ENTROPY_SHAPE) {
  __local float4 slices[SLICES_SIZE], weights[WEIGHTS_SIZE];
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
    float sums[OWN_PER_ITEM][COLUMNS_PER_ITEM], dots[OWN_PER_ITEM][TILE_PER_ITEM];
    FOR_OWN FOR_COLUMNS sums[r][c] = 0.0f;
    const Rows own = rows_of(SEQUENCE_ROWS(key, key_stride, key_column, b, h, first), key_stride, rows);
    for (int start = max(0, first - buffer_length - ahead) / TILE_ROWS * TILE_ROWS; start < content; start += TILE_ROWS) {
      const int count = min(TILE_ROWS, content - start);
      const Rows tile =
          rows_of(SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + start), query_stride, count);
      dot_tile(dots, slices, own, tile);
      FOR_TILE {
        const int i = TILE_ROW(t), row = start + min(i, count - 1);
        const float e = entropy[(size_t)b * content + row];
        const float upstream = e > 0.0f && e < 1.0f ? dentropy[(size_t)b * content + row] : 0.0f;
        const float high = CONTENT_ROWS(statistics, b, h, row)[0];
        const float inverse = CONTENT_ROWS(statistics, b, h, row)[statistic];
        const float inverse_all = CONTENT_ROWS(statistics, b, h, row)[2 * statistic];
        const float product = *CONTENT_ROWS(total, b, h, row);
        FOR_OWN {
          const int c = first + OWN_ROW(r) - buffer_length;
          float gradient = 0.0f;
          if (i < count && c < SEEN(row)) {
            gradient = c < 0 ? -product * inverse_all
                             : *SLOPE(b, c, row) * upstream * inverse -
                                   product * (inverse_all > 0.0f ? inverse_all : inverse);
            gradient *= exp2(fma(dots[r][t], exponent_scale, -high)) * scale;
          }
          dots[r][t] = gradient;
        }
      }
      share_weights(weights, dots);
      add_weighted_tile(sums, weights, slices, tile);
    }
    store_own(SEQUENCE_ROWS(dkey, key_stride, key_column, b, h, first), key_stride, rows, sums);
    FOR_OWN FOR_COLUMNS sums[r][c] = 0.0f;
    if (value_column >= 0) store_own(SEQUENCE_ROWS(dkey, key_stride, value_column, b, h, first), key_stride, rows, sums);
  }
}

#endif
