// swiglu: y = silu(a) b, x = [a | b].
//
// x [rows, 2 n], y [rows, n]; dx has x's shape. da = dy b silu'(a), db = dy silu(a).
#ifndef SWIGLU_CL
#define SWIGLU_CL
#include "math.cl"
#include "row_groups.cl"

// Traffic: 12 rows n bytes; about 20 rows n FLOPs.
TEAM_KERNEL void swiglu_forward(IN(float, x), OUT(float, y), const int rows, const int n) {
  USE_IN(float, x);
  USE_OUT(float, y);
  SHARE_FOR(row, rows) {
    __global const float *a = x + (size_t)row * 2 * n;
    TEAM_FOR(i, n)
    lanes_store(y + (size_t)row * n, i, n, silu_lanes(lanes_load(a, i, n)) * lanes_load(a + n, i, n));
  }
}

// Traffic: 20 rows n bytes; about 30 rows n FLOPs. dx may be x.
TEAM_KERNEL void swiglu_backward(IN(float, dy), IN(float, x), OUT(float, dx), const int rows, const int n) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_OUT(float, dx);
  SHARE_FOR(row, rows) {
    __global const float *a = x + (size_t)row * 2 * n;
    __global float *da = dx + (size_t)row * 2 * n;
    TEAM_FOR(i, n) {
      const floatL gradient = lanes_load(dy + (size_t)row * n, i, n), v = lanes_load(a, i, n);
      const floatL other = lanes_load(a + n, i, n);
      lanes_store(da, i, n, gradient * other * silu_derivative_lanes(v));
      lanes_store(da + n, i, n, gradient * silu_lanes(v));
    }
  }
}
#endif
