// gpu_mma: the product of one warp, D[16, 8] = A[16, k] B[k, 8] + C, of bf16 (k = 16) or tf32 (k = 8) inputs with float sums.
//
// A warp is 32 neighbouring work-items of a one-dimensional work-group. A word holds two neighbouring k values as bf16,
// the first in its lower half, or one k value as tf32, so that eight words are one product's k in both types. Lane l of the
// warp, with g = l / 4 and t = l % 4, holds
//
//   A  uint4   word t of row g, word t of row g + 8, word t + 4 of row g, word t + 4 of row g + 8
//   B  uint2   word t of column g, word t + 4 of column g
//   C  float4  columns 2t and 2t + 1 of row g, columns 2t and 2t + 1 of row g + 8
//
// which is the layout of PTX's mma.sync m16n8k16 (bf16) and m16n8k8 (tf32).
//
// -D values: MMA_BF16 takes bf16, else tf32; MMA_PTX takes the instructions, and is set only where the compiler accepted
// them and `mma_check` gave the right numbers. Without it the lanes exchange their words through local memory: slow, the
// same arithmetic up to the order of sums, for any device.
#ifndef MMA_CL
#define MMA_CL

#define MMA_WARP 32
#define MMA_M 16
#define MMA_N 8
// Words of k in a product, and k values in a word.
#define MMA_WORDS 8
#ifdef MMA_BF16
#define MMA_PACK 2
#else
#define MMA_PACK 1
#endif

// x rounded to nearest, ties to even, with the lowest `dropped` bits cleared; NaN stays NaN.
static inline uint mma_round(float x, const int dropped) {
  const uint bits = as_uint(x), lost = (1u << dropped) - 1u;
  const uint rounded = bits + (lost >> 1) + ((bits >> dropped) & 1u);
  return (isnan(x) ? bits | 0x400000u : rounded) & ~lost;
}

// The word of two k values as bf16, and of one as tf32.
static inline uint mma_word_bf16(float first, float second) {
#ifdef MMA_PTX
  uint word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
  return word;
#else
  return mma_round(second, 16) | mma_round(first, 16) >> 16;
#endif
}
static inline uint mma_word_tf32(float value) { return mma_round(value, 13); }

// The word of this precision: bf16 takes both values, tf32, whose words hold one, the first.
#ifdef MMA_BF16
#define MMA_WORD_OF(first, second) mma_word_bf16(first, second)
#else
#define MMA_WORD_OF(first, second) mma_word_tf32(first)
#endif

// The words of four neighbouring k values, to an address of as many bytes.
static inline void mma_keep_words(__local uint *to, float4 v) {
#ifdef MMA_BF16
  *(__local uint2 *)to = (uint2)(mma_word_bf16(v.x, v.y), mma_word_bf16(v.z, v.w));
#else
  *(__local uint4 *)to = (uint4)(mma_word_tf32(v.x), mma_word_tf32(v.y), mma_word_tf32(v.z), mma_word_tf32(v.w));
#endif
}

#ifdef MMA_PTX

// Stands first in a kernel that calls mma(); `warps` is the number of warps in its work-group. A function that calls mma()
// takes MMA_TAKE last and is given MMA_PASS.
#define MMA_LOCAL(warps)
#define MMA_TAKE
#define MMA_PASS
#define MMA_UNROLL _Pragma("unroll")

static inline float4 mma(uint4 a, uint2 b, float4 c) {
  const uint a0 = a.x, a1 = a.y, a2 = a.z, a3 = a.w, b0 = b.x, b1 = b.y;
  float c0 = c.x, c1 = c.y, c2 = c.z, c3 = c.w;
#ifdef MMA_BF16
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
  return (float4)(c0, c1, c2, c3);
}

// Largest and sum of the values of the four lanes that share a row of C.
static inline float mma_other(float v, const int distance) {
  float other;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(other) : "f"(v), "r"(distance));
  return other;
}
static inline float mma_row_max(float v) {
  v = fmax(v, mma_other(v, 1));
  return fmax(v, mma_other(v, 2));
}
static inline float mma_row_sum(float v) {
  v += mma_other(v, 1);
  return v + mma_other(v, 2);
}

#else

// Words of A and B of one warp.
#define MMA_EXCHANGE ((MMA_M + MMA_N) * MMA_WORDS)
#define MMA_LOCAL(warps) __local uint mma_exchange[(warps) * MMA_EXCHANGE]
#define MMA_TAKE , __local uint *mma_exchange
#define MMA_PASS , mma_exchange
#define mma(a, b, c) mma_emulated(mma_exchange, a, b, c)
// Copies of an emulated product, with its barriers, would only make the program long.
#define MMA_UNROLL

static inline float mma_multiply(uint left, uint right, float sum) {
#ifdef MMA_BF16
  sum += as_float(left << 16) * as_float(right << 16);
  return sum + as_float(left & 0xffff0000u) * as_float(right & 0xffff0000u);
#else
  return sum + as_float(left) * as_float(right);
#endif
}

// Every work-item of the group must call it.
static inline float4 mma_emulated(__local uint *exchange, uint4 a, uint2 b, float4 c) {
  const int lane = get_local_id(0) % MMA_WARP, g = lane / 4, t = lane % 4;
  __local uint *left = exchange + get_local_id(0) / MMA_WARP * MMA_EXCHANGE;
  __local uint *right = left + MMA_M * MMA_WORDS;
  barrier(CLK_LOCAL_MEM_FENCE);
  vstore4(a, lane, left);
  vstore2(b, lane, right);
  barrier(CLK_LOCAL_MEM_FENCE);
  float4 sum = (float4)(0.0f);
  for (int word = 0; word < MMA_WORDS; ++word) {
    // The lane of row or column r that holds this word is 4 r + word % 4.
    const int rest = word % 4, part = word / 4;
    const uint upper = left[(4 * g + rest) * 4 + 2 * part], lower = left[(4 * g + rest) * 4 + 2 * part + 1];
    const uint first = right[(8 * t + rest) * 2 + part], second = right[(8 * t + 4 + rest) * 2 + part];
    sum.x = mma_multiply(upper, first, sum.x);
    sum.y = mma_multiply(upper, second, sum.y);
    sum.z = mma_multiply(lower, first, sum.z);
    sum.w = mma_multiply(lower, second, sum.w);
  }
  return c + sum;
}

static inline float4 mma_row_emulated(__local uint *exchange, float v) {
  barrier(CLK_LOCAL_MEM_FENCE);
  exchange[get_local_id(0)] = as_uint(v);
  barrier(CLK_LOCAL_MEM_FENCE);
  return as_float4(vload4(get_local_id(0) / 4, exchange));
}
static inline float mma_max_of(float4 v) { return fmax(fmax(v.x, v.y), fmax(v.z, v.w)); }
static inline float mma_sum_of(float4 v) { return (v.x + v.y) + (v.z + v.w); }
#define mma_row_max(v) mma_max_of(mma_row_emulated(mma_exchange, v))
#define mma_row_sum(v) mma_sum_of(mma_row_emulated(mma_exchange, v))

#endif

// What a device is asked before it is trusted with mma(): d[warp, 16, 8] = a[warp, 16, k] b[warp, k, 8] + c[warp, 16, 8],
// one work-group, one product for each of its warps, everything dense; and in rows[warp, lane, 2] the largest value and the sum
// of the lane's row g.
#define MMA_CHECK_WARPS 4
__kernel __attribute__((reqd_work_group_size(MMA_CHECK_WARPS * MMA_WARP, 1, 1))) void mma_check(
    __global const float *a, __global const float *b, __global const float *c, __global float *d, __global float *rows) {
  MMA_LOCAL(MMA_CHECK_WARPS);
  const int warp = get_local_id(0) / MMA_WARP, lane = get_local_id(0) % MMA_WARP, g = lane / 4, t = lane % 4;
  const int k = MMA_WORDS * MMA_PACK;
  a += warp * MMA_M * k;
  b += warp * MMA_N * k;
  c += warp * MMA_M * MMA_N;
  d += warp * MMA_M * MMA_N;
#define MMA_CHECK_A(row, word) \
  MMA_WORD_OF(a[(row) * k + (word) * MMA_PACK], a[(row) * k + (word) * MMA_PACK + MMA_PACK - 1])
#define MMA_CHECK_B(word) \
  MMA_WORD_OF(b[(word) * MMA_PACK * MMA_N + g], b[((word) * MMA_PACK + MMA_PACK - 1) * MMA_N + g])
  const uint4 left = (uint4)(MMA_CHECK_A(g, t), MMA_CHECK_A(g + 8, t), MMA_CHECK_A(g, t + 4), MMA_CHECK_A(g + 8, t + 4));
  const uint2 right = (uint2)(MMA_CHECK_B(t), MMA_CHECK_B(t + 4));
  const int upper = g * MMA_N + 2 * t, lower = upper + 8 * MMA_N;
  const float4 sum = mma(left, right, ((float4)(c[upper], c[upper + 1], c[lower], c[lower + 1])));
  d[upper] = sum.x;
  d[upper + 1] = sum.y;
  d[lower] = sum.z;
  d[lower + 1] = sum.w;
  rows[2 * get_local_id(0)] = mma_row_max(fmax(sum.x, sum.y));
  rows[2 * get_local_id(0) + 1] = mma_row_sum(sum.x + sum.y);
}

#endif
