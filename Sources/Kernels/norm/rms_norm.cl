// rms_norm: rows divided by their root mean square, without parameters.
//
//   rstd = 1 / sqrt(mean(x^2) + epsilon);   y = x rstd
//   dx   = rstd (dy - y mean(dy y))
//
// x, y, dy, dx [rows, n]; rstd [rows].
#ifndef RMS_NORM_CL
#define RMS_NORM_CL
#include "row_groups.cl"

// Traffic: 8 rows n bytes (the row is read twice, the second time from the cache); 3 rows n FLOPs. y may be x.
TEAM_KERNEL void rms_norm_forward(IN(float, x), OUT(float, y), OUT(float, rstd), const int rows, const int n,
                               const float epsilon) {
  TEAM_LOCAL;
  USE_IN(float, x);
  USE_OUT(float, y);
  USE_OUT(float, rstd);
  SHARE_FOR(row, rows) {
    const size_t at = (size_t)row * n;
    floatL square = (floatL)(0.0f);
    TEAM_FOR(i, n) {
      const floatL v = lanes_load(x + at, i, n);
      square += v * v;
    }
    const float inverse = 1.0f / sqrt(team_sum(square) / (float)n + epsilon);
    if (TEAM_RANK == 0) rstd[row] = inverse;
    TEAM_FOR(i, n) lanes_store(y + at, i, n, lanes_load(x + at, i, n) * inverse);
  }
}

// Traffic: 12 rows n bytes (dy and x are read twice, the second time from the cache); 6 rows n FLOPs. dx may be dy or x.
TEAM_KERNEL void rms_norm_backward(IN(float, dy), IN(float, x), IN(float, rstd), OUT(float, dx), const int rows, const int n) {
  TEAM_LOCAL;
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, rstd);
  USE_OUT(float, dx);
  SHARE_FOR(row, rows) {
    const size_t at = (size_t)row * n;
    const float inverse = rstd[row];
    floatL product = (floatL)(0.0f);
    TEAM_FOR(i, n) product += lanes_load(dy + at, i, n) * lanes_load(x + at, i, n);
    const float mean = team_sum(product) * inverse * inverse / (float)n;
    TEAM_FOR(i, n)
    lanes_store(dx + at, i, n, (lanes_load(dy + at, i, n) - lanes_load(x + at, i, n) * mean) * inverse);
  }
}
#endif
