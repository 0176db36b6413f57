// cpu_attention_lanes: products of a tile of attention on a CPU.
//
// One work-item owns a block of queries, and a vector holds one value of LANES queries. Then softmax needs no
// reduction across lanes, and both products are vector times broadcast scalar with the accumulators in registers.
// "columns" below are such vectors: columns[d * QUERY_VECTORS + v] is column d of queries v * LANES + lane.
//
// -D QUERY_VECTORS (1 or 2)  vectors of queries an item owns: 1 where there are no more than LANES queries
#ifdef HEAD_DIM
#ifndef ATTENTION_LANES_CL
#define ATTENTION_LANES_CL

#define CHUNKS ((HEAD_DIM + LANES - 1) / LANES)
#ifndef QUERY_VECTORS
#define QUERY_VECTORS 2
#endif
#define QUERY_BLOCK (LANES * QUERY_VECTORS)
// Rows of keys, or columns of a head, that are accumulated at once: 8 x 2 vectors of 16 lanes fill AVX-512's registers.
#define UNROLL (LANES == 16 ? 8 : 4)
#define KEY_TILE 64
#define COLUMN_VECTORS (CHUNKS * LANES * QUERY_VECTORS)
#define FOR_VECTORS _Pragma("unroll") for (int v = 0; v < QUERY_VECTORS; ++v)

// 2^x for x <= 0, relative error below 2e-7; 0 below 2^-126, NaN stays NaN. The sum with 1.5 * 2^23 leaves the nearest
// integer in the low bits, from where it goes into the exponent.
INLINE floatL exp2_lanes(floatL x) {
  const floatL shifted = x + 12582912.0f;
  const floatL f = x - (shifted - 12582912.0f);
  floatL p = (floatL)(1.3333558146e-3f);
  p = fma(p, f, (floatL)(9.6181291076e-3f));
  p = fma(p, f, (floatL)(5.5504108665e-2f));
  p = fma(p, f, (floatL)(2.4022650696e-1f));
  p = fma(p, f, (floatL)(6.9314718056e-1f));
  p = fma(p, f, (floatL)(1.0f));
  const floatL y = as_floatL(as_intL(p) + (as_intL(shifted) << 23));
  return x < -126.0f ? (floatL)(0.0f) : y;
}

// Chunk c of a row of HEAD_DIM floats. Loops over chunks and vectors around a transposition stay loops: unrolled they are
// most of the program and take seconds to compile.
INLINE floatL chunk_load(__global const float *row, int c) {
  return HEAD_DIM % LANES ? lanes_load(row, c * LANES, HEAD_DIM) : vloadL(c, row);
}
INLINE void chunk_store(__global float *row, int c, floatL value) {
  if (HEAD_DIM % LANES)
    lanes_store(row, c * LANES, HEAD_DIM, value);
  else
    vstoreL(value, c, row);
}

// rows [count, HEAD_DIM] -> packed[row * CHUNKS + chunk], zero beyond both ends.
INLINE void pack_rows(__global const float *rows, size_t stride, int count, floatL *packed) {
  for (int row = 0; row < QUERY_VECTORS * LANES; ++row)
#pragma unroll
    for (int c = 0; c < CHUNKS; ++c)
      packed[row * CHUNKS + c] = row < count ? chunk_load(rows + row * stride, c) : (floatL)(0.0f);
}

INLINE void columns_of_packed(const floatL *packed, floatL *columns) {
#pragma unroll 1
  for (int v = 0; v < QUERY_VECTORS; ++v)
#pragma unroll 1
    for (int c = 0; c < CHUNKS; ++c) {
      floatL a[LANES];
#pragma unroll
      for (int i = 0; i < LANES; ++i) a[i] = packed[(v * LANES + i) * CHUNKS + c];
      transpose_lanes(a);
#pragma unroll
      for (int i = 0; i < LANES; ++i) columns[(c * LANES + i) * QUERY_VECTORS + v] = a[i];
    }
}

// Lanes past `count` repeat the last row.
INLINE void columns_of_rows(__global const float *rows, size_t stride, int count, floatL *columns) {
#pragma unroll 1
  for (int v = 0; v < QUERY_VECTORS; ++v)
#pragma unroll 1
    for (int c = 0; c < CHUNKS; ++c) {
      floatL a[LANES];
#pragma unroll
      for (int i = 0; i < LANES; ++i)
        a[i] = chunk_load(rows + min(v * LANES + i, count - 1) * stride, c);
      transpose_lanes(a);
#pragma unroll
      for (int i = 0; i < LANES; ++i) columns[(c * LANES + i) * QUERY_VECTORS + v] = a[i];
    }
}

INLINE void rows_of_columns(const floatL *columns, __global float *rows, size_t stride, int count) {
#pragma unroll 1
  for (int v = 0; v < QUERY_VECTORS; ++v)
#pragma unroll 1
    for (int c = 0; c < CHUNKS; ++c) {
      floatL a[LANES];
#pragma unroll
      for (int i = 0; i < LANES; ++i) a[i] = columns[(c * LANES + i) * QUERY_VECTORS + v];
      transpose_lanes(a);
#pragma unroll
      for (int i = 0; i < LANES; ++i)
        if (v * LANES + i < count) chunk_store(rows + (v * LANES + i) * stride, c, a[i]);
    }
}

// dots[j] = sum_d columns[d] * rows[j][d] for j < count, and garbage up to the next multiple of UNROLL.
INLINE void dot_rows(const floatL *columns, __global const float *rows, size_t stride, int count, floatL *dots) {
  for (int j = 0; j < count; j += UNROLL) {
    __global const float *row[UNROLL];
    floatL sum[UNROLL][QUERY_VECTORS];
#pragma unroll
    for (int i = 0; i < UNROLL; ++i) {
      row[i] = rows + min(j + i, count - 1) * stride;
      FOR_VECTORS sum[i][v] = (floatL)(0.0f);
    }
#pragma unroll 2
    for (int d = 0; d < HEAD_DIM; ++d)
#pragma unroll
      for (int i = 0; i < UNROLL; ++i) {
        const floatL factor = (floatL)(row[i][d]);
        FOR_VECTORS sum[i][v] = fma(columns[d * QUERY_VECTORS + v], factor, sum[i][v]);
      }
#pragma unroll
    for (int i = 0; i < UNROLL; ++i) FOR_VECTORS dots[(j + i) * QUERY_VECTORS + v] = sum[i][v];
  }
}

// columns[d] = columns[d] * keep + sum_{j < count} weights[j] * rows[j][d].
INLINE void add_weighted_rows(floatL *columns, const floatL *keep, const floatL *weights, __global const float *rows,
                              size_t stride, int count) {
#pragma unroll 1
  for (int d = 0; d < HEAD_DIM; d += UNROLL) {
    floatL sum[UNROLL][QUERY_VECTORS];
#pragma unroll
    for (int i = 0; i < UNROLL; ++i) FOR_VECTORS sum[i][v] = columns[(d + i) * QUERY_VECTORS + v] * keep[v];
    for (int j = 0; j < count; ++j) {
      __global const float *row = rows + j * stride;
#pragma unroll
      for (int i = 0; i < UNROLL; ++i) {
        const floatL factor = (floatL)(row[HEAD_DIM % UNROLL ? min(d + i, HEAD_DIM - 1) : d + i]);
        FOR_VECTORS sum[i][v] = fma(weights[j * QUERY_VECTORS + v], factor, sum[i][v]);
      }
    }
#pragma unroll
    for (int i = 0; i < UNROLL; ++i) FOR_VECTORS columns[(d + i) * QUERY_VECTORS + v] = sum[i][v];
  }
}

// rows[j][d] += sum_q weights[j][q] * packed[q][d] for `width` chunks of LANES columns from chunk `c` on.
INLINE void add_outer_chunks(__global float *rows, size_t stride, int count, const floatL *weights, const floatL *packed,
                             int c, const int width) {
  for (int j = 0; j < count; j += UNROLL) {
    const float *weight = (const float *)(weights + j * QUERY_VECTORS);
    floatL sum[UNROLL][2];
#pragma unroll
    for (int i = 0; i < UNROLL; ++i)
#pragma unroll
      for (int w = 0; w < width; ++w) sum[i][w] = (floatL)(0.0f);
#pragma unroll 2
    for (int q = 0; q < QUERY_VECTORS * LANES; ++q)
#pragma unroll
      for (int i = 0; i < UNROLL; ++i) {
        const floatL factor = (floatL)(weight[i * QUERY_VECTORS * LANES + q]);
#pragma unroll
        for (int w = 0; w < width; ++w) sum[i][w] = fma(packed[q * CHUNKS + c + w], factor, sum[i][w]);
      }
#pragma unroll
    for (int i = 0; i < UNROLL; ++i)
      if (j + i < count) {
        __global float *row = rows + (j + i) * stride;
#pragma unroll
        for (int w = 0; w < width; ++w)
          chunk_store(row, c + w, chunk_load(row, c + w) + sum[i][w]);
      }
  }
}

// rows[j] += sum_q weights[j][q] * packed[q] for j < count: the product that sums over the queries.
INLINE void add_outer(__global float *rows, size_t stride, int count, const floatL *weights, const floatL *packed) {
#pragma unroll 1
  for (int c = 0; c + 2 <= CHUNKS; c += 2) add_outer_chunks(rows, stride, count, weights, packed, c, 2);
  if (CHUNKS % 2) add_outer_chunks(rows, stride, count, weights, packed, CHUNKS - 1, 1);
}

INLINE void zero_rows(__global float *rows, size_t stride, int count) {
  for (int j = 0; j < count; ++j)
#pragma unroll
    for (int c = 0; c < CHUNKS; ++c) chunk_store(rows + j * stride, c, (floatL)(0.0f));
}

// weights[j] = -infinity in the lanes of queries that do not see key first_key + j; the first query stands at first_row.
INLINE void mask_keys(floatL *weights, int first_key, int count, int first_row, int prefix) {
  for (int j = max(0, mask_end(prefix, first_row) - first_key); j < count; ++j) {
    const int begin = mask_begin(prefix, first_key + j);
    FOR_VECTORS {
      const intL row = LANE_INDEX + (first_row + v * LANES);
      weights[j * QUERY_VECTORS + v] = select((floatL)(-INFINITY), weights[j * QUERY_VECTORS + v], row >= begin);
    }
  }
}

#if DROPOUT
// weights[j] = kept ? weights[j] * factor : 0 for keys first_key (a multiple of 8) on, queries from first_row on.
INLINE void drop_weights(floatL *weights, int count, ulong block, ulong block_stride, uint4 now, int stream,
                         float probability) {
  const uintL threshold = (uintL)(dropout_threshold(probability));
  const floatL factor = (floatL)(dropout_factor(probability));
  for (int j = 0; j < count; j += 8, block += block_stride)
    FOR_VECTORS {
      uintL words[4];
      philox_lanes(now, stream, block + v * LANES, &words[0], &words[1], &words[2], &words[3]);
      for (int i = 0; i < 8 && j + i < count; ++i) {
        const uintL bits = (i & 1) ? words[i / 2] >> 16u : words[i / 2] & 0xFFFFu;
        floatL *weight = weights + (j + i) * QUERY_VECTORS + v;
        *weight = select((floatL)(0.0f), *weight * factor, bits >= threshold);
      }
    }
}
#endif
#endif
#endif
