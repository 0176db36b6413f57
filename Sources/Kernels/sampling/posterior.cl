// posterior: a draw from the Gaussian that an autoencoder's encoder describes.
//
//   z = factor (mean + exp(clamp(log_variance, -30, 20) / 2) eps)
//
// moments [batch, 2, n]: an image's n means, then its n log-variances; eps and z [batch, n].
// Traffic: 16 batch n bytes; about 25 FLOPs an element. z may be eps.
#include "row_groups.cl"
#include "math.cl"

// The order of the clamp keeps NaN a NaN.
static inline floatL posterior_deviation(floatL log_variance) {
  log_variance = log_variance < -30.0f ? (floatL)(-30.0f) : log_variance;
  log_variance = log_variance > 20.0f ? (floatL)(20.0f) : log_variance;
  return exp_lanes(0.5f * log_variance);
}

TEAM_KERNEL void posterior_forward(IN(float, moments), IN(float, eps), OUT(float, z), const int batch, const int n,
                                const float factor) {
  USE_IN(float, moments);
  USE_IN(float, eps);
  USE_OUT(float, z);
  SHARE_FOR(b, batch) {
    __global const float *mean = moments + (size_t)b * 2 * n;
    TEAM_FOR(i, n) {
      const floatL deviation = posterior_deviation(lanes_load(mean + n, i, n));
      const floatL draw = deviation * lanes_load(eps + (size_t)b * n, i, n) + lanes_load(mean, i, n);
      lanes_store(z + (size_t)b * n, i, n, factor * draw);
    }
  }
}

// dmoments [batch, 2, n] = factor dz (1, deviation eps / 2), 0 for a log-variance beyond the clamp. Traffic: 24 batch n bytes.
TEAM_KERNEL void posterior_backward(IN(float, moments), IN(float, eps), IN(float, dz), OUT(float, dmoments), const int batch,
                                 const int n, const float factor) {
  USE_IN(float, moments);
  USE_IN(float, eps);
  USE_IN(float, dz);
  USE_OUT(float, dmoments);
  SHARE_FOR(b, batch) {
    const size_t at = (size_t)b * 2 * n, from = (size_t)b * n;
    TEAM_FOR(i, n) {
      const floatL log_variance = lanes_load(moments + at + n, i, n);
      const floatL gradient = factor * lanes_load(dz + from, i, n);
      const floatL slope = 0.5f * gradient * posterior_deviation(log_variance) * lanes_load(eps + from, i, n);
      lanes_store(dmoments + at, i, n, gradient);
      lanes_store(dmoments + at + n, i, n, fabs(log_variance + 5.0f) > 25.0f ? (floatL)(0.0f) : slope);
    }
  }
}
