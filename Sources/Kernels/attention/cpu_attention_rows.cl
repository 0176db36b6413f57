// cpu_attention_rows: products of a whole head of attention on a CPU, of QUERIES queries and KEYS keys.
//
// Vectors hold a value of LANES queries, as in cpu_attention_lanes.cl, or LANES columns of a row. A product that sums over
// queries or keys takes its scalars from weights [KEYS, QUERY_BLOCK] in L1 and its vectors from rows, and ends in rows.
//
// -D QUERIES, KEYS             at most 32; HEAD_DIM is a multiple of LANES
// -D HEADS, KV_SHARED          heads of a row; 1 where several query batches share the keys of one (kv_group of them)
// -D QUERY_STRIDE, KEY_STRIDE  floats from row to row of the query, and of both key and value
#if defined(KEYS) && !TEAM_GPU
#ifndef ATTENTION_ROWS_CL
#define ATTENTION_ROWS_CL

#define SHORT_SHAPE                                                                                                        \
  int batch, int query_column, int key_column, int value_column, int prefix, int position, float scale, int kv_group
// The names that the macros of attention_shape.cl take.
#define USE_SHORT_SHAPE                                                                                                    \
  const int heads = HEADS, queries = QUERIES, keys = KEYS, query_stride = QUERY_STRIDE, key_stride = KEY_STRIDE,           \
            value_stride = KEY_STRIDE
#define OUT_STRIDE (HEADS * HEAD_DIM)
#define DROP_STRIDE ((QUERIES + 15) / 16 * 16)

#define FOR_KEYS(first) _Pragma("unroll") for (int j = first; j < KEYS; ++j)
// Consecutive units for each team, `unit`_end after the last: heads that lie side by side in memory follow each other.
#define TEAM_RANGE(unit, units)                                                                                            \
  for (int unit = (int)((long)(units) * TEAM_INDEX / TEAM_COUNT),                                                          \
           unit##_end = (int)((long)(units) * (TEAM_INDEX + 1) / TEAM_COUNT);                                              \
       unit < unit##_end; ++unit)

// Asks for the rows of a head ahead of their use: rows are far apart, and a head is over before the hardware has seen how
// far.
#define FETCH_ROWS(p, rows, stride)                                                                                        \
  _Pragma("unroll") for (int i = 0; i < rows; ++i)                                                                         \
      _Pragma("unroll") for (int d = 0; d < HEAD_DIM; d += 16) PREFETCH((p) + i * stride + d)

// Sums that are accumulated at once beside their operands: half of the registers.
#define ROW_SUMS (LANES == 16 ? 16 : 8)
// Rows at once when `n` rows are split evenly into blocks of at most `limit`: a short last block would wait for its sums.
#define ROW_BLOCKS(n, limit) (((n) + (limit) - 1) / (limit))
#define BLOCK_ROWS(n, limit) (((n) + ROW_BLOCKS(n, limit) - 1) / ROW_BLOCKS(n, limit))

// dots[j] = sum_d columns[d] * rows[j][d], for DOT_ROWS rows at once.
#define DOT_ROWS BLOCK_ROWS(KEYS, ROW_SUMS / QUERY_VECTORS)
INLINE void dot_block(const floatL *columns, __global const float *rows, const int count, floatL *dots) {
  floatL sum[DOT_ROWS][QUERY_VECTORS];
#pragma unroll
  for (int i = 0; i < count; ++i) FOR_VECTORS sum[i][v] = (floatL)(0.0f);
#pragma unroll 4
  for (int d = 0; d < HEAD_DIM; ++d)
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const floatL factor = (floatL)(rows[i * KEY_STRIDE + d]);
      FOR_VECTORS sum[i][v] = fma(columns[d * QUERY_VECTORS + v], factor, sum[i][v]);
    }
#pragma unroll
  for (int i = 0; i < count; ++i) FOR_VECTORS dots[i * QUERY_VECTORS + v] = sum[i][v];
}
INLINE void dot_keys(const floatL *columns, __global const float *rows, floatL *dots) {
  const int left = KEYS % DOT_ROWS;
#pragma unroll 1
  for (int j = 0; j < KEYS - left; j += DOT_ROWS)
    dot_block(columns, rows + j * KEY_STRIDE, DOT_ROWS, dots + j * QUERY_VECTORS);
  if (left) dot_block(columns, rows + (KEYS - left) * KEY_STRIDE, left, dots + (KEYS - left) * QUERY_VECTORS);
}

// out[r] = sum_{t < terms} weights[t * term_step + r * row_step] * rows[t] for r < count, added to `out` if `add`.
#define SUM_ROWS (ROW_SUMS / CHUNKS > 0 ? ROW_SUMS / CHUNKS : 1)
INLINE void sum_block(const float *weights, const int term_step, const int row_step, const int terms,
                      __global const float *rows, const int stride, __global float *out, const int out_stride,
                      const int count, const int add) {
  floatL sum[SUM_ROWS][CHUNKS];
#pragma unroll
  for (int r = 0; r < count; ++r)
#pragma unroll
    for (int c = 0; c < CHUNKS; ++c) sum[r][c] = add ? LOAD_PACKED(out + r * out_stride + c * LANES) : (floatL)(0.0f);
#pragma unroll 2
  for (int t = 0; t < terms; ++t)
#pragma unroll
    for (int r = 0; r < count; ++r) {
      const floatL factor = (floatL)(weights[t * term_step + r * row_step]);
#pragma unroll
      for (int c = 0; c < CHUNKS; ++c)
        sum[r][c] = fma(factor, LOAD_PACKED(rows + t * stride + c * LANES), sum[r][c]);
    }
#pragma unroll
  for (int r = 0; r < count; ++r)
#pragma unroll
    for (int c = 0; c < CHUNKS; ++c) STORE_PACKED(sum[r][c], out + r * out_stride + c * LANES);
}
INLINE void sum_rows(const float *weights, const int term_step, const int row_step, const int terms,
                     __global const float *rows, const int stride, __global float *out, const int out_stride,
                     const int count, const int add) {
  const int block = BLOCK_ROWS(count, SUM_ROWS), left = count % block, whole = count - left;
#pragma unroll 1
  for (int r = 0; r < whole; r += block)
    sum_block(weights + r * row_step, term_step, row_step, terms, rows, stride, out + r * out_stride, out_stride, block,
              add);
  if (left)
    sum_block(weights + whole * row_step, term_step, row_step, terms, rows, stride, out + whole * out_stride, out_stride,
              left, add);
}

// out[i] = sum_j weights[j][i] * rows[j].
INLINE void sum_over_keys(const floatL *weights, __global const float *rows, __global float *out, const int out_stride) {
  sum_rows((const float *)weights, QUERY_BLOCK, 1, KEYS, rows, KEY_STRIDE, out, out_stride, QUERIES, 0);
}
// out[j] = sum_i weights[j][i] * rows[i], added up over the query batches of the keys.
INLINE void sum_over_queries(const floatL *weights, __global const float *rows, const int stride, __global float *out) {
  sum_rows((const float *)weights, 1, QUERY_BLOCK, QUERIES, rows, stride, out, KEY_STRIDE, KEYS, KV_SHARED);
}
#endif
#endif
