// attention_wide: the softmax of attention whose heads are too wide for the fused kernels. A block of queries at a time, the
// scores are a matrix product, this kernel turns them into weights, and a second product takes the weighted sum of values.
#include "math.cl"
#include "row_groups.cl"

// scores[row] = softmax(scale * scores[row]) in place; scores [rows, n]. Traffic: 8 rows n bytes, the row's second and third
// pass from the cache; about 25 rows n FLOPs.
TEAM_KERNEL void attention_wide_softmax(OUT(float, scores), const int rows, const int n, const float scale) {
  USE_OUT(float, scores);
  TEAM_LOCAL;
  SHARE_FOR(row, rows) {
    __global float *values = scores + (size_t)row * n;
    floatL top = -INFINITY;
    TEAM_FOR(i, n) top = fmax(top, lanes_load_or(values, i, n, -INFINITY));
    const float high = team_max(top);
    floatL sum = 0.0f;
    TEAM_FOR(i, n) {
      const floatL e = exp_lanes(scale * (lanes_load_or(values, i, n, -INFINITY) - high));
      lanes_store(values, i, n, e);
      sum += lanes_keep(e, i, n, 0.0f);
    }
    const float inverse = 1.0f / team_sum(sum);
    TEAM_FOR(i, n) lanes_store(values, i, n, inverse * lanes_load(values, i, n));
  }
}
