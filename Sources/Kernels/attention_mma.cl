// attention_mma: attention's forward (attention.cl) by mma (mma.cl): query, key, value and the weights of a row are rounded
// to bf16 or tf32 as they enter a product; scores, softmax and sums are float.
//
// q [B, N, *], k, v [Bk, M, *] -> out [B, N, H * HEAD_DIM], logsumexp [B, H, N]; see attention_shape.cl for strides and masks.
//
// -D values: those of mma.cl, HEAD_DIM (1...128), ATTENTION_WARPS (1...4). GPU shape only, no dropout.
//
// One work-group takes 16 ATTENTION_WARPS queries of a head, 16 for each warp, and walks the keys 32 at a time. A warp keeps
// its queries, the running sum of weighted values, and for each row the largest score and the sum of weights in registers.
// Groups: batch * heads * (blocks of queries).
//
// Traffic: 8 * H * HEAD_DIM * (B N + B / kv_group * M) bytes at least, keys and values once more for each further block of
// queries; 4 B H N M HEAD_DIM operations, half of them under a causal mask.
#include "attention_shape.cl"
#include "mma.cl"

#if defined(HEAD_DIM) && TEAM_GPU && !DROPOUT

#ifndef ATTENTION_WARPS
#define ATTENTION_WARPS 4
#endif
#define ATTENTION_ITEMS (ATTENTION_WARPS * MMA_WARP)
#define QUERY_TILE (ATTENTION_WARPS * MMA_M)
#define KEY_TILE 32
#define KEY_BLOCKS (KEY_TILE / MMA_N)
// Words of a head in whole products, and blocks of its columns.
#define HEAD_STEPS ((HEAD_DIM + MMA_WORDS * MMA_PACK - 1) / (MMA_WORDS * MMA_PACK))
#define HEAD_WORDS (HEAD_STEPS * MMA_WORDS)
#define HEAD_BLOCKS ((HEAD_DIM + MMA_N - 1) / MMA_N)
#define KEY_WORDS (KEY_TILE / MMA_PACK)
// Rows in local memory are longer than their words, so that the words of a fragment lie in different banks.
#define KEY_ROW (HEAD_WORDS + 4)
#ifdef MMA_BF16
#define VALUE_ROW (KEY_WORDS + 4)
#else
#define VALUE_ROW (KEY_WORDS + 8)
#endif

// Word `word` of a row of a head; zero beyond its columns, and where there is no such row.
INLINE uint head_word(__global const float *row, int word, int is_there) {
  const int column = word * MMA_PACK;
  const float first = is_there && column < HEAD_DIM ? row[column] : 0.0f;
#ifdef MMA_BF16
  return mma_word_bf16(first, is_there && column + 1 < HEAD_DIM ? row[column + 1] : 0.0f);
#else
  return mma_word_tf32(first);
#endif
}

__kernel __attribute__((reqd_work_group_size(ATTENTION_ITEMS, 1, 1))) void attention_mma_forward(
    IN(float, query), IN(float, key), IN(float, value), OUT(float, out), OUT(float, logsumexp), ATTENTION_SHAPE) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_OUT(float, out);
  USE_OUT(float, logsumexp);
  // Keys by rows; values by columns, the words of a column being neighbouring keys.
  __local uint key_tile[KEY_TILE * KEY_ROW];
  __local uint value_tile[HEAD_BLOCKS * MMA_N * VALUE_ROW] __attribute__((aligned(16)));
  MMA_LOCAL(ATTENTION_WARPS);
  const int item = get_local_id(0), lane = item % MMA_WARP, g = lane / 4, t = lane % 4;
  const int tiles = (queries + QUERY_TILE - 1) / QUERY_TILE;
  const int tile = get_group_id(0) % tiles, h = get_group_id(0) / tiles % heads, b = get_group_id(0) / tiles / heads;
  const int bk = b / kv_group;
  // This lane's rows of C are `upper` and `lower`.
  const int upper = tile * QUERY_TILE + item / MMA_WARP * MMA_M + g, lower = upper + 8;
  const int upper_keys = keys_visible(keys, prefix, upper + 1), lower_keys = keys_visible(keys, prefix, lower + 1);

  uint4 q[HEAD_STEPS];
#pragma unroll
  for (int step = 0; step < HEAD_STEPS; ++step) {
    __global const float *x = QUERY_ROWS(query, b, h, upper), *y = QUERY_ROWS(query, b, h, lower);
    const int word = step * MMA_WORDS + t;
    q[step] = (uint4)(
        head_word(x, word, upper < queries), head_word(y, word, lower < queries),
        head_word(x, word + 4, upper < queries), head_word(y, word + 4, lower < queries));
  }
  float4 sum[HEAD_BLOCKS];
#pragma unroll
  for (int d = 0; d < HEAD_BLOCKS; ++d) sum[d] = (float4)(0.0f);
  // Of the upper and the lower row: the largest score so far, and the sum of this lane's weights relative to it.
  float2 high = (float2)(-INFINITY), total = (float2)(0.0f);

  const int visible = keys_visible(keys, prefix, min(queries, (tile + 1) * QUERY_TILE));
  for (int start = 0; start < visible; start += KEY_TILE) {
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = item; e < KEY_TILE * HEAD_WORDS; e += ATTENTION_ITEMS) {
      const int j = e / HEAD_WORDS, word = e % HEAD_WORDS;
      key_tile[j * KEY_ROW + word] = head_word(KEY_ROWS(key, bk, h, start + j), word, start + j < keys);
    }
    // A warp takes four neighbouring words of eight neighbouring columns: other banks for each lane.
    for (int e = item; e < HEAD_BLOCKS * MMA_N * KEY_WORDS; e += ATTENTION_ITEMS) {
      const int column = e / 8 / KEY_WORDS * 8 + e % 8, word = e / 8 % KEY_WORDS, j = start + word * MMA_PACK;
      const float first = j < keys && column < HEAD_DIM ? VALUE_ROWS(value, bk, h, j)[column] : 0.0f;
#ifdef MMA_BF16
      const float second = j + 1 < keys && column < HEAD_DIM ? VALUE_ROWS(value, bk, h, j + 1)[column] : 0.0f;
      value_tile[column * VALUE_ROW + word] = mma_word_bf16(first, second);
#else
      value_tile[column * VALUE_ROW + word] = mma_word_tf32(first);
#endif
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    float4 score[KEY_BLOCKS];
    float2 top = high;
    MMA_UNROLL
    for (int j = 0; j < KEY_BLOCKS; ++j) {
      float4 s = (float4)(0.0f);
      MMA_UNROLL
      for (int step = 0; step < HEAD_STEPS; ++step) {
        __local const uint *at = key_tile + (j * MMA_N + g) * KEY_ROW + step * MMA_WORDS + t;
        s = mma(q[step], ((uint2)(at[0], at[4])), s);
      }
      const int first = start + j * MMA_N + 2 * t;
      s *= scale;
      s.x = first < upper_keys ? s.x : -INFINITY;
      s.y = first + 1 < upper_keys ? s.y : -INFINITY;
      s.z = first < lower_keys ? s.z : -INFINITY;
      s.w = first + 1 < lower_keys ? s.w : -INFINITY;
      top = fmax(top, fmax(s.xz, s.yw));
      score[j] = s;
    }
    // Every query sees the first key, so that `top` is finite from the first tile on.
    top.x = mma_row_max(top.x);
    top.y = mma_row_max(top.y);
    const float4 change = exp_lanes((high - top).xxyy);
    high = top;
    total *= change.xz;
#pragma unroll
    for (int d = 0; d < HEAD_BLOCKS; ++d) sum[d] *= change;
#pragma unroll
    for (int j = 0; j < KEY_BLOCKS; ++j) {
      score[j] = exp_lanes(score[j] - top.xxyy);
      total += score[j].xz + score[j].yw;
    }

    // The scores of a row become a row of A where they are. In bf16 the layouts of C and A agree. In tf32 a lane holds the
    // weights of keys 2t and 2t + 1 where A wants t and t + 4: the keys of a product change places, in B as well.
    MMA_UNROLL
    for (int step = 0; step < KEY_WORDS / MMA_WORDS; ++step) {
#ifdef MMA_BF16
      const float4 x = score[2 * step], y = score[2 * step + 1];
      const uint4 weight = (uint4)(
          mma_word_bf16(x.x, x.y), mma_word_bf16(x.z, x.w), mma_word_bf16(y.x, y.y), mma_word_bf16(y.z, y.w));
#else
      const float4 x = score[step];
      const uint4 weight = (uint4)(mma_word_tf32(x.x), mma_word_tf32(x.z), mma_word_tf32(x.y), mma_word_tf32(x.w));
#endif
      MMA_UNROLL
      for (int d = 0; d < HEAD_BLOCKS; ++d) {
        __local const uint *at = value_tile + (d * MMA_N + g) * VALUE_ROW + step * MMA_WORDS;
#ifdef MMA_BF16
        const uint2 column = (uint2)(at[t], at[t + 4]);
#else
        const uint2 column = *(__local const uint2 *)(at + 2 * t);
#endif
        sum[d] = mma(weight, column, sum[d]);
      }
    }
  }

  total.x = mma_row_sum(total.x);
  total.y = mma_row_sum(total.y);
  const float4 part = 1.0f / total.xxyy;
#pragma unroll
  for (int d = 0; d < HEAD_BLOCKS; ++d) {
    const int column = d * MMA_N + 2 * t;
    const float4 y = sum[d] * part;
    if (upper < queries && column < HEAD_DIM) OUT_ROWS(out, b, h, upper)[column] = y.x;
    if (upper < queries && column + 1 < HEAD_DIM) OUT_ROWS(out, b, h, upper)[column + 1] = y.y;
    if (lower < queries && column < HEAD_DIM) OUT_ROWS(out, b, h, lower)[column] = y.z;
    if (lower < queries && column + 1 < HEAD_DIM) OUT_ROWS(out, b, h, lower)[column + 1] = y.w;
  }
  if (t == 0) {
    const float4 row = high.xxyy + log_lanes(total.xxyy);
    if (upper < queries) *HEAD_ROWS(logsumexp, b, h, upper) = row.x;
    if (lower < queries) *HEAD_ROWS(logsumexp, b, h, lower) = row.z;
  }
}

#endif
