// philox: counter-based random numbers (Philox4x32-10, Salmon et al. 2011).
//
// The key is the seed mixed with a stream (the node that draws), the counter is (block of elements, step). A value
// depends on (seed, stream, step, element) alone: not on LANES, the team shape or the device. `clock` is a tensor of four
// uints {seed lo, seed hi, step lo, step hi}, so a replay of the same launches draws new numbers each step.
#ifndef PHILOX_CL
#define PHILOX_CL
#include "flat.cl"
#include "math.cl"

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u
#define ulongL TEAM_PASTE(ulong, LANES)
#define convert_uintL TEAM_PASTE(convert_uint, LANES)
#define convert_ulongL TEAM_PASTE(convert_ulong, LANES)

static inline uint4 philox4x32(uint4 counter, uint2 key) {
  for (int round = 0; round < 10; ++round) {
    ulong p0 = (ulong)counter.x * PHILOX_M0;
    ulong p1 = (ulong)counter.z * PHILOX_M1;
    counter = (uint4)((uint)(p1 >> 32) ^ counter.y ^ key.x, (uint)p1, (uint)(p0 >> 32) ^ counter.w ^ key.y, (uint)p0);
    key += (uint2)(PHILOX_W0, PHILOX_W1);
  }
  return counter;
}

// Streams are small consecutive numbers: the multipliers spread them over the key, so that seeds close to each other
// with streams close to each other do not meet.
static inline uint2 philox_key(uint4 clock, int stream) {
  return (uint2)(clock.x ^ ((uint)stream * 0x85EBCA6Bu), clock.y ^ ((uint)stream * 0xC2B2AE35u));
}

static inline uint4 philox_block(uint4 clock, int stream, ulong block) {
  return philox4x32((uint4)((uint)block, (uint)(block >> 32), clock.z, clock.w), philox_key(clock, stream));
}

static inline uint4 clock_load(__global const uint *clock) {
  return (uint4)(clock[0], clock[1], clock[2], clock[3]);
}

// Philox of LANES counters (a, b, c, d) at once, in place.
static inline void philox_vectors(uintL *a, uintL *b, uintL *c, uintL *d, uint2 key) {
  for (int round = 0; round < 10; ++round) {
    ulongL p0 = convert_ulongL(*a) * (ulong)PHILOX_M0;
    ulongL p1 = convert_ulongL(*c) * (ulong)PHILOX_M1;
    *a = convert_uintL(p1 >> (ulong)32) ^ *b ^ key.x;
    *b = convert_uintL(p1);
    *c = convert_uintL(p0 >> (ulong)32) ^ *d ^ key.y;
    *d = convert_uintL(p0);
    key += (uint2)(PHILOX_W0, PHILOX_W1);
  }
}

// Philox over LANES consecutive blocks from `block` (a multiple of LANES); word w of block `block + lane` is w[lane].
static inline void philox_lanes(uint4 clock, int stream, ulong block, uintL *w0, uintL *w1, uintL *w2, uintL *w3) {
  *w0 = as_uintL(LANE_INDEX) + (uint)block;
  *w1 = (uintL)((uint)(block >> 32));
  *w2 = (uintL)(clock.z);
  *w3 = (uintL)(clock.w);
  philox_vectors(w0, w1, w2, w3, philox_key(clock, stream));
}

// Dropout spends 16 bits on an element, so one block serves the 8 elements from 8 * block on. p is thereby rounded to a
// multiple of 2^-16 (0.1 becomes 0.100006).
static inline uint dropout_threshold(float probability) {
  return (uint)rint(clamp(probability, 0.0f, 1.0f) * 65536.0f);
}

#if LANES == 16
// Two blocks at once. All four products of a round are one vector multiplication of 32-bit values in 64-bit lanes:
// a = (c0, c2) of both blocks, b = (c1, c3).
static inline uint8 dropout_words(uint4 clock, int stream, ulong block) {
  uint2 key = philox_key(clock, stream);
  ulong4 a = (ulong4)((uint)block, clock.z, (uint)(block + 1), clock.z);
  ulong4 b = (ulong4)((uint)(block >> 32), clock.w, (uint)((block + 1) >> 32), clock.w);
  const ulong4 multiplier = (ulong4)(PHILOX_M0, PHILOX_M1, PHILOX_M0, PHILOX_M1);
  for (int round = 0; round < 10; ++round) {
    ulong4 product = ((a & 0xFFFFFFFFul) * multiplier).yxwz;
    a = (product >> 32ul) ^ b ^ (ulong4)(key.x, key.y, key.x, key.y);
    b = product & 0xFFFFFFFFul;
    key += (uint2)(PHILOX_W0, PHILOX_W1);
  }
  return (uint8)((uint)a.x, (uint)b.x, (uint)a.y, (uint)b.y, (uint)a.z, (uint)b.z, (uint)a.w, (uint)b.w);
}
#endif

// Factors 0 or 1/(1-p) of the LANES elements from `element` on, a multiple of LANES: rows have a stride in the element
// numbering that is one (nothing is stored, so the gaps cost nothing).
static inline floatL dropout_lanes(uint4 clock, int stream, ulong element, float probability) {
  uint threshold = dropout_threshold(probability);
  float kept = threshold < 65536u ? 1.0f / (1.0f - probability) : 0.0f;
#if LANES == 16
  const uintL bits = convert_uint16(as_ushort16(dropout_words(clock, stream, element >> 3)));
#elif LANES == 8
  const uintL bits = convert_uint8(as_ushort8(philox_block(clock, stream, element >> 3)));
#else
  const uint4 w = philox_block(clock, stream, element >> 3);
  const int high = (element & 4) != 0;
  const uintL bits = convert_uint4(as_ushort4((uint2)(high ? w.z : w.x, high ? w.w : w.y)));
#endif
  return select((floatL)(0.0f), (floatL)(kept), bits >= (uintL)(threshold));
}

// sin and cos of pi/2 * x for |x| <= 1/2 (Taylor; error below 1e-7).
static inline void random_sincos(floatL x, floatL *s, floatL *c) {
  floatL t = x * x;
  *s = x * (1.57079633f + t * (-0.645964098f + t * (0.0796926262f + t * (-0.00468175414f + t * 0.000160441185f))));
  *c = 1.0f + t * (-1.23370055f + t * (0.253669508f + t * (-0.0208634807f + t * 0.000919260274f)));
}

// Two standard normals from two words (Box-Muller): r = sqrt(-2 ln u), angle 2 pi v. The angle is split into a quadrant
// and a remainder in integers, which leaves nothing to round.
static inline void random_box_muller(uintL u, uintL v, floatL *first, floatL *second) {
  floatL radius = sqrt(-2.0f * log_lanes(fma(convert_floatL(u), (floatL)(0x1.0p-32f), (floatL)(0x1.0p-33f))));
  uintL quadrant = (v + 0x20000000u) >> 30u;
  floatL s, c;
  random_sincos(convert_floatL(as_intL(v - (quadrant << 30u))) * 0x1.0p-30f, &s, &c);
  intL odd = (quadrant & 1u) != 0u;
  floatL x = select(c, s, odd), y = select(s, c, odd);
  *first = radius * select(x, -x, ((quadrant + 1u) & 2u) != 0u);
  *second = radius * select(y, -y, (quadrant & 2u) != 0u);
}

// One standard normal from two words: sqrt(-2 ln((u + 1) / 2^32)) cos(2 pi v / 2^32). Near 1 the logarithm's argument is taken
// as its distance from 1, which the words hold exactly and a float would not.
static inline floatL random_normal_of(uintL u, uintL v) {
  const floatL from_one = convert_floatL(~u) * 0x1.0p-32f, whole = (convert_floatL(u) + 1.0f) * 0x1.0p-32f;
  // ln(1 - t) of small t, by 1 - t as it is rounded: its error, which is exact, over it is what the logarithm lacks.
  const floatL rounded = 1.0f - from_one;
  const floatL near = log_lanes(rounded) + ((1.0f - rounded) - from_one) / rounded;
  const floatL radius = sqrt(-2.0f * (u >= (uintL)(0x80000000u) ? near : log_lanes(whole)));
  const uintL quadrant = (v + 0x20000000u) >> 30u;
  floatL s, c;
  random_sincos(convert_floatL(as_intL(v - (quadrant << 30u))) * 0x1.0p-30f, &s, &c);
  const floatL x = (quadrant & 1u) != 0u ? s : c;
  return radius * (((quadrant + 1u) & 2u) != 0u ? -x : x);
}

// LANES numbers of the noise of an image, from element `first` on: standard normal, or uniform in [0, 1) in multiples of 2^-24.
// Of the counter (element, image, label, draw) under the key `seed`; a lane may be of another image than its neighbour.
static inline floatL noise_lanes(uint2 seed, uintL element, uintL image, uintL label, uint draw, int is_uniform) {
  uintL d = (uintL)(draw);
  philox_vectors(&element, &image, &label, &d, seed);
  return is_uniform ? convert_floatL(element >> 8u) * 0x1.0p-24f : random_normal_of(element, image);
}

#endif
