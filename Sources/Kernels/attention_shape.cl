// attention_shape: arguments, masks and dropout numbering that the attention kernels and the softmax entropy share.
//
// -D HEAD_DIM (any, made for 8...128)  columns of a head; without it the files of the family are empty
// -D DROPOUT (0 or 1)  dropout on the attention weights: kernels then take `clock, stream, probability` last
//
// Query [B, N, *], key and value [Bk, M, *] are rows in tensors of any width: row i of batch b starts at
// (b * N + i) * stride + column, head h has the HEAD_DIM columns from h * HEAD_DIM on. Packed qkv [B, N, 3 D] is the stride
// 3 D with columns 0, D, 2 D. Query batch b reads key batch b / kv_group.
//
// Every mask is a prefix: query i sees the keys below max(prefix, i + 1). No mask is prefix = M, causal is 0, and
// "K buffer rows see the buffer, content sees the buffer and content up to itself" is prefix = K.
#ifndef ATTENTION_SHAPE_CL
#define ATTENTION_SHAPE_CL
#include "team.cl"
#include "math.cl"
#ifdef HEAD_DIM
#if DROPOUT
#include "random.cl"
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
      int value_stride, int value_column, int kv_group, int prefix, float scale
// First row of head h for query batch b; the gradients have the shapes of what they belong to.
#define QUERY_ROWS(p, b, h, row) (p + ((size_t)(b) * queries + (row)) * query_stride + query_column + (h) * HEAD_DIM)
#define KEY_ROWS(p, bk, h, row) (p + ((size_t)(bk) * keys + (row)) * key_stride + key_column + (h) * HEAD_DIM)
#define VALUE_ROWS(p, bk, h, row) (p + ((size_t)(bk) * keys + (row)) * value_stride + value_column + (h) * HEAD_DIM)
#define OUT_ROWS(p, b, h, row) (p + (((size_t)(b) * queries + (row)) * heads + (h)) * HEAD_DIM)
#define HEAD_ROWS(p, b, h, row) (p + ((size_t)(b) * heads + (h)) * queries + (row))

#define LOG2_E 1.44269504089f
#define LN_2 0.69314718056f
#define INLINE static inline __attribute__((always_inline))

// Number of keys that queries below `row_end` see: the loops over keys stop there.
INLINE int keys_visible(int keys, int prefix, int row_end) { return min(keys, max(prefix, row_end)); }

#if DROPOUT
// Eight keys of a query share a Philox block; blocks are numbered [B, H, key / 8, query], queries padded to 16.
INLINE ulong dropout_block(int b, int heads, int h, int queries, int keys, int query, int key) {
  return (((ulong)b * heads + h) * ((keys + 7) / 8) + key / 8) * ((queries + 15) / 16 * 16) + query;
}
INLINE float dropout_factor(float probability) {
  return dropout_threshold(probability) < 65536u ? 1.0f / (1.0f - probability) : 0.0f;
}
#endif

#if !TEAM_GPU
#include "attention_lanes.cl"
#endif

#endif
#endif
