// gaussian_divergence: KL divergence of Gaussians from the standard normal, summed over the values of an image.
//
//   divergence[b] = sum (mean^2 + exp(l) - 1 - l) / 2,   l = clamp(log_variance, -30, 20)
//
// moments [batch, 2, n]: an image's n means, then its n log-variances.
#include "row_groups.cl"
#include "math.cl"

// The order of the clamp keeps NaN a NaN.
static inline floatL clamped_lanes(floatL x) {
  x = x < -30.0f ? (floatL)(-30.0f) : x;
  return x > 20.0f ? (floatL)(20.0f) : x;
}

// Traffic: 8 batch n bytes; about 25 FLOPs a value.
TEAM_KERNEL void gaussian_divergence_forward(IN(float, moments), OUT(float, divergence), const int batch, const int n) {
  TEAM_LOCAL;
  USE_IN(float, moments);
  USE_OUT(float, divergence);
  TEAM_ROWS(b, batch) {
    __global const float *mean = moments + (size_t)b * 2 * n;
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, n) {
      const floatL m = lanes_load(mean, i, n), l = clamped_lanes(lanes_load(mean + n, i, n));
      // Lanes behind the end are those of a standard normal, and give 0.
      sum += m * m + (exp_lanes(l) - 1.0f - l);
    }
    const float total = team_sum(sum);
    if (TEAM_RANK == 0) divergence[b] = 0.5f * total;
  }
}

// dmoments [batch, 2, n] = ddivergence[b] (mean, (exp(l) - 1) / 2), 0 for a log-variance beyond the clamp.
// Traffic: 16 batch n bytes; about 25 FLOPs a value.
TEAM_KERNEL void gaussian_divergence_backward(IN(float, moments), IN(float, ddivergence), OUT(float, dmoments),
                                           const int batch, const int n) {
  USE_IN(float, moments);
  USE_IN(float, ddivergence);
  USE_OUT(float, dmoments);
  SHARE_FOR(b, batch) {
    const size_t at = (size_t)b * 2 * n;
    const float factor = ddivergence[b];
    TEAM_FOR(i, n) {
      const floatL l = lanes_load(moments + at + n, i, n);
      const floatL slope = 0.5f * (exp_lanes(clamped_lanes(l)) - 1.0f);
      lanes_store(dmoments + at, i, n, factor * lanes_load(moments + at, i, n));
      lanes_store(dmoments + at + n, i, n, factor * (fabs(l + 5.0f) > 25.0f ? (floatL)(0.0f) : slope));
    }
  }
}
