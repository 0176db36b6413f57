// attention_shape: arguments, masks and dropout numbering that the attention kernels and the softmax entropy share.
//
// -D HEAD_DIM (any, made for 8...128)  columns of a head; without it the files of the family are empty
// -D DROPOUT (0 or 1)  dropout on the attention weights: kernels then take `clock, stream, probability` last
//
// Query [B, N, *], key and value [Bk, M, *] are rows in tensors of any width: row i of batch b starts at
// (b * N + i) * stride + column, head h has the HEAD_DIM columns from h * HEAD_DIM on. Packed qkv [B, N, 3 D] is the stride
// 3 D with columns 0, D, 2 D. Query batch b reads key batch b / kv_group.
//
// -D MASK_BLOCK (1 where it is left out)  positions that see one another
//
// A mask is a prefix and blocks behind it. Query i stands at q = position + i and sees the keys below `prefix`, where q < prefix;
// else those below prefix + ((q - prefix) / MASK_BLOCK + 1) * MASK_BLOCK: all of its own block and of those before it. No mask
// is prefix = M, causal is 0 with blocks of 1, "K buffer rows see the buffer, content sees the buffer and content up to itself"
// is K with blocks of 1. The block is no argument: the division by it would stand in the innermost loops.
#ifndef ATTENTION_SHAPE_CL
#define ATTENTION_SHAPE_CL
#include "team.cl"
#include "math.cl"
#include "transpose_lanes.cl"
#ifdef HEAD_DIM
#if DROPOUT
#include "philox.cl"
#define DROPOUT_ARGUMENTS , IN(uint, clock), int stream, float probability
#define USE_DROPOUT USE_IN(uint, clock); const uint4 now = clock_load(clock)
#define PASS_DROPOUT , now, stream, probability
#define TAKE_DROPOUT , uint4 now, int stream, float probability
#else
#define DROPOUT_ARGUMENTS
#define USE_DROPOUT
#define PASS_DROPOUT
#define TAKE_DROPOUT
#endif

#define ATTENTION_SHAPE                                                                                                    \
  int batch, int heads, int queries, int keys, int query_stride, int query_column, int key_stride, int key_column,         \
      int value_stride, int value_column, int kv_group, int prefix, int position, float scale
// First row of head h for query batch b; the gradients have the shapes of what they belong to.
#define QUERY_ROWS(p, b, h, row) (p + ((size_t)(b) * queries + (row)) * query_stride + query_column + (h) * HEAD_DIM)
#define KEY_ROWS(p, bk, h, row) (p + ((size_t)(bk) * keys + (row)) * key_stride + key_column + (h) * HEAD_DIM)
#define VALUE_ROWS(p, bk, h, row) (p + ((size_t)(bk) * keys + (row)) * value_stride + value_column + (h) * HEAD_DIM)
#define OUT_ROWS(p, b, h, row) (p + (((size_t)(b) * queries + (row)) * heads + (h)) * HEAD_DIM)
#define HEAD_ROWS(p, b, h, row) (p + ((size_t)(b) * heads + (h)) * queries + (row))

#define LOG2_E 1.44269504089f
#define LN_2 0.69314718056f
#define INLINE static inline __attribute__((always_inline))
// The least weight of a column in an entropy, and -1e-8 log 1e-8, what a column at it adds to the sum.
#define FLOOR 1e-8f
#define FLOOR_ENTROPY 1.842068e-7f

#ifndef MASK_BLOCK
#define MASK_BLOCK 1
#endif
// Where the keys end that a query at position q sees, maybe past the last key; it grows with q.
INLINE int mask_end(int prefix, int q) {
  return prefix + (max(q + 1 - prefix, 0) + MASK_BLOCK - 1) / MASK_BLOCK * MASK_BLOCK;
}
// Number of keys that queries below position `q_end` see: the loops over keys stop there.
INLINE int keys_visible(int keys, int prefix, int q_end) { return min(keys, mask_end(prefix, q_end - 1)); }
// Position of the first query that sees a key behind the prefix: where its block begins.
INLINE int mask_begin(int prefix, int key) { return prefix + (key - prefix) / MASK_BLOCK * MASK_BLOCK; }

#if DROPOUT
// Eight keys of a query share a Philox block; blocks are numbered [B, H, key / 8, query], queries padded to 16.
INLINE ulong dropout_block(int b, int heads, int h, int queries, int keys, int query, int key) {
  return (((ulong)b * heads + h) * ((keys + 7) / 8) + key / 8) * ((queries + 15) / 16 * 16) + query;
}
INLINE float dropout_factor(float probability) {
  return dropout_threshold(probability) < 65536u ? 1.0f / (1.0f - probability) : 0.0f;
}

#if TEAM_GPU
// Bit i: the weight of key 8 g + i is kept, g the group of eight keys that `key` (a multiple of 8) begins.
INLINE uint kept_bits(int b, int heads, int h, int queries, int keys, int query, int key, uint4 now, int stream,
                      uint threshold) {
  const ushort8 halves = as_ushort8(philox_block(now, stream, dropout_block(b, heads, h, queries, keys, query, key)));
  return (halves.s0 >= threshold) | (halves.s1 >= threshold) << 1 | (halves.s2 >= threshold) << 2 |
         (halves.s3 >= threshold) << 3 | (halves.s4 >= threshold) << 4 | (halves.s5 >= threshold) << 5 |
         (halves.s6 >= threshold) << 6 | (halves.s7 >= threshold) << 7;
}

// bits[group * size + query]: kept_bits of query first_query + query and the keys from first_key + 8 group on, for all items of
// the team. The barrier stands here although callers have one before they read: across the next loop's, PoCL 3.1 mixes up the
// work-items of the kernels with heads of 8 columns.
INLINE void draw_kept(__local uchar *bits, int b, int heads, int h, int queries, int keys, int first_query, const int size,
                      int first_key, const int groups, uint4 now, int stream, uint threshold) {
  for (int e = get_local_id(0); e < size * groups; e += get_local_size(0))
    bits[e] =
        kept_bits(b, heads, h, queries, keys, first_query + e % size, first_key + e / size * 8, now, stream, threshold);
  barrier(CLK_LOCAL_MEM_FENCE);
}
#endif
#endif

#if TEAM_GPU
// Four columns at `p`, `left` of which belong to the head. Tensors begin at multiples of 16 bytes, and so do then the rows of
// heads of 4 n columns: one aligned load, which vload4 is not everywhere.
INLINE float4 load_quad(__global const float *p, int left) {
#if HEAD_DIM % 4 == 0
  return left > 0 ? *(__global const float4 *)p : (float4)(0.0f);
#else
  return (float4)(left > 0 ? p[0] : 0.0f, left > 1 ? p[1] : 0.0f, left > 2 ? p[2] : 0.0f, left > 3 ? p[3] : 0.0f);
#endif
}
#else
#include "cpu_attention_lanes.cl"
#endif

#endif
#endif
