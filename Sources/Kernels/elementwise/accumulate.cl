#include "flat.cl"

// sum = (restart[0] != 0 ? 0 : sum) + x, n elements. What a sum held before it began again does not matter, not even
// when it was not finite. Traffic: 12 n bytes.
TEAM_KERNEL void accumulate_forward(IN(float, x), OUT(float, sum), IN(float, restart), int n) {
  USE_IN(float, x);
  USE_OUT(float, sum);
  USE_IN(float, restart);
  int begins = restart[0] != 0.0f;
  FLAT_FOR(i, n) {
    int left = FLAT_LEFT(i, n);
    floatL before = begins ? (floatL)(0.0f) : lanes_load(sum + i, 0, left);
    lanes_store(sum + i, 0, left, before + lanes_load(x + i, 0, left));
  }
}
