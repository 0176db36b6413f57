// transpose_lanes: a square of LANES vectors, transposed by log2(LANES) perfect shuffles. Unrolled, so that it stays in registers.
#ifndef TRANSPOSE_LANES_CL
#define TRANSPOSE_LANES_CL
#include "team.cl"

static inline __attribute__((always_inline)) void transpose_lanes(floatL *a) {
  floatL b[LANES];
#pragma unroll
  for (int stage = 1; stage < LANES; stage *= 2) {
#pragma unroll
    for (int i = 0; i < LANES / 2; ++i) {
      b[2 * i].even = a[i].lo;
      b[2 * i].odd = a[i + LANES / 2].lo;
      b[2 * i + 1].even = a[i].hi;
      b[2 * i + 1].odd = a[i + LANES / 2].hi;
    }
#pragma unroll
    for (int i = 0; i < LANES; ++i) a[i] = b[i];
  }
}
#endif
