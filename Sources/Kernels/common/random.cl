// random: tensors of random numbers (philox.cl), and dropout.
#ifndef RANDOM_CL
#define RANDOM_CL
#include "flat.cl"
#include "philox.cl"

// Elements of random_uniform and random_normal come in tiles of 64: word w of block 16 * tile + lane is element
// 64 * tile + 16 * w + lane. Stores are then contiguous whatever LANES is.
#define RANDOM_TILES(q, n) ITEM_FOR(q, (((size_t)(n) + 63) / 64) * (16 / LANES))
static inline void random_store(__global float *y, ulong block, int word, int n, floatL v) {
  size_t i = (block >> 4) * 64 + word * 16 + (block & 15);
  if (i < (size_t)n) lanes_store(y + i, 0, (int)min((size_t)LANES, (size_t)n - i), v);
}

// y[i] uniform in [0, 1), multiples of 2^-24. [n] written: 4n bytes.
TEAM_KERNEL void random_uniform(IN(uint, clock), OUT(float, y), int stream, int n) {
  USE_IN(uint, clock);
  USE_OUT(float, y);
  uint4 now = clock_load(clock);
  RANDOM_TILES(q, n) {
    uintL w[4];
    ulong block = (ulong)q * LANES;
    philox_lanes(now, stream, block, &w[0], &w[1], &w[2], &w[3]);
    for (int k = 0; k < 4; ++k) random_store(y, block, k, n, convert_floatL(w[k] >> 8u) * 0x1.0p-24f);
  }
}

// y[i] a whole number of 0 ..< limit, each as often: the high half of a word times the limit. [n] written: 4n bytes.
TEAM_KERNEL void random_whole(IN(uint, clock), OUT(float, y), int stream, int n, int limit) {
  USE_IN(uint, clock);
  USE_OUT(float, y);
  uint4 now = clock_load(clock);
  RANDOM_TILES(q, n) {
    uintL w[4];
    ulong block = (ulong)q * LANES;
    philox_lanes(now, stream, block, &w[0], &w[1], &w[2], &w[3]);
    for (int k = 0; k < 4; ++k) random_store(y, block, k, n, convert_floatL(mul_hi(w[k], (uintL)((uint)limit))));
  }
}

// y[i] ~ N(0, 1). [n] written: 4n bytes, about 60 integer and 30 float operations an element.
TEAM_KERNEL void random_normal(IN(uint, clock), OUT(float, y), int stream, int n) {
  USE_IN(uint, clock);
  USE_OUT(float, y);
  uint4 now = clock_load(clock);
  RANDOM_TILES(q, n) {
    uintL w[4];
    floatL z[4];
    ulong block = (ulong)q * LANES;
    philox_lanes(now, stream, block, &w[0], &w[1], &w[2], &w[3]);
    random_box_muller(w[0], w[1], &z[0], &z[1]);
    random_box_muller(w[2], w[3], &z[2], &z[3]);
    for (int k = 0; k < 4; ++k) random_store(y, block, k, n, z[k]);
  }
}

// y[l, i, e] ~ N(0, 1), or uniform in [0, 1) in multiples of 2^-24 with `is_uniform`: the noise of element e of image image[0] + i
// of labels[l] in round round[0], of the counter (e, image, label, stream + round) under key {seed lo, seed hi}. So it does not
// depend on what else is drawn.
// labels [rows / images] -> y [rows, size]: 4 rows size bytes, about 100 integer and 60 float operations an element.
TEAM_KERNEL void random_noise(IN(uint, key), IN(int, labels), IN(uint, image), IN(uint, round), OUT(float, y), int stream,
                           int rows, int images, int size, int is_uniform) {
  USE_IN(uint, key);
  USE_IN(int, labels);
  USE_IN(uint, image);
  USE_IN(uint, round);
  USE_OUT(float, y);
  const uint2 seed = (uint2)(key[0], key[1]);
  const uint draw = (uint)stream + (round[0] & 0xFFFFu), begin = image[0];
  ROW_RUNS(row, first, last, rows, size, {
    const uint label = (uint)labels[(int)row / images], number = begin + (uint)((int)row % images);
    for (int i = first; i < last; i += LANES) {
      lanes_store(y + row * size, i, last,
                  noise_lanes(seed, as_uintL(LANE_INDEX) + (uint)i, (uintL)(number), (uintL)(label), draw, is_uniform));
    }
  })
}

// y[i] = x[i] * m[i], m[i] = 0 with probability p, else 1/(1-p); the gradient is the same kernel on dy. Reads and writes
// [n]: 8n bytes. In place is fine.
TEAM_KERNEL void dropout_forward(IN(float, x), IN(uint, clock), OUT(float, y), int stream, int n, float probability) {
  USE_IN(float, x);
  USE_IN(uint, clock);
  USE_OUT(float, y);
  uint4 now = clock_load(clock);
  FLAT_FOR(i, n) {
    int left = FLAT_LEFT(i, n);
    lanes_store(y + i, 0, left, lanes_load(x + i, 0, left) * dropout_lanes(now, stream, i, probability));
  }
}

#endif
