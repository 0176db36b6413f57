// flow: tokens on their way between noise and data, a step of it, and the loss of a velocity.
#include "flat.cl"
#include "flow_step.cl"
#include "math.cl"

// s = 1 / (1 + exp(-normal[r])). Without levels time runs to data: y[r] = s x[r % clean] + (1 - s) noise[r], t[r] = s. With levels it
// runs to noise: k = min(floor(levels s), levels - 1), u = k / levels, y[r] = (1 - u) x[r % clean] + u noise[r], t[r] = k.
// x [clean, channels], noise and y [rows, channels], normal and t [rows]. Traffic: (8 rows + 4 clean) channels bytes; 4 rows
// channels FLOPs.
TEAM_KERNEL void flow_noised(IN(float, x), IN(float, noise), IN(float, normal), OUT(float, y), OUT(float, t), const int rows,
                          const int clean, const int channels, const int levels) {
  USE_IN(float, x);
  USE_IN(float, noise);
  USE_IN(float, normal);
  USE_OUT(float, y);
  USE_OUT(float, t);
  ROW_RUNS(row, first, last, rows, channels, {
    const float share = 1.0f / (1.0f + exp(-normal[row]));
    const float level = fmin(floor((float)levels * share), (float)(levels - 1));
    const float noisy = levels > 0 ? level / (float)levels : 1.0f - share;
    const float kept = levels > 0 ? 1.0f - noisy : share;
    if (first == 0) t[row] = levels > 0 ? level : share;
    __global const float *x_row = x + (size_t)((int)row % clean) * channels;
    for (int c = first; c < last; c += LANES)
      lanes_store(y + row * channels, c, last,
                  kept * lanes_load(x_row, c, last) + noisy * lanes_load(noise + row * channels, c, last));
  })
}

// y = flow_forward(x) (flow_step.cl). velocity [rows, channels]; if `guided` [2 rows, channels], those of no label behind the
// others: then v = v_u + cfg[0] (v_c - v_u). x, noise, y [rows, channels]; `noise` may be the velocity of the step before. With `keeps` v
// is written to `kept` [rows, channels]. Traffic: 16 rows channels bytes, guided and with `keeps` 4 more each.
TEAM_KERNEL void flow_step(IN(float, x), IN(float, velocity), IN(float, noise), IN(float, step), IN(float, cfg), OUT(float, y),
                        OUT(float, kept), const int rows, const int channels, const int guided, const int keeps,
                        const float temperature) {
  USE_IN(float, x);
  USE_IN(float, velocity);
  USE_IN(float, noise);
  USE_IN(float, step);
  USE_IN(float, cfg);
  USE_OUT(float, y);
  USE_OUT(float, kept);
  const float strength = guided ? cfg[0] : 1.0f;
  ROW_RUNS(row, first, last, rows, channels, {
    const size_t at = row * channels;
    for (int c = first; c < last; c += LANES) {
      floatL v = lanes_load(velocity + at, c, last);
      if (guided) {
        const floatL other = lanes_load(velocity + (size_t)rows * channels + at, c, last);
        v = other + strength * (v - other);
      }
      lanes_store(y + at, c, last,
                  flow_forward(lanes_load(x + at, c, last), v, lanes_load(noise + at, c, last), step, temperature));
      if (keeps) lanes_store(kept + at, c, last, v);
    }
  })
}

// loss[r] = mean over the channels of (sign (x[r % clean] - noise[r]) - velocity[r])^2. Traffic: (8 rows + 4 clean) channels bytes.
TEAM_KERNEL void flow_loss_forward(IN(float, velocity), IN(float, x), IN(float, noise), OUT(float, loss), const int rows,
                                const int clean, const int channels, const float sign) {
  USE_IN(float, velocity);
  USE_IN(float, x);
  USE_IN(float, noise);
  USE_OUT(float, loss);
  ITEM_FOR(row, (size_t)rows) {
    __global const float *x_row = x + (size_t)((int)row % clean) * channels;
    floatL square = (floatL)(0.0f);
    for (int c = 0; c < channels; c += LANES) {
      const floatL error = sign * (lanes_load(x_row, c, channels) - lanes_load(noise + row * channels, c, channels)) -
                           lanes_load(velocity + row * channels, c, channels);
      square += error * error;
    }
    loss[row] = lanes_sum(square) / (float)channels;
  }
}

// dvelocity[r] = 2 / channels dloss[r] (velocity[r] - sign (x[r % clean] - noise[r])). dvelocity may be velocity.
TEAM_KERNEL void flow_loss_backward(IN(float, dloss), IN(float, velocity), IN(float, x), IN(float, noise), OUT(float, dvelocity),
                                 const int rows, const int clean, const int channels, const float sign) {
  USE_IN(float, dloss);
  USE_IN(float, velocity);
  USE_IN(float, x);
  USE_IN(float, noise);
  USE_OUT(float, dvelocity);
  ROW_RUNS(row, first, last, rows, channels, {
    const float factor = 2.0f / (float)channels * dloss[row];
    __global const float *x_row = x + (size_t)((int)row % clean) * channels;
    const size_t at = row * channels;
    for (int c = first; c < last; c += LANES)
      lanes_store(dvelocity + at, c, last,
                  factor * (lanes_load(velocity + at, c, last) -
                            sign * (lanes_load(x_row, c, last) - lanes_load(noise + at, c, last))));
  })
}
