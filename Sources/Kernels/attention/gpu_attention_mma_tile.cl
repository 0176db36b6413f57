// gpu_attention_mma_tile: rows of a head as operands of mma (gpu_mma.cl), for gpu_attention_mma.cl and its backward.
//
// A warp owns 16 rows of one side of a head, queries, or keys in the gradient of keys: the rows of A and C. The work-group
// walks the other side in tiles of TILE_ROWS rows. Of the warp's rows lane (g, t) holds g and g + 8, `upper` and `lower`, and
// in a product with eight rows of the tile the columns 2t and 2t + 1 of C, hence of a float4 upper, upper, lower, lower.
//
// A tile is stored once, its words along the head, and is B in both kinds of products:
//
//   add_dots      own rows . tile rows: a column of B is a row of the tile.
//   add_weighted  weights . tile: a column of B is a column of the tile, and k are its rows. Weights become an A where they
//                 are, in the lanes that calculated them as a C: in bf16 the two layouts agree; in tf32 a lane holds the
//                 weights of rows 2t and 2t + 1 where A wants t and t + 4, so the rows of a product change places, in B as
//                 well. Of 16 columns of the head the even ones are one product, the odd ones another: one word of bf16
//                 then serves both, and a lane ends with the four neighbouring columns from 4t on.
//
// Banks: TILE_ROW is an odd multiple of 4. Eight rows of a tile, four words of each, then lie in 32 different banks, and so
// do eight words (in tf32: pairs of words, half a warp at a time) of rows 0, 2, 4 and 6.
//
// -D values: those of gpu_mma.cl and attention_shape.cl, ATTENTION_WARPS (1...4).
#ifndef ATTENTION_MMA_TILE_CL
#define ATTENTION_MMA_TILE_CL
#include "attention_shape.cl"
#include "gpu_mma.cl"

#if defined(HEAD_DIM) && TEAM_GPU

#ifndef ATTENTION_WARPS
#define ATTENTION_WARPS 4
#endif
#define ATTENTION_ITEMS (ATTENTION_WARPS * MMA_WARP)
#define OWN_ROWS (ATTENTION_WARPS * MMA_M)
#define TILE_ROWS 32
#define TILE_BLOCKS (TILE_ROWS / MMA_N)
// Rows of the tile that add_weighted takes.
#define WEIGHTED_ROWS (MMA_WORDS * MMA_PACK)
// Products along a head, and its columns in sixteens.
#define HEAD_STEPS ((HEAD_DIM + MMA_WORDS * MMA_PACK - 1) / (MMA_WORDS * MMA_PACK))
#define HEAD_PAIRS ((HEAD_DIM + 15) / 16)
#define TILE_ROW (HEAD_PAIRS * 16 / MMA_PACK + 4)
// A tile in local memory. Dropout of own rows and a tile: a byte for eight keys.
#define LOCAL_TILE(name) __local uint name[TILE_ROWS * TILE_ROW] __attribute__((aligned(16)))
#define LOCAL_KEPT(name) __local uchar name[OWN_ROWS * TILE_ROWS / 8]

#define FOR_BLOCKS(j, blocks) _Pragma("unroll") for (int j = 0; j < (blocks); ++j)

// This item's place in a product.
#define LANE (get_local_id(0) % MMA_WARP)
#define LANE_G ((int)(LANE / 4))
#define LANE_T ((int)(LANE % 4))
#define WARP_ROW ((int)(get_local_id(0) / MMA_WARP * MMA_M))

// The two rows of a tensor that an item owns, where they exist.
typedef struct {
  __global const float *upper, *lower;
  int has_upper, has_lower;
} OwnRows;

// Rows `row` and `row + 8` of those from `first` on, of which there are `count`.
INLINE OwnRows own_rows(__global const float *first, int stride, int row, int count) {
  OwnRows rows = {first + (size_t)row * stride, first + (size_t)(row + 8) * stride, row < count, row + 8 < count};
  return rows;
}

// Word `word` of a row; zero beyond the head's columns, and where there is no such row.
INLINE uint head_word(__global const float *row, int word, int is_there) {
  const int column = word * MMA_PACK;
  const float first = is_there && column < HEAD_DIM ? row[column] : 0.0f;
  return MMA_WORD_OF(first, (is_there && column + 1 < HEAD_DIM ? row[column + 1] : 0.0f));
}

// The A of a step along the head.
INLINE uint4 own_words(OwnRows rows, int step) {
  const int word = step * MMA_WORDS + LANE_T;
  return (uint4)(head_word(rows.upper, word, rows.has_upper), head_word(rows.lower, word, rows.has_lower),
                 head_word(rows.upper, word + 4, rows.has_upper), head_word(rows.lower, word + 4, rows.has_lower));
}
INLINE void load_own(uint4 words[HEAD_STEPS], OwnRows rows) {
  FOR_BLOCKS(step, HEAD_STEPS) words[step] = own_words(rows, step);
}

// Rounded rows of the tile: the first `count` from `rows` on, zeros for others. Four items read 64 bytes of a row, so that what
// an item reads lies at a fixed distance.
INLINE void load_tile(__local uint *tile, __global const float *rows, int stride, int count) {
  const int column = get_local_id(0) % 4 * 4;
  for (int row = get_local_id(0) / 4; row < TILE_ROWS; row += ATTENTION_ITEMS / 4) {
    __global const float *from = rows + (row * stride + column);
    __local uint *to = tile + row * TILE_ROW + column / MMA_PACK;
    const int columns = row < count ? HEAD_DIM - column : 0;
#pragma unroll
    for (int pair = 0; pair < HEAD_PAIRS; ++pair)
      mma_keep_words(to + pair * 16 / MMA_PACK, load_quad(from + pair * 16, columns - pair * 16));
  }
}

// dots[j] += own rows . rows 8 j ... 8 j + 7 from `tile` on, a step along the head.
INLINE void add_dots_of(uint4 own, int step, float4 *dots, const int blocks, __local const uint *tile MMA_TAKE) {
  MMA_UNROLL
  for (int j = 0; j < blocks; ++j) {
    __local const uint *at = tile + (j * MMA_N + LANE_G) * TILE_ROW + step * MMA_WORDS + LANE_T;
    dots[j] = mma(own, ((uint2)(at[0], at[4])), dots[j]);
  }
}

// All steps. `words` are those of `rows`; where they do not stay in registers they are read again, not many at a time.
INLINE void add_dots(float4 *dots, const int blocks, const uint4 *words, const int words_stay, OwnRows rows,
                     __local const uint *tile MMA_TAKE) {
  if (words_stay) {
    MMA_UNROLL
    for (int step = 0; step < HEAD_STEPS; ++step) add_dots_of(words[step], step, dots, blocks, tile MMA_PASS);
  } else {
#pragma unroll 2
    for (int step = 0; step < HEAD_STEPS; ++step) add_dots_of(own_words(rows, step), step, dots, blocks, tile MMA_PASS);
  }
}

// The weights of WEIGHTED_ROWS rows of the tile as an A.
INLINE uint4 weight_words(const float4 *weights) {
  const float4 x = weights[0];
#ifdef MMA_BF16
  const float4 y = weights[1];
  return (uint4)(mma_word_bf16(x.x, x.y), mma_word_bf16(x.z, x.w), mma_word_bf16(y.x, y.y), mma_word_bf16(y.z, y.w));
#else
  return (uint4)(mma_word_tf32(x.x), mma_word_tf32(x.z), mma_word_tf32(x.y), mma_word_tf32(x.w));
#endif
}

// sums += weights . the WEIGHTED_ROWS rows from `tile` on, two C for each 16 columns of the head: even columns, odd ones.
INLINE void add_weighted(float4 sums[2 * HEAD_PAIRS], const float4 *weights, __local const uint *tile MMA_TAKE) {
  const uint4 left = weight_words(weights);
  tile += 2 * LANE_T * TILE_ROW + 2 / MMA_PACK * LANE_G;
  MMA_UNROLL
  for (int pair = 0; pair < HEAD_PAIRS; ++pair) {
    __local const uint *at = tile + pair * 16 / MMA_PACK;
#ifdef MMA_BF16
    const uint2 x = (uint2)(at[0], at[8 * TILE_ROW]), y = (uint2)(at[TILE_ROW], at[9 * TILE_ROW]);
    const uint2 even = (x & 0xffffu) | y << 16u, odd = x >> 16u | (y & 0xffff0000u);
#else
    const uint2 x = *(__local const uint2 *)at, y = *(__local const uint2 *)(at + TILE_ROW);
    const uint2 even = (uint2)(x.x, y.x), odd = (uint2)(x.y, y.y);
#endif
    sums[2 * pair] = mma(left, even, sums[2 * pair]);
    sums[2 * pair + 1] = mma(left, odd, sums[2 * pair + 1]);
  }
}

// Four columns to `p`, `left` of which belong to the head; as load_quad.
INLINE void store_quad(__global float *p, int left, float4 v) {
#if HEAD_DIM % 4 == 0
  if (left > 0) *(__global float4 *)p = v;
#else
  if (left > 0) p[0] = v.x;
  if (left > 1) p[1] = v.y;
  if (left > 2) p[2] = v.z;
  if (left > 3) p[3] = v.w;
#endif
}

// sums * factor to the rows `row` and `row + 8` of those from `first` on, of which there are `count`.
INLINE void store_sums(__global float *first, int stride, int row, int count, const float4 sums[2 * HEAD_PAIRS],
                       float4 factor) {
  FOR_BLOCKS(pair, HEAD_PAIRS) {
    const int column = pair * 16 + 4 * LANE_T, left = HEAD_DIM - column;
    const float4 even = sums[2 * pair] * factor, odd = sums[2 * pair + 1] * factor;
    __global float *to = first + ((size_t)row * stride + column);
    store_quad(to, row < count ? left : 0, (float4)(even.x, odd.x, even.y, odd.y));
    store_quad(to + (size_t)8 * stride, row + 8 < count ? left : 0, (float4)(even.z, odd.z, even.w, odd.w));
  }
}

// Scores as exponents of 2 where the query sees the key, -infinity elsewhere.
INLINE float4 visible_scores(float4 dots, float exponent_scale, int4 key, int4 visible) {
  return key < visible ? dots * exponent_scale : (float4)(-INFINITY);
}

#if DROPOUT
// Factors of weights from a bit of each of `bits`.
INLINE float4 kept_factors(uint4 bits, uint4 place, float kept_factor) {
  return (bits >> place & 1u) != 0u ? (float4)(kept_factor) : (float4)(0.0f);
}
// Of this item's two queries and the keys 2t and 2t + 1 of eight, from the bytes of the warp's queries.
INLINE float4 kept_keys(__local const uchar *kept, float kept_factor) {
  const uint upper = kept[LANE_G], lower = kept[LANE_G + 8], place = 2 * LANE_T;
  return kept_factors((uint4)(upper, upper, lower, lower), (uint4)(place, place + 1, place, place + 1), kept_factor);
}
#endif
#endif
#endif
