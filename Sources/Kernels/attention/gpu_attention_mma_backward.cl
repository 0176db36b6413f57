// gpu_attention_mma_backward: attention_backward.cl by mma (gpu_mma.cl), in two kernels without atomics as in
// gpu_attention_flash_backward.cl: query, key, value, dout, the weights of a row and their gradients are rounded to bf16 or tf32
// as they enter a product; scores, sums and what lies between products are float.
//
// attention_mma_backward_query owns queries and walks keys; attention_mma_backward_key owns keys and walks the queries of all
// query batches that share them, with the transposed scores k q^T, whose weights are then an A as they are. A group takes 16
// ATTENTION_WARPS own rows and tiles of 32; tensors as in gpu_attention_mma.cl, -D values as in gpu_attention_mma_tile.cl.
//
// delta = dout . out takes dout as rounded, so that it is the sum of the weights times dout . v up to the rounding of the
// weights.
#include "gpu_attention_mma_tile.cl"

#if defined(HEAD_DIM) && TEAM_GPU

// The own words of one side, or of both, stay in registers while there is room beside sums and scores. Otherwise they are
// read again for each tile, which is then taken as one part, so that a read serves four products.
#define OWN_STAYS(sides, sums) (4 * HEAD_STEPS * (sides) + 8 * HEAD_PAIRS * (sums) + ((sides) == 2 ? 16 : 32) <= 184)
#define QUERY_PART (OWN_STAYS(2, 1) ? 16 : TILE_ROWS)
#define KEY_PART (OWN_STAYS(2, 2) ? 16 : TILE_ROWS)

// The part of an own row's rounded values times another row that this lane's words hold.
INLINE float dot_words(uint word, __global const float *row, int at, int is_there) {
  const int column = at * MMA_PACK;
#ifdef MMA_BF16
  const float first = is_there && column < HEAD_DIM ? as_float(word << 16) * row[column] : 0.0f;
  return is_there && column + 1 < HEAD_DIM ? fma(as_float(word & 0xffff0000u), row[column + 1], first) : first;
#else
  return is_there && column < HEAD_DIM ? as_float(word) * row[column] : 0.0f;
#endif
}

// dq, and delta [B, H, N]. Groups: batch * heads * (blocks of queries). 6 B H N M HEAD_DIM operations; q, dout, out once and
// k, v once for each block of queries.
__kernel __attribute__((reqd_work_group_size(ATTENTION_ITEMS, 1, 1))) void attention_mma_backward_query(
    IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, out), IN(float, logsumexp),
    OUT(float, dquery), OUT(float, delta), ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  LOCAL_TILE(key_tile);
  LOCAL_TILE(value_tile);
  MMA_LOCAL(ATTENTION_WARPS);
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, out);
  USE_IN(float, logsumexp);
  USE_OUT(float, dquery);
  USE_OUT(float, delta);
#if DROPOUT
  LOCAL_KEPT(kept);
  USE_DROPOUT;
  const float kept_factor = dropout_factor(probability);
  const uint threshold = dropout_threshold(probability);
#endif
  const int blocks = (queries + OWN_ROWS - 1) / OWN_ROWS, unit = get_group_id(0), out_stride = heads * HEAD_DIM;
  const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
  const int bk = b / kv_group, upper = first + WARP_ROW + LANE_G, lower = upper + 8;
  const float exponent_scale = scale * LOG2_E;
  const int4 visible =
      (int2)(keys_visible(keys, prefix, position + upper + 1), keys_visible(keys, prefix, position + lower + 1)).xxyy;
  const OwnRows own_query = own_rows(QUERY_ROWS(query, b, h, 0), query_stride, upper, queries);
  const OwnRows own_dout = own_rows(OUT_ROWS(dout, b, h, 0), out_stride, upper, queries);
  const OwnRows own_out = own_rows(OUT_ROWS(out, b, h, 0), out_stride, upper, queries);
  uint4 q[HEAD_STEPS], d[HEAD_STEPS];
  load_own(q, own_query);
  load_own(d, own_dout);
  float2 product = (float2)(0.0f);
  FOR_BLOCKS(step, HEAD_STEPS) {
    const int word = step * MMA_WORDS + LANE_T;
    product.x += dot_words(d[step].x, own_out.upper, word, own_out.has_upper);
    product.y += dot_words(d[step].y, own_out.lower, word, own_out.has_lower);
    product.x += dot_words(d[step].z, own_out.upper, word + 4, own_out.has_upper);
    product.y += dot_words(d[step].w, own_out.lower, word + 4, own_out.has_lower);
  }
  product.x = mma_row_sum(product.x);
  product.y = mma_row_sum(product.y);
  if (LANE_T == 0 && upper < queries) *HEAD_ROWS(delta, b, h, upper) = product.x;
  if (LANE_T == 0 && lower < queries) *HEAD_ROWS(delta, b, h, lower) = product.y;
  const float2 high = LOG2_E * (float2)(upper < queries ? *HEAD_ROWS(logsumexp, b, h, upper) : 0.0f,
                                        lower < queries ? *HEAD_ROWS(logsumexp, b, h, lower) : 0.0f);
  float4 sum[2 * HEAD_PAIRS];
  FOR_BLOCKS(c, 2 * HEAD_PAIRS) sum[c] = (float4)(0.0f);

  const int limit = keys_visible(keys, prefix, position + min(queries, first + OWN_ROWS));
  for (int start = 0; start < limit; start += TILE_ROWS) {
    barrier(CLK_LOCAL_MEM_FENCE);
    load_tile(key_tile, KEY_ROWS(key, bk, h, start), key_stride, keys - start);
    load_tile(value_tile, VALUE_ROWS(value, bk, h, start), value_stride, keys - start);
#if DROPOUT
    draw_kept(kept, b, heads, h, queries, keys, first, OWN_ROWS, start, TILE_BLOCKS, now, stream, threshold);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int part = 0; part < TILE_ROWS; part += QUERY_PART) {
      float4 score[QUERY_PART / MMA_N], dweight[QUERY_PART / MMA_N];
      FOR_BLOCKS(j, QUERY_PART / MMA_N) score[j] = dweight[j] = (float4)(0.0f);
      add_dots(score, QUERY_PART / MMA_N, q, OWN_STAYS(1, 1), own_query, key_tile + part * TILE_ROW MMA_PASS);
      add_dots(dweight, QUERY_PART / MMA_N, d, OWN_STAYS(2, 1), own_dout, value_tile + part * TILE_ROW MMA_PASS);
      FOR_BLOCKS(j, QUERY_PART / MMA_N) {
        const int seen = start + part + j * MMA_N + 2 * LANE_T;
        const float4 exponent = visible_scores(score[j], exponent_scale, (int4)(seen, seen + 1, seen, seen + 1), visible);
#if DROPOUT
        dweight[j] *= kept_keys(kept + (part / MMA_N + j) * OWN_ROWS + WARP_ROW, kept_factor);
#endif
        dweight[j] = exp2(exponent - high.xxyy) * (dweight[j] - product.xxyy);
      }
      MMA_UNROLL
      for (int row = 0; row < QUERY_PART; row += WEIGHTED_ROWS)
        add_weighted(sum, dweight + row / MMA_N, key_tile + (part + row) * TILE_ROW MMA_PASS);
    }
  }
  store_sums(QUERY_ROWS(dquery, b, h, 0), query_stride, upper, queries, sum, (float4)(scale));
}

// dk and dv, after attention_mma_backward_query. Groups: key batches * heads * (blocks of keys). 8 B H N M HEAD_DIM
// operations; k, v once and q, dout once for each block of keys.
__kernel __attribute__((reqd_work_group_size(ATTENTION_ITEMS, 1, 1))) void attention_mma_backward_key(
    IN(float, query), IN(float, key), IN(float, value), IN(float, dout), IN(float, logsumexp), IN(float, delta),
    OUT(float, dkey), OUT(float, dvalue), ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  LOCAL_TILE(query_tile);
  LOCAL_TILE(dout_tile);
  __local float high_tile[TILE_ROWS], product_tile[TILE_ROWS];
  MMA_LOCAL(ATTENTION_WARPS);
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_IN(float, dout);
  USE_IN(float, logsumexp);
  USE_IN(float, delta);
  USE_OUT(float, dkey);
  USE_OUT(float, dvalue);
#if DROPOUT
  LOCAL_KEPT(kept);
  USE_DROPOUT;
  const float kept_factor = dropout_factor(probability);
  const uint threshold = dropout_threshold(probability);
#endif
  const int blocks = (keys + OWN_ROWS - 1) / OWN_ROWS, unit = get_group_id(0), out_stride = heads * HEAD_DIM;
  const int bk = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
  const int item = get_local_id(0), upper = first + WARP_ROW + LANE_G;
  const int4 own = (int4)(upper, upper, upper + 8, upper + 8);
  const float exponent_scale = scale * LOG2_E;
  const OwnRows own_key = own_rows(KEY_ROWS(key, bk, h, 0), key_stride, upper, keys);
  const OwnRows own_value = own_rows(VALUE_ROWS(value, bk, h, 0), value_stride, upper, keys);
  uint4 k[HEAD_STEPS], v[HEAD_STEPS];
  load_own(k, own_key);
  load_own(v, own_value);
  float4 key_sum[2 * HEAD_PAIRS], value_sum[2 * HEAD_PAIRS];
  FOR_BLOCKS(c, 2 * HEAD_PAIRS) key_sum[c] = value_sum[c] = (float4)(0.0f);

  // The first tile with a query that sees one of these keys.
  const int start_query =
      first < prefix ? 0 : max(mask_begin(prefix, first) - position, 0) / TILE_ROWS * TILE_ROWS;
  const int tiles = (queries - start_query + TILE_ROWS - 1) / TILE_ROWS;
  for (int step = 0; step < kv_group * tiles; ++step) {
    const int b = bk * kv_group + step / tiles, start = start_query + step % tiles * TILE_ROWS;
    barrier(CLK_LOCAL_MEM_FENCE);
    load_tile(query_tile, QUERY_ROWS(query, b, h, start), query_stride, queries - start);
    load_tile(dout_tile, OUT_ROWS(dout, b, h, start), out_stride, queries - start);
    if (item < TILE_ROWS) {
      const int is_there = start + item < queries;
      high_tile[item] = is_there ? *HEAD_ROWS(logsumexp, b, h, start + item) * LOG2_E : 0.0f;
      product_tile[item] = is_there ? *HEAD_ROWS(delta, b, h, start + item) : 0.0f;
    }
#if DROPOUT
    draw_kept(kept, b, heads, h, queries, keys, start, TILE_ROWS, first, OWN_ROWS / 8, now, stream, threshold);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int part = 0; part < TILE_ROWS; part += KEY_PART) {
      float4 weight[KEY_PART / MMA_N], dweight[KEY_PART / MMA_N];
      FOR_BLOCKS(j, KEY_PART / MMA_N) weight[j] = dweight[j] = (float4)(0.0f);
      add_dots(weight, KEY_PART / MMA_N, k, OWN_STAYS(1, 2), own_key, query_tile + part * TILE_ROW MMA_PASS);
      add_dots(dweight, KEY_PART / MMA_N, v, OWN_STAYS(2, 2), own_value, dout_tile + part * TILE_ROW MMA_PASS);
      FOR_BLOCKS(j, KEY_PART / MMA_N) {
        // This lane's two queries, of those in the tile.
        const int x = part + j * MMA_N + 2 * LANE_T, y = x + 1;
        const int x_visible = start + x < queries ? mask_end(prefix, position + start + x) : 0;
        const int y_visible = start + y < queries ? mask_end(prefix, position + start + y) : 0;
        const float4 exponent =
            visible_scores(weight[j], exponent_scale, own, (int4)(x_visible, y_visible, x_visible, y_visible));
        weight[j] = exp2(exponent - (float4)(high_tile[x], high_tile[y], high_tile[x], high_tile[y]));
        const float4 product = (float4)(product_tile[x], product_tile[y], product_tile[x], product_tile[y]);
#if DROPOUT
        __local const uchar *bits = kept + WARP_ROW / 8 * TILE_ROWS;
        const float4 factor = kept_factors(
            (uint4)(bits[x], bits[y], bits[TILE_ROWS + x], bits[TILE_ROWS + y]), (uint4)(LANE_G), kept_factor);
        dweight[j] = weight[j] * (dweight[j] * factor - product);
        weight[j] *= factor;
#else
        dweight[j] = weight[j] * (dweight[j] - product);
#endif
      }
      MMA_UNROLL
      for (int row = 0; row < KEY_PART; row += WEIGHTED_ROWS) {
        add_weighted(value_sum, weight + row / MMA_N, dout_tile + (part + row) * TILE_ROW MMA_PASS);
        add_weighted(key_sum, dweight + row / MMA_N, query_tile + (part + row) * TILE_ROW MMA_PASS);
      }
    }
  }
  store_sums(KEY_ROWS(dkey, bk, h, 0), key_stride, upper, keys, key_sum, (float4)(scale));
  store_sums(VALUE_ROWS(dvalue, bk, h, 0), value_stride, upper, keys, value_sum, (float4)(1.0f));
}

#endif
