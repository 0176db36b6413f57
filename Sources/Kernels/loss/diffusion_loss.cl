// diffusion_loss: how wrong a network is about the noise in a token, e, and about the variance of the step back, v.
//
//   mse = mean_c (noise - e)^2
//   vb  = mean_c KL(true step back || step back with e and v) in bits for t > 0; with u = (v + 1) / 2 log(beta / V)
//         2 KL = u - 1 + exp(-u) (1 + k (noise - e)^2),  k = beta abar' / (abar (1 - abar')),
//         which is the textbook formula: both means differ by what the noise is off by, so they need not be computed.
//         For t = 0 minus log2 of the probability of the bin of half-width 1/255 around the clean x, which the Gaussian of that
//         step has; the lowest and highest bins are open. Its mean is x off by sqrt(1 / abar - 1) (noise - e).
// e learns by mse and v by vb: to vb e is a constant.
#include "diffusion.cl"

// Least probability of a bin: below it a constant.
#define DIFFUSION_FLOOR 1e-12f

// The Gaussian's integral up to x is nearly 1 / (1 + exp(-argument(x))), argument(x) = sqrt(8 / pi) (x + 0.044715 x^3).
static inline floatL diffusion_argument(floatL x) { return 1.59576912f * (x + 0.044715f * x * x * x); }
static inline floatL diffusion_argument_slope(floatL x) { return 1.59576912f * (1.0f + 0.134145f * x * x); }

// u - 1 + exp(-u), and `slope` 1 - exp(-u), its derivative. By their series near 0, where late times lie: little is left of the
// differences there.
static inline floatL diffusion_excess(floatL u, floatL *slope) {
  floatL q = 0.00138888889f - 0.000198412698f * u;
  q = 0.00833333333f - q * u;
  q = 0.0416666667f - q * u;
  q = 0.166666667f - q * u;
  q = 0.5f - q * u;
  const floatL e = exp_lanes(-u), near = u * u * q;
  const intL is_near = fabs(u) < 0.25f;
  *slope = is_near ? u - near : 1.0f - e;
  return is_near ? near : u - 1.0f + e;
}

// log of the probability of the bin around `clean` of a Gaussian of this log of the deviation whose mean is clean - offset;
// `slope` is its derivative by the log of the deviation.
static inline floatL diffusion_log_probability(floatL clean, floatL offset, floatL log_deviation, floatL *slope) {
  const floatL inverse = exp_lanes(-log_deviation);
  const floatL high = inverse * (offset + 0.00392156863f), low = inverse * (offset - 0.00392156863f);
  const floatL p = diffusion_argument(high), q = diffusion_argument(low);
  const floatL below = sigmoid_lanes(p), above = sigmoid_lanes(-q);
  // sigmoid(p) - sigmoid(q) as a product: far out both are so near 1 that nothing would be left of the difference.
  const floatL inside = 1.0f - exp_lanes(q - p);
  floatL probability = below * above * inside;
  const floatL by_high = -high * diffusion_argument_slope(high), by_low = low * diffusion_argument_slope(low);
  const floatL others_high = sigmoid_lanes(-p), others_low = sigmoid_lanes(q);
  floatL change = by_high * others_high / (above * inside) + by_low * others_low / (below * inside);
  const intL is_lowest = clean < -0.999f, is_highest = clean > 0.999f;
  probability = is_lowest ? below : (is_highest ? above : probability);
  change = is_lowest ? by_high * others_high : (is_highest ? by_low * others_low : change);
  const intL is_floor = probability < DIFFUSION_FLOOR;
  *slope = is_floor ? (floatL)(0.0f) : change;
  return log_lanes(fmax(probability, (floatL)(DIFFUSION_FLOOR)));
}

// output [rows, 2, channels], x [clean, channels] of which row r is r % clean, noise [rows, channels], time [rows], table
// [times, 6] -> mse, vb [rows]. Traffic: (12 rows + 4 clean) channels bytes; about 40 rows channels FLOPs.
TEAM_KERNEL void diffusion_loss_forward(IN(float, output), IN(float, x), IN(float, noise), IN(float, time), IN(float, table),
                                     OUT(float, mse), OUT(float, vb), const int rows, const int clean, const int channels,
                                     const int times) {
  USE_IN(float, output);
  USE_IN(float, x);
  USE_IN(float, noise);
  USE_IN(float, time);
  USE_IN(float, table);
  USE_OUT(float, mse);
  USE_OUT(float, vb);
  ITEM_FOR(row, rows) {
    __global const float *at = diffusion_row(table, time[row], times), *own = output + row * 2 * channels;
    __global const float *x_row = x + (size_t)((int)row % clean) * channels;
    const int is_first = time[row] < 1.0f;
    floatL squares = (floatL)(0.0f), nats = (floatL)(0.0f);
    for (int c = 0; c < channels; c += LANES) {
      const floatL d = lanes_load(own, c, channels) - lanes_load(noise + row * channels, c, channels);
      const floatL u = 0.5f * (lanes_load(own + channels, c, channels) + 1.0f) * at[2];
      floatL part, slope;
      if (is_first)
        part = -diffusion_log_probability(lanes_load(x_row, c, channels), at[4] * d, 0.5f * (at[5] + u), &slope);
      else
        part = 0.5f * (diffusion_excess(u, &slope) + exp_lanes(-u) * at[3] * d * d);
      squares += d * d;
      nats += lanes_keep(part, c, channels, 0.0f);
    }
    mse[row] = lanes_sum(squares) / channels;
    vb[row] = lanes_sum(nats) * 1.44269504f / channels;
  }
}

// de = dmse[row] 2 (e - noise) / channels and dv = dvb[row] dvb/dv, in doutput [rows, 2, channels].
// Traffic: (20 rows + 4 clean) channels bytes; about 60 rows channels FLOPs.
TEAM_KERNEL void diffusion_loss_backward(IN(float, output), IN(float, x), IN(float, noise), IN(float, time), IN(float, table),
                                      IN(float, dmse), IN(float, dvb), OUT(float, doutput), const int rows, const int clean,
                                      const int channels, const int times) {
  USE_IN(float, output);
  USE_IN(float, x);
  USE_IN(float, noise);
  USE_IN(float, time);
  USE_IN(float, table);
  USE_IN(float, dmse);
  USE_IN(float, dvb);
  USE_OUT(float, doutput);
  ITEM_FOR(row, rows) {
    __global const float *at = diffusion_row(table, time[row], times), *own = output + row * 2 * channels;
    __global const float *x_row = x + (size_t)((int)row % clean) * channels;
    __global float *to = doutput + row * 2 * channels;
    const int is_first = time[row] < 1.0f;
    const float by_mse = 2.0f * dmse[row] / channels, by_vb = 0.25f * 1.44269504f * at[2] * dvb[row] / channels;
    for (int c = 0; c < channels; c += LANES) {
      const floatL d = lanes_load(own, c, channels) - lanes_load(noise + row * channels, c, channels);
      const floatL u = 0.5f * (lanes_load(own + channels, c, channels) + 1.0f) * at[2];
      floatL slope;
      if (is_first) {
        diffusion_log_probability(lanes_load(x_row, c, channels), at[4] * d, 0.5f * (at[5] + u), &slope);
        slope = -slope;
      } else {
        diffusion_excess(u, &slope);
        slope -= exp_lanes(-u) * at[3] * d * d;
      }
      lanes_store(to, c, channels, by_mse * d);
      lanes_store(to + channels, c, channels, by_vb * slope);
    }
  }
}
