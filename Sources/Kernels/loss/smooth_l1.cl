// smooth_l1: mean SmoothL1 (beta 1) of pred[b, r] against target[b, r + shift], r < R - shift:
//   l(d) = d^2 / 2 for |d| < 1, |d| - 1/2 otherwise,  d = pred - target.
// Of each image the first m = (R - shift) D values of pred meet m contiguous values of target.
#include "flat.cl"

// partial[b * parts + p] = sum of l over part p of image b; pred, target [B, R * D] -> partial [B * parts].
// Traffic: 8 B m bytes.
TEAM_KERNEL void smooth_l1_partial(IN(float, pred), IN(float, target), OUT(float, partial), int batch, int positions,
                                int width, int shift, int parts) {
  TEAM_LOCAL;
  USE_IN(float, pred);
  USE_IN(float, target);
  USE_OUT(float, partial);
  int m = (positions - shift) * width, length = (m + parts - 1) / parts;
  TEAM_ROWS(row, batch * parts) {
    int begin = row % parts * length, n = clamp(m - begin, 0, length);
    size_t at = (size_t)(row / parts) * positions * width + begin;
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, n) {
      floatL d = fabs(lanes_load(pred + at, i, n) - lanes_load(target + at + (size_t)shift * width, i, n));
      sum += select(d - 0.5f, 0.5f * d * d, d < 1.0f);
    }
    float total = team_sum(sum);
    if (TEAM_RANK == 0) partial[row] = total;
  }
}

// dpred = dloss[0] * factor * clamp(pred - target, -1, 1), zeros in the last `shift` positions. The target carries no
// gradient. Traffic: 12 B R D bytes.
TEAM_KERNEL void smooth_l1_backward(IN(float, pred), IN(float, target), IN(float, dloss), OUT(float, dpred), int batch,
                                 int positions, int width, int shift, float factor) {
  USE_IN(float, pred);
  USE_IN(float, target);
  USE_IN(float, dloss);
  USE_OUT(float, dpred);
  float f = dloss[0] * factor;
  TEAM_ROWS(row, batch * positions) {
    size_t at = (size_t)row * width;
    if (row % positions + shift < positions) {
      TEAM_FOR(i, width) {
        floatL d = lanes_load(pred + at, i, width) - lanes_load(target + at + (size_t)shift * width, i, width);
        // min and max drop NaN; a comparison keeps it.
        d = select(select(d, (floatL)(1.0f), d > 1.0f), (floatL)(-1.0f), d < -1.0f);
        lanes_store(dpred + at, i, width, f * d);
      }
    } else {
      TEAM_FOR(i, width) lanes_store(dpred + at, i, width, (floatL)(0.0f));
    }
  }
}
