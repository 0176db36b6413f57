// gpu_attention_mma: attention's forward (attention.cl) by mma (gpu_mma.cl): query, key, value and the weights of a row are rounded
// to bf16 or tf32 as they enter a product; scores, softmax and sums are float.
//
// q [B, N, *], k, v [Bk, M, *] -> out [B, N, H * HEAD_DIM], logsumexp [B, H, N]; see attention_shape.cl for strides and masks,
// gpu_attention_mma_tile.cl for -D values. GPU shape only.
//
// One work-group takes 16 ATTENTION_WARPS queries of a head, 16 for each warp, and walks the keys 32 at a time. A warp keeps
// its queries, the running sum of weighted values, and for each row the largest score and the sum of weights in registers.
// Groups: batch * heads * (blocks of queries).
//
// Traffic: 8 * H * HEAD_DIM * (B N + B / kv_group * M) bytes at least, keys and values once more for each further block of
// queries; 4 B H N M HEAD_DIM operations, half of them under a causal mask.
#include "gpu_attention_mma_tile.cl"

#if defined(HEAD_DIM) && TEAM_GPU

__kernel __attribute__((reqd_work_group_size(ATTENTION_ITEMS, 1, 1))) void attention_mma_forward(
    IN(float, query), IN(float, key), IN(float, value), OUT(float, out), OUT(float, logsumexp),
    ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  LOCAL_TILE(key_tile);
  LOCAL_TILE(value_tile);
  MMA_LOCAL(ATTENTION_WARPS);
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_OUT(float, out);
  USE_OUT(float, logsumexp);
#if DROPOUT
  LOCAL_KEPT(kept);
  USE_DROPOUT;
  const float kept_factor = dropout_factor(probability);
  const uint threshold = dropout_threshold(probability);
#endif
  const int blocks = (queries + OWN_ROWS - 1) / OWN_ROWS, unit = get_group_id(0);
  const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
  const int bk = b / kv_group, upper = first + WARP_ROW + LANE_G, lower = upper + 8;
  const float exponent_scale = scale * LOG2_E;
  const int4 visible =
      (int2)(keys_visible(keys, prefix, position + upper + 1), keys_visible(keys, prefix, position + lower + 1)).xxyy;
  const OwnRows own_query = own_rows(QUERY_ROWS(query, b, h, 0), query_stride, upper, queries);
  uint4 q[HEAD_STEPS];
  load_own(q, own_query);
  float4 sum[2 * HEAD_PAIRS];
  FOR_BLOCKS(d, 2 * HEAD_PAIRS) sum[d] = (float4)(0.0f);
  // Of the upper and the lower row: the largest score so far, and the sum of this lane's weights relative to it.
  float2 high = (float2)(-INFINITY), total = (float2)(0.0f);

  const int limit = keys_visible(keys, prefix, position + min(queries, first + OWN_ROWS));
  for (int start = 0; start < limit; start += TILE_ROWS) {
    barrier(CLK_LOCAL_MEM_FENCE);
    load_tile(key_tile, KEY_ROWS(key, bk, h, start), key_stride, keys - start);
    load_tile(value_tile, VALUE_ROWS(value, bk, h, start), value_stride, keys - start);
#if DROPOUT
    draw_kept(kept, b, heads, h, queries, keys, first, OWN_ROWS, start, TILE_BLOCKS, now, stream, threshold);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);

    float4 score[TILE_BLOCKS];
    FOR_BLOCKS(j, TILE_BLOCKS) score[j] = (float4)(0.0f);
    add_dots(score, TILE_BLOCKS, q, 1, own_query, key_tile MMA_PASS);
    float2 top = high;
    FOR_BLOCKS(j, TILE_BLOCKS) {
      const int seen = start + j * MMA_N + 2 * LANE_T;
      score[j] = visible_scores(score[j], exponent_scale, (int4)(seen, seen + 1, seen, seen + 1), visible);
      top = fmax(top, fmax(score[j].xz, score[j].yw));
    }
    // Every query sees the first key, so that `top` is finite from the first tile on.
    top.x = mma_row_max(top.x);
    top.y = mma_row_max(top.y);
    const float4 change = exp2((high - top).xxyy);
    high = top;
    total *= change.xz;
    FOR_BLOCKS(d, 2 * HEAD_PAIRS) sum[d] *= change;
    FOR_BLOCKS(j, TILE_BLOCKS) {
      score[j] = exp2(score[j] - top.xxyy);
      total += score[j].xz + score[j].yw;
#if DROPOUT
      score[j] *= kept_keys(kept + j * OWN_ROWS + WARP_ROW, kept_factor);
#endif
    }
    MMA_UNROLL
    for (int row = 0; row < TILE_ROWS; row += WEIGHTED_ROWS)
      add_weighted(sum, score + row / MMA_N, value_tile + row * TILE_ROW MMA_PASS);
  }

  total.x = mma_row_sum(total.x);
  total.y = mma_row_sum(total.y);
  store_sums(OUT_ROWS(out, b, h, 0), heads * HEAD_DIM, upper, queries, sum, 1.0f / total.xxyy);
  if (LANE_T == 0) {
    const float4 row = high.xxyy * LN_2 + log_lanes(total.xxyy);
    if (upper < queries) *HEAD_ROWS(logsumexp, b, h, upper) = row.x;
    if (lower < queries) *HEAD_ROWS(logsumexp, b, h, lower) = row.z;
  }
}

#endif
