#include "team.cl"

// What the device's multiply-adds reach in registers: independent chains hide the latency of one. Twelve, a factor and a term
// fit the sixteen vector registers of AVX2; a chain in memory would be timed for its loads and stores.
// y [1] is written if a sum is NaN, which none is: the compiler cannot know. Traffic: none;
// 2 * MULTIPLY_ADD_CHAINS * LANES * rounds operations an item.
#define MULTIPLY_ADD_CHAINS 12
TEAM_KERNEL void multiply_add(OUT(float, y), const int rounds) {
  USE_OUT(float, y);
  floatL sum[MULTIPLY_ADD_CHAINS];
#pragma unroll
  for (int c = 0; c < MULTIPLY_ADD_CHAINS; ++c) sum[c] = (floatL)(1e-3f * (float)(get_global_id(0) + c));
  const floatL factor = (floatL)(0.999f), term = (floatL)(1e-3f);
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int c = 0; c < MULTIPLY_ADD_CHAINS; ++c) sum[c] = sum[c] * factor + term;
  }
  floatL total = sum[0];
#pragma unroll
  for (int c = 1; c < MULTIPLY_ADD_CHAINS; ++c) total += sum[c];
  const float value = lanes_sum(total);
  if (value != value) y[0] = value;
}
