// cross_entropy: mean over rows of the negative log of the softmax at the row's label,
//   l[row] = log sum_c exp(x[row, c]) - x[row, label[row]].
// A row whose label is out of range adds nothing, and has no gradient.
#include "math.cl"
#include "row_groups.cl"

// x [rows, n], label [rows] -> normaliser [rows], log sum exp, which backward needs again, and l [rows].
// Traffic: 4 rows n bytes (the second reading comes from the cache); 22 rows n FLOPs.
TEAM_KERNEL void cross_entropy_rows(IN(float, x), IN(int, label), OUT(float, normaliser), OUT(float, row_loss),
                                 const int rows, const int n) {
  TEAM_LOCAL;
  USE_IN(float, x);
  USE_IN(int, label);
  USE_OUT(float, normaliser);
  USE_OUT(float, row_loss);
  SHARE_FOR(row, rows) {
    __global const float *x_row = x + (size_t)row * n;
    floatL top = (floatL)(-INFINITY);
    TEAM_FOR(i, n) top = fmax(top, lanes_load_or(x_row, i, n, -INFINITY));
    const float highest = team_max(top);
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, n) sum += exp_lanes(lanes_load_or(x_row, i, n, -INFINITY) - highest);
    const float total = highest + log(team_sum(sum));
    if (TEAM_RANK == 0) {
      const int c = label[row];
      normaliser[row] = total;
      row_loss[row] = c >= 0 && c < n ? total - x_row[c] : 0.0f;
    }
  }
}

// dx[row, c] = factor dloss[0] (exp(x[row, c] - normaliser[row]) - (c == label[row])), factor 1 / rows.
// Traffic: 8 rows n bytes; 22 rows n FLOPs. dx may be x.
TEAM_KERNEL void cross_entropy_backward(IN(float, x), IN(int, label), IN(float, normaliser), IN(float, dloss), OUT(float, dx),
                                     const int rows, const int n, const float factor) {
  USE_IN(float, x);
  USE_IN(int, label);
  USE_IN(float, normaliser);
  USE_IN(float, dloss);
  USE_OUT(float, dx);
  SHARE_FOR(row, rows) {
    const int c = label[row];
    const float scale = c >= 0 && c < n ? factor * dloss[0] : 0.0f;
    TEAM_FOR(i, n) {
      const floatL p = exp_lanes(lanes_load((x + (size_t)row * n), i, n) - normaliser[row]);
      lanes_store(dx + (size_t)row * n, i, n, scale * select(p, p - 1.0f, LANE_INDEX + i == c));
    }
  }
}
