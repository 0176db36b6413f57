// rms_norm: rows divided by their root mean square, then multiplied by a weight where there is one (`weighted` not 0).
//
//   rstd = 1 / sqrt(mean(x^2) + epsilon);   z = x rstd;   y = z weight
//   g    = dy weight;   dx = rstd (g - z mean(g z));   dweight = sum over the rows of dy z
//
// x, y, dy, dx [rows, n]; rstd [rows]; weight [n]. Any tensor may stand for a weight that there is not.
#ifndef RMS_NORM_CL
#define RMS_NORM_CL
#include "row_groups.cl"

// Traffic: 8 rows n bytes (the row is read twice, the second time from the cache); 3 rows n FLOPs, 4 with a weight. y may be x.
TEAM_KERNEL void rms_norm_forward(IN(float, x), IN(float, weight), OUT(float, y), OUT(float, rstd), const int rows, const int n,
                               const float epsilon, const int weighted) {
  TEAM_LOCAL;
  USE_IN(float, x);
  USE_IN(float, weight);
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
    TEAM_FOR(i, n) {
      const floatL z = lanes_load(x + at, i, n) * inverse;
      lanes_store(y + at, i, n, weighted ? z * lanes_load(weight, i, n) : z);
    }
  }
}

// dx, and dweight_rows [rows, n] = dy z, whose sum over the rows is dweight, where there is a weight; else any tensor may stand
// for it. Traffic: 12 rows n bytes (dy and x are read twice, the second time from the cache), 16 with a weight; 6 rows n FLOPs,
// 9 with a weight. dx may be dy or x.
TEAM_KERNEL void rms_norm_backward(IN(float, dy), IN(float, x), IN(float, rstd), IN(float, weight), OUT(float, dx),
                                OUT(float, dweight_rows), const int rows, const int n, const int weighted) {
  TEAM_LOCAL;
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, rstd);
  USE_IN(float, weight);
  USE_OUT(float, dx);
  USE_OUT(float, dweight_rows);
  SHARE_FOR(row, rows) {
    const size_t at = (size_t)row * n;
    const float inverse = rstd[row];
    floatL product = (floatL)(0.0f);
    TEAM_FOR(i, n) {
      const floatL g = lanes_load(dy + at, i, n) * lanes_load(x + at, i, n);
      product += weighted ? g * lanes_load(weight, i, n) : g;
    }
    const float mean = team_sum(product) * inverse * inverse / (float)n;
    TEAM_FOR(i, n) {
      const floatL dv = lanes_load(dy + at, i, n), v = lanes_load(x + at, i, n);
      if (weighted) lanes_store(dweight_rows + at, i, n, dv * v * inverse);
      lanes_store(dx + at, i, n, ((weighted ? dv * lanes_load(weight, i, n) : dv) - v * mean) * inverse);
    }
  }
}
#endif
