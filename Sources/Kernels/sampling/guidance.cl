// guidance: classifier-free guidance of a batch whose first half has its label and whose second half has none.
#include "flat.cl"

// y[i] = u + cfg[0] (c - u) with c = x[i], u = x[n + i].  x [2, n] -> y [n]. Traffic: 12 n bytes; 3 n FLOPs.
TEAM_KERNEL void guidance_forward(IN(float, x), IN(float, cfg), OUT(float, y), const int n) {
  USE_IN(float, x);
  USE_IN(float, cfg);
  USE_OUT(float, y);
  const float strength = cfg[0];
  FLAT_FOR(i, n) {
    const int left = FLAT_LEFT(i, n);
    const floatL conditional = lanes_load(x + i, 0, left), unconditional = lanes_load(x + n + i, 0, left);
    lanes_store(y + i, 0, left, unconditional + strength * (conditional - unconditional));
  }
}
