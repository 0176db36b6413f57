// softmax_entropy_shape: arguments and addresses that softmax_entropy.cl and its backward share.
#ifndef SOFTMAX_ENTROPY_SHAPE_CL
#define SOFTMAX_ENTROPY_SHAPE_CL
#include "attention_shape.cl"
#include "gpu_attention_tile.cl"

#define ENTROPY_SHAPE                                                                                                      \
  int batch, int heads, int buffer_length, int content, int ahead, int query_stride, int query_column, int key_stride,                \
      int key_column, int value_column, float scale
// Content columns that content row r sees: up to its own and `ahead` more.
#define SEEN(r) min(content, (r) + 1 + ahead)
#define SEQUENCE_ROWS(p, stride, column, b, h, row)                                                                        \
  (p + ((size_t)(b) * (buffer_length + content) + (row)) * stride + column + (h) * HEAD_DIM)
#define CONTENT_ROWS(p, b, h, row) (p + ((size_t)(b) * heads + (h)) * content + (row))
#define SLOPE(b, c, row) (slope + ((size_t)(b) * content + (c)) * content + (row))

#endif
