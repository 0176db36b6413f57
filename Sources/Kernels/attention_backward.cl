// attention_backward: gradients of attention.cl with respect to query, key and value.
//
//   p_ij = exp(s_ij - logsumexp_i);  delta_i = dout_i . out_i
//   dv_j = sum_i z_ij p_ij dout_i;   ds_ij = p_ij (z_ij dout_i . v_j - delta_i)
//   dq_i = scale sum_j ds_ij k_j;    dk_j = scale sum_i ds_ij q_i
//
// dquery, dkey, dvalue have the shapes, strides and columns of query, key and value (so a packed dqkv is one tensor passed
// three times); dk and dv sum over the kv_group query batches of a key batch, in order. Probabilities are recomputed from
// logsumexp: nothing of size N x M is stored.
#include "attention_shape.cl"

#ifdef HEAD_DIM
#if !TEAM_GPU

INLINE void attention_backward_block(__global const float *query, __global const float *key, __global const float *value,
                                     __global const float *dout, __global const float *out, __global const float *logsumexp,
                                     __global float *dquery, __global float *dkey, __global float *dvalue,
                                     size_t query_stride, size_t key_stride, size_t value_stride, size_t out_stride,
                                     int first, int rows, int keys, int prefix, float scale, ulong drop_block,
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
  const int limit = keys_visible(keys, prefix, first + rows);
  for (int start = 0; start < limit; start += KEY_TILE) {
    const int count = min(KEY_TILE, limit - start);
    dot_rows(columns, key + start * key_stride, key_stride, count, weights);
    dot_rows(dout_columns, value + start * value_stride, value_stride, count, dscores);
    mask_keys(weights, start, count, first, prefix);
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
__kernel void attention_backward(IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, out),
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
                                 query_stride, key_stride, value_stride, (size_t)heads * HEAD_DIM, first, rows, keys,
                                 prefix, scale, drop_block, drop_stride PASS_DROPOUT);
      }
  }
}

#else

// dq and delta. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS queries of a head. 6 B H N M HEAD_DIM FLOPs.
__kernel void attention_backward_query(IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, out),
                                       IN(float, logsumexp), OUT(float, dquery), OUT(float, delta),
                                       ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  __local float own_query[HEAD_DIM * OWN_ROWS], own_dout[HEAD_DIM * OWN_ROWS];
  __local float tile[TILE_ROWS * TILE_PITCH], weights[TILE_ROWS * OWN_ROWS];
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
  const float factor = dropout_factor(probability);
#endif
  const int blocks = (queries + OWN_ROWS - 1) / OWN_ROWS;
  const size_t out_stride = (size_t)heads * HEAD_DIM;
  TEAM_ROWS(unit, batch * heads * blocks) {
    const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
    const int bk = b / kv_group, rows = min(OWN_ROWS, queries - first);
    const int limit = keys_visible(keys, prefix, first + rows);
    float sums[ROWS][COLUMNS_PER_ITEM], dots[ROWS][TILE_PER_ITEM], dweights[ROWS][TILE_PER_ITEM];
    float high[ROWS], product[ROWS];
    barrier(CLK_LOCAL_MEM_FENCE);
    load_own(own_query, QUERY_ROWS(query, b, h, first), query_stride, rows);
    load_own(own_dout, OUT_ROWS(dout, b, h, first), out_stride, rows);
    barrier(CLK_LOCAL_MEM_FENCE);
    FOR_ROWS {
      const int row = min(TEAM_TY + r, rows - 1);
      high[r] = HEAD_ROWS(logsumexp, b, h, first)[row] * LOG2_E;
      product[r] = 0.0f;
      FOR_COLUMNS {
        sums[r][c] = 0.0f;
        if (COLUMN(c) < HEAD_DIM)
          product[r] += own_dout[COLUMN(c) * OWN_ROWS + TEAM_TY + r] * OUT_ROWS(out, b, h, first)[row * out_stride + COLUMN(c)];
      }
    }
    rows_sum(product, weights);
    FOR_ROWS {
      if (TEAM_TX == 0 && TEAM_TY + r < rows) HEAD_ROWS(delta, b, h, first)[TEAM_TY + r] = product[r];
    }
    for (int start = 0; start < limit; start += TILE_ROWS) {
      const int count = min(TILE_ROWS, limit - start);
#if DROPOUT
      draw_kept(kept, b, heads, h, queries, keys, first, OWN_ROWS, start / 8, TILE_ROWS / 8, now, stream, probability);
#endif
      load_tile(tile, VALUE_ROWS(value, bk, h, start), value_stride, count);
      dot_tile(dweights, own_dout, tile);
      load_tile(tile, KEY_ROWS(key, bk, h, start), key_stride, count);
      dot_tile(dots, own_query, tile);
      FOR_ROWS {
        const int visible = keys_visible(keys, prefix, first + TEAM_TY + r + 1) - start;
        FOR_TILE {
          const int j = TEAM_TX + TEAM_X * t;
          const float weight = j < visible ? exp2(fma(dots[r][t], scale * LOG2_E, -high[r])) : 0.0f;
#if DROPOUT
          dweights[r][t] = kept[j / 8 * OWN_ROWS + TEAM_TY + r] >> (j % 8) & 1 ? dweights[r][t] * factor : 0.0f;
#endif
          dots[r][t] = weight * (dweights[r][t] - product[r]) * scale;
        }
      }
      share_weights(weights, dots);
      add_weighted_tile(sums, weights, tile);
    }
    store_own(QUERY_ROWS(dquery, b, h, first), query_stride, rows, sums);
  }
}

// dk and dv, after attention_backward_query. Launch: teams of TEAM_SIZE; a unit is OWN_ROWS keys of a head with all queries of
// the key's query batches. 8 B H N M HEAD_DIM FLOPs.
__kernel void attention_backward_key(IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, logsumexp),
                                     IN(float, delta), OUT(float, dkey), OUT(float, dvalue),
                                     ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  __local float own_key[HEAD_DIM * OWN_ROWS], own_value[HEAD_DIM * OWN_ROWS];
  __local float tile[TILE_ROWS * TILE_PITCH], weights[TILE_ROWS * OWN_ROWS];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, logsumexp);
  USE_IN(float, delta);
  USE_OUT(float, dkey);
  USE_OUT(float, dvalue);
#if DROPOUT
  __local uchar kept[KEY_GROUPS(OWN_ROWS + 7) * TILE_ROWS];
  USE_DROPOUT;
  const float factor = dropout_factor(probability);
#endif
  const int blocks = (keys + OWN_ROWS - 1) / OWN_ROWS;
  const size_t out_stride = (size_t)heads * HEAD_DIM;
  TEAM_ROWS(unit, batch / kv_group * heads * blocks) {
    const int bk = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
    const int rows = min(OWN_ROWS, keys - first);
    const int start_query = first < prefix ? 0 : first / TILE_ROWS * TILE_ROWS;
    float key_sums[ROWS][COLUMNS_PER_ITEM], value_sums[ROWS][COLUMNS_PER_ITEM];
    float dots[ROWS][TILE_PER_ITEM], dweights[ROWS][TILE_PER_ITEM];
    FOR_ROWS FOR_COLUMNS key_sums[r][c] = value_sums[r][c] = 0.0f;
    barrier(CLK_LOCAL_MEM_FENCE);
    load_own(own_key, KEY_ROWS(key, bk, h, first), key_stride, rows);
    load_own(own_value, VALUE_ROWS(value, bk, h, first), value_stride, rows);
    for (int b = bk * kv_group; b < (bk + 1) * kv_group; ++b)
      for (int start = start_query; start < queries; start += TILE_ROWS) {
        const int count = min(TILE_ROWS, queries - start);
#if DROPOUT
        draw_kept(kept, b, heads, h, queries, keys, start, TILE_ROWS, first / 8, (first % 8 + rows + 7) / 8, now, stream,
                  probability);
#endif
        load_tile(tile, QUERY_ROWS(query, b, h, start), query_stride, count);
        dot_tile(dots, own_key, tile);
        load_tile(tile, OUT_ROWS(dout, b, h, start), out_stride, count);
        dot_tile(dweights, own_value, tile);
        FOR_TILE {
          const int i = TEAM_TX + TEAM_X * t, row = min(i, count - 1);
          const float high = HEAD_ROWS(logsumexp, b, h, start)[row] * LOG2_E;
          const float product = HEAD_ROWS(delta, b, h, start)[row];
          FOR_ROWS {
            const int key_index = first + TEAM_TY + r;
            const int visible = i < count && key_index < max(prefix, start + i + 1);
            float weight = visible ? exp2(fma(dots[r][t], scale * LOG2_E, -high)) : 0.0f;
#if DROPOUT
            const int group = min(key_index, keys - 1) / 8 - first / 8;
            const float z = kept[group * TILE_ROWS + i] >> (key_index % 8) & 1 ? factor : 0.0f;
            dweights[r][t] *= z;
            dots[r][t] = weight * z;
#else
            dots[r][t] = weight;
#endif
            dweights[r][t] = weight * (dweights[r][t] - product) * scale;
          }
        }
        share_weights(weights, dots);
        add_weighted_tile(value_sums, weights, tile);
        load_tile(tile, QUERY_ROWS(query, b, h, start), query_stride, count);
        share_weights(weights, dweights);
        add_weighted_tile(key_sums, weights, tile);
      }
    store_own(KEY_ROWS(dkey, bk, h, first), key_stride, rows, key_sums);
    store_own(VALUE_ROWS(dvalue, bk, h, first), value_stride, rows, value_sums);
  }
}

#endif
#endif
