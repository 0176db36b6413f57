// gpu_attention_flash_backward: attention_backward.cl for GPUs, in two kernels without atomics.
//
// attention_backward_query owns queries and walks keys, attention_backward_key owns keys and walks the queries of all query
// batches that share them; each recomputes the scores and dout . v of its tiles, 7 products of N M HEAD_DIM where one kernel
// with atomic sums would need 5, and every sum has one writer and a fixed order.
//
// HEAD_DIM 64, blocks of 64 x 32 by 64 items, 8 x 4 an item: a tile is 6144 multiply-adds an item for 512 float4 loads from
// local memory in the first kernel, 8192 for 640 in the second, whose items keep 128 sums of dk and dv. Both take about
// 250 registers and 23 KiB of local memory: four groups on an H100 multiprocessor, bounded by its 64 Ki registers.
#include "gpu_attention_tile.cl"

#if defined(HEAD_DIM) && TEAM_GPU

// dq, and delta [B, H, N]. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS queries of a head. 6 B H N M HEAD_DIM FLOPs;
// q, dout, out once and k, v once for each block of queries.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void attention_backward_query(
    IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, out), IN(float, logsumexp),
    OUT(float, dquery), OUT(float, delta), ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  __local float4 slices[SLICES_SIZE], weights[WEIGHTS_SIZE];
  __local float row_high[OWN_ROWS], row_delta[OWN_ROWS];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, out);
  USE_IN(float, logsumexp);
  USE_OUT(float, dquery);
  USE_OUT(float, delta);
#if DROPOUT
  __local uchar kept[OWN_ROWS * TILE_ROWS / 8];
  USE_DROPOUT;
  const float kept_factor = dropout_factor(probability);
  const uint threshold = dropout_threshold(probability);
#endif
  const int blocks = (queries + OWN_ROWS - 1) / OWN_ROWS;
  const size_t out_stride = (size_t)heads * HEAD_DIM;
  const float exponent_scale = scale * LOG2_E;
  const int unit = TEAM_INDEX;
  const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
  const int bk = b / kv_group, rows = min(OWN_ROWS, queries - first);
  const int limit = keys_visible(keys, prefix, position + first + rows);
  const Rows own_query = rows_of(QUERY_ROWS(query, b, h, first), query_stride, rows);
  const Rows own_dout = rows_of(OUT_ROWS(dout, b, h, first), out_stride, rows);
  const Rows head_key = rows_of(KEY_ROWS(key, bk, h, 0), key_stride, limit);
  const Rows head_value = rows_of(VALUE_ROWS(value, bk, h, 0), value_stride, limit);
  float sums[OWN_PER_ITEM][COLUMNS_PER_ITEM];
  __local float *products = (__local float *)weights;
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_OWN {
    const int row = min(OWN_ROW(r), rows - 1);
    float product = 0.0f;
    FOR_COLUMNS {
      sums[r][c] = 0.0f;
      if (HEAD_DIM % TEAM_X == 0 || COLUMN(c) < HEAD_DIM)
        product = fma(own_dout.first[row * out_stride + COLUMN(c)],
                      OUT_ROWS(out, b, h, first)[row * out_stride + COLUMN(c)], product);
    }
    products[OWN_ROW(r) * (TEAM_X + 1) + ITEM_X] = product;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (TEAM_RANK < OWN_ROWS) {
    float sum = 0.0f;
    for (int x = 0; x < TEAM_X; ++x) sum += products[TEAM_RANK * (TEAM_X + 1) + x];
    row_delta[TEAM_RANK] = sum;
    row_high[TEAM_RANK] = HEAD_ROWS(logsumexp, b, h, first)[min(TEAM_RANK, rows - 1)] * LOG2_E;
    if (TEAM_RANK < rows) HEAD_ROWS(delta, b, h, first)[TEAM_RANK] = sum;
  }
#pragma unroll 1
  for (int start = 0; start < limit; start += TILE_ROWS) {
    float dots[OWN_PER_ITEM][TILE_PER_ITEM], dweights[OWN_PER_ITEM][TILE_PER_ITEM];
    dot_tile(dots, slices, own_query, rows_from(head_key, start));
#if DROPOUT
    draw_kept(kept, b, heads, h, queries, keys, first, OWN_ROWS, start, TILE_ROWS / 8, now, stream, threshold);
#endif
    dot_tile(dweights, slices, own_dout, rows_from(head_value, start));
    FOR_OWN {
      const int visible = min(limit, mask_end(prefix, position + first + OWN_ROW(r))) - start;
      const float high = row_high[OWN_ROW(r)], product = row_delta[OWN_ROW(r)];
      FOR_TILE {
        const float weight = exp2(TILE_ROW(t) < visible ? fma(dots[r][t], exponent_scale, -high) : -INFINITY);
#if DROPOUT
        // Key 8 t + x of the tile.
        dweights[r][t] *= kept[t * OWN_ROWS + OWN_ROW(r)] >> ITEM_X & 1 ? kept_factor : 0.0f;
#endif
        dots[r][t] = weight * (dweights[r][t] - product) * scale;
      }
    }
    share_weights(weights, dots);
    add_weighted_tile(sums, weights, slices, rows_from(head_key, start));
  }
  store_own(QUERY_ROWS(dquery, b, h, first), query_stride, rows, sums);
}

// dk and dv, after attention_backward_query. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS keys of a head with all queries
// of the key's query batches. 8 B H N M HEAD_DIM FLOPs; k, v, q and dout once for each tile, of which k and v stay in the
// first-level cache.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void attention_backward_key(
    IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, logsumexp), IN(float, delta),
    OUT(float, dkey), OUT(float, dvalue), ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  __local float4 slices[SLICES_SIZE], weights[WEIGHTS_SIZE];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, logsumexp);
  USE_IN(float, delta);
  USE_OUT(float, dkey);
  USE_OUT(float, dvalue);
#if DROPOUT
  __local uchar kept[OWN_ROWS / 8 * TILE_ROWS];
  USE_DROPOUT;
  const float kept_factor = dropout_factor(probability);
  const uint threshold = dropout_threshold(probability);
#endif
  const int blocks = (keys + OWN_ROWS - 1) / OWN_ROWS;
  const size_t out_stride = (size_t)heads * HEAD_DIM;
  const float exponent_scale = scale * LOG2_E;
  const int unit = TEAM_INDEX;
  const int bk = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
  const int rows = min(OWN_ROWS, keys - first);
  // The first tile with a query that sees one of these keys.
  const int start_query = first < prefix ? 0 : max(mask_begin(prefix, first) - position, 0) / TILE_ROWS * TILE_ROWS;
  const Rows own_key = rows_of(KEY_ROWS(key, bk, h, first), key_stride, rows);
  const Rows own_value = rows_of(VALUE_ROWS(value, bk, h, first), value_stride, rows);
  float key_sums[OWN_PER_ITEM][COLUMNS_PER_ITEM], value_sums[OWN_PER_ITEM][COLUMNS_PER_ITEM];
  FOR_OWN FOR_COLUMNS key_sums[r][c] = value_sums[r][c] = 0.0f;
#pragma unroll 1
  for (int b = bk * kv_group; b < (bk + 1) * kv_group; ++b)
#pragma unroll 1
    for (int start = start_query; start < queries; start += TILE_ROWS) {
      const int count = min(TILE_ROWS, queries - start);
      const Rows tile_query = rows_of(QUERY_ROWS(query, b, h, start), query_stride, count);
      const Rows tile_dout = rows_of(OUT_ROWS(dout, b, h, start), out_stride, count);
      float dots[OWN_PER_ITEM][TILE_PER_ITEM], dweights[OWN_PER_ITEM][TILE_PER_ITEM];
      dot_tile(dots, slices, own_key, tile_query);
#if DROPOUT
      draw_kept(kept, b, heads, h, queries, keys, start, TILE_ROWS, first, OWN_ROWS / 8, now, stream, threshold);
#endif
#if MASK_BLOCK > 1
      // Where they are used PoCL 3.1 would mix up the work-items.
      int visible_of[TILE_PER_ITEM];
      FOR_TILE visible_of[t] = TILE_ROW(t) < count ? mask_end(prefix, position + start + TILE_ROW(t)) - first : 0;
#endif
      dot_tile(dweights, slices, own_value, tile_dout);
      FOR_TILE {
        const int i = TILE_ROW(t), row = min(i, count - 1);
#if MASK_BLOCK > 1
        const int visible = visible_of[t];
#else
        const int visible = i < count ? mask_end(prefix, position + start + i) - first : 0;
#endif
        const float high = HEAD_ROWS(logsumexp, b, h, start)[row] * LOG2_E;
        const float product = HEAD_ROWS(delta, b, h, start)[row];
        FOR_OWN {
          const float weight = exp2(OWN_ROW(r) < visible ? fma(dots[r][t], exponent_scale, -high) : -INFINITY);
#if DROPOUT
          const float z = kept[OWN_ROW(r) / 8 * TILE_ROWS + i] >> OWN_ROW(r) % 8 & 1 ? kept_factor : 0.0f;
          dweights[r][t] *= z;
          dots[r][t] = weight * z;
#else
          dots[r][t] = weight;
#endif
          dweights[r][t] = weight * (dweights[r][t] - product) * scale;
        }
      }
      share_weights(weights, dots);
      add_weighted_tile(value_sums, weights, slices, tile_dout);
      // Of the barriers in there the last stands before the weights are read.
      barrier(CLK_LOCAL_MEM_FENCE);
      share_weights(weights, dweights);
      add_weighted_tile(key_sums, weights, slices, tile_query);
    }
  store_own(KEY_ROWS(dkey, bk, h, first), key_stride, rows, key_sums);
  store_own(VALUE_ROWS(dvalue, bk, h, first), value_stride, rows, value_sums);
}

#endif
