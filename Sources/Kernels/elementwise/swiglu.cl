// swiglu: y = silu(a) b, where a and b are halves of rows [a | b], or two tensors.
//
// a, b [rows, n] of rows that lie `stride` apart, y [rows, n]. da = dy b silu'(a), db = dy silu(a), as far apart as a and b.
#ifndef SWIGLU_CL
#define SWIGLU_CL
#include "math.cl"
#include "row_groups.cl"

// Traffic: 12 rows n bytes; about 20 rows n FLOPs.
TEAM_KERNEL void swiglu_forward(IN(float, a), IN(float, b), OUT(float, y), const int rows, const int n, const int stride) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, y);
  SHARE_FOR(row, rows) {
    const size_t at = (size_t)row * stride;
    TEAM_FOR(i, n)
    lanes_store(y + (size_t)row * n, i, n, silu_lanes(lanes_load(a + at, i, n)) * lanes_load(b + at, i, n));
  }
}

// Traffic: 20 rows n bytes; about 30 rows n FLOPs. da may be a, and db b.
TEAM_KERNEL void swiglu_backward(IN(float, dy), IN(float, a), IN(float, b), OUT(float, da), OUT(float, db), const int rows,
                              const int n, const int stride) {
  USE_IN(float, dy);
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, da);
  USE_OUT(float, db);
  SHARE_FOR(row, rows) {
    const size_t at = (size_t)row * stride;
    TEAM_FOR(i, n) {
      const floatL gradient = lanes_load(dy + (size_t)row * n, i, n), v = lanes_load(a + at, i, n);
      const floatL other = lanes_load(b + at, i, n);
      lanes_store(da + at, i, n, gradient * other * silu_derivative_lanes(v));
      lanes_store(db + at, i, n, gradient * silu_lanes(v));
    }
  }
}
#endif
