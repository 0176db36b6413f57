// prior: the start point of the decoder, x0 = token + sigma(E) eps, with
//   sigma(E) = sigma_max (exp(E / tau) - 1) / (exp(e_max / tau) - 1),  E clamped to [0, e_max].
// A label's row of token and E serves its `group` images. A token has few channels: rows go to work-items.
#include "flat.cl"
#include "math.cl"

// The factor before exp((E - e_max) / tau) - exp(-e_max / tau), the same for all rows. That is sigma without exp(e_max / tau), which a
// small tau makes infinite.
static inline float prior_factor(float sigma_max, float tau, float e_max) { return -sigma_max / expm1(-e_max / tau); }

// One value of exp_lanes: the built-in exp is a slow call on some CPU devices.
static inline float prior_exp(float x) { return exp_lanes((floatL)(x)).s0; }

static inline float prior_sigma(float e, float factor, float tau, float e_max) {
  // The order of the clamp keeps NaN a NaN: a broken entropy must show in the loss.
  float clamped = e < 0.0f ? 0.0f : (e > e_max ? e_max : e);
  return factor * (prior_exp((clamped - e_max) / tau) - prior_exp(-e_max / tau));
}

// sigma'(E), zero outside [0, e_max].
static inline float prior_sigma_slope(float e, float factor, float tau, float e_max) {
  return e < 0.0f || e > e_max ? 0.0f : factor * prior_exp((e - e_max) / tau) / tau;
}

// y = sigma(E), n elements. Traffic: 8 n bytes.
TEAM_KERNEL void sigma_forward(IN(float, entropy), OUT(float, y), int n, float sigma_max, float tau, float e_max) {
  USE_IN(float, entropy);
  USE_OUT(float, y);
  float factor = prior_factor(sigma_max, tau, e_max);
  ITEM_FOR(i, n) y[i] = prior_sigma(entropy[i], factor, tau, e_max);
}

// dE = sigma'(E) dy, n elements. Traffic: 12 n bytes.
TEAM_KERNEL void sigma_backward(IN(float, entropy), IN(float, dy), OUT(float, dentropy), int n, float sigma_max, float tau,
                             float e_max) {
  USE_IN(float, entropy);
  USE_IN(float, dy);
  USE_OUT(float, dentropy);
  float factor = prior_factor(sigma_max, tau, e_max);
  ITEM_FOR(i, n) dentropy[i] = prior_sigma_slope(entropy[i], factor, tau, e_max) * dy[i];
}

// x0[l, g, r] = token[l, r] + sigma(E[l, r]) eps[l, g, r]: token [labels, R, C], entropy [labels, R], eps and x0
// [labels * group, R, C]. Traffic: 4 labels R C (1 + 2 group) bytes.
TEAM_KERNEL void prior_forward(IN(float, token), IN(float, entropy), IN(float, eps), OUT(float, x0), int labels, int group,
                            int positions, int channels, float sigma_max, float tau, float e_max) {
  USE_IN(float, token);
  USE_IN(float, entropy);
  USE_IN(float, eps);
  USE_OUT(float, x0);
  float factor = prior_factor(sigma_max, tau, e_max);
  ITEM_FOR(row, (size_t)labels * group * positions) {
    size_t from = row / positions / group * positions + row % positions, at = row * channels;
    float sigma = prior_sigma(entropy[from], factor, tau, e_max);
    for (int c = 0; c < channels; c += LANES)
      lanes_store(x0 + at, c, channels,
                  lanes_load(token + from * channels, c, channels) + sigma * lanes_load(eps + at, c, channels));
  }
}

// dtoken[l, r] = sum_g dx0[l, g, r];  dE[l, r] = sigma'(E[l, r]) sum_{g, c} dx0[l, g, r, c] eps[l, g, r, c].
// With group 1 dtoken equals dx0. Traffic: 4 labels R C (1 + 2 group) bytes.
TEAM_KERNEL void prior_backward(IN(float, entropy), IN(float, eps), IN(float, dx0), OUT(float, dtoken), OUT(float, dentropy),
                             int labels, int group, int positions, int channels, float sigma_max, float tau,
                             float e_max) {
  USE_IN(float, entropy);
  USE_IN(float, eps);
  USE_IN(float, dx0);
  USE_OUT(float, dtoken);
  USE_OUT(float, dentropy);
  float factor = prior_factor(sigma_max, tau, e_max);
  ITEM_FOR(row, (size_t)labels * positions) {
    size_t first = (row / positions * group * positions + row % positions) * channels;
    floatL dot_sum = (floatL)(0.0f);
    for (int c = 0; c < channels; c += LANES) {
      floatL sum = (floatL)(0.0f);
      for (int g = 0; g < group; ++g) {
        size_t at = first + (size_t)g * positions * channels;
        floatL d = lanes_load(dx0 + at, c, channels);
        sum += d;
        dot_sum += d * lanes_load(eps + at, c, channels);
      }
      lanes_store(dtoken + row * channels, c, channels, sum);
    }
    dentropy[row] = prior_sigma_slope(entropy[row], factor, tau, e_max) * lanes_sum(dot_sum);
  }
}
