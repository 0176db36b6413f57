#include "flat.cl"

// y = a + b, n elements. Traffic: 12 n bytes.
TEAM_KERNEL void add_forward(IN(float, a), IN(float, b), OUT(float, y), const int n) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, y);
  FLAT_FOR(i, n) {
    const int left = FLAT_LEFT(i, n);
    lanes_store(y + i, 0, left, lanes_load(a + i, 0, left) + lanes_load(b + i, 0, left));
  }
}
