// guidance: classifier-free guidance of a batch whose first half has its label and whose second half has none.
#include "flat.cl"

// y[r, i] = u + cfg[r] (c - u) with c = x[0, r, i], u = x[1, r, i].  x [2, rows, width] -> y [rows, width].
// Traffic: 12 rows width bytes; 3 rows width FLOPs.
TEAM_KERNEL void guidance_forward(IN(float, x), IN(float, cfg), OUT(float, y), const int rows, const int width) {
  USE_IN(float, x);
  USE_IN(float, cfg);
  USE_OUT(float, y);
  __global const float *without = x + (size_t)rows * width;
  ROW_RUNS(row, first, last, rows, width, {
    const float strength = cfg[row];
    const size_t at = row * width;
    for (int i = first; i < last; i += LANES) {
      const floatL conditional = lanes_load(x + at, i, width), unconditional = lanes_load(without + at, i, width);
      lanes_store(y + at, i, width, unconditional + strength * (conditional - unconditional));
    }
  })
}
