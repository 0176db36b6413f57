// elementwise: multiples of tensors and periodic sums, all right in place.
#include "flat.cl"

// y = factor * x. Traffic: 8 n bytes.
TEAM_KERNEL void scale_forward(IN(float, x), OUT(float, y), int n, float factor) {
  USE_IN(float, x);
  USE_OUT(float, y);
  FLAT_FOR(i, n) {
    int left = FLAT_LEFT(i, n);
    lanes_store(y + i, 0, left, factor * lanes_load(x + i, 0, left));
  }
}

// y = (factor * by[0] + offset) * x: a factor that changes from step to step lives in the tensor `by` [1]
// (alpha: factor 1, offset 0; 1 - alpha: factor -1, offset 1). Traffic: 8 n bytes.
TEAM_KERNEL void scale_by_forward(IN(float, x), IN(float, by), OUT(float, y), int n, float factor, float offset) {
  USE_IN(float, x);
  USE_IN(float, by);
  USE_OUT(float, y);
  float f = fma(factor, by[0], offset);
  FLAT_FOR(i, n) {
    int left = FLAT_LEFT(i, n);
    lanes_store(y + i, 0, left, f * lanes_load(x + i, 0, left));
  }
}

// y = value. Traffic: 4 n bytes.
TEAM_KERNEL void fill_forward(OUT(float, y), int n, float value) {
  USE_OUT(float, y);
  FLAT_FOR(i, n) lanes_store(y + i, 0, FLAT_LEFT(i, n), (floatL)(value));
}

// y[r, j] = a[r, j] + b[j]: a [rows, period], b [period]. The gradient of a is an alias, that of b a sum over
// the rows. Traffic: 8 rows period + 4 period bytes.
TEAM_KERNEL void add_periodic_forward(IN(float, a), IN(float, b), OUT(float, y), int rows, int period) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, rows, period, {
    const size_t at = row * period;
    for (int j = first; j < last; j += LANES) lanes_store(y + at, j, last, lanes_load(a + at, j, last) + lanes_load(b, j, last));
  })
}
