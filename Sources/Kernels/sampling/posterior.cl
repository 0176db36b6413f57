// posterior: a draw from the Gaussian that an autoencoder's encoder describes.
//
//   z = factor (mean + exp(clamp(log_variance, -30, 20) / 2) eps)
//
// moments [batch, 2, n]: an image's n means, then its n log-variances; eps and z [batch, n].
// Traffic: 16 batch n bytes; about 25 FLOPs an element. z may be eps.
#include "row_groups.cl"
#include "math.cl"

TEAM_KERNEL void posterior_forward(IN(float, moments), IN(float, eps), OUT(float, z), const int batch, const int n,
                                const float factor) {
  USE_IN(float, moments);
  USE_IN(float, eps);
  USE_OUT(float, z);
  SHARE_FOR(b, batch) {
    __global const float *mean = moments + (size_t)b * 2 * n;
    TEAM_FOR(i, n) {
      // The order of the clamp keeps NaN a NaN.
      floatL log_variance = lanes_load(mean + n, i, n);
      log_variance = log_variance < -30.0f ? (floatL)(-30.0f) : log_variance;
      log_variance = log_variance > 20.0f ? (floatL)(20.0f) : log_variance;
      const floatL deviation = exp_lanes(0.5f * log_variance);
      const floatL draw = deviation * lanes_load(eps + (size_t)b * n, i, n) + lanes_load(mean, i, n);
      lanes_store(z + (size_t)b * n, i, n, factor * draw);
    }
  }
}
