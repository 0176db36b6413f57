#include "flat.cl"

// y = x, n elements. Traffic: 8 n bytes.
TEAM_KERNEL void copy_forward(IN(float, x), OUT(float, y), const int n) {
  USE_IN(float, x);
  USE_OUT(float, y);
  FLAT_FOR(i, n) {
    const int left = FLAT_LEFT(i, n);
    lanes_store(y + i, 0, left, lanes_load(x + i, 0, left));
  }
}
