// diffusion: noise added to tokens, and a step of taking it away again (DDPM with a learned variance).
#include "flat.cl"
#include "diffusion_step.cl"

// A row of the table of times: sqrt(abar), sqrt(1 - abar), log(beta / V), (beta abar' / (abar (1 - abar'))), sqrt(1 / abar - 1)
// and log V, where V is the variance of the true step back and abar' the abar before; see DiffusionSchedule.
#define DIFFUSION_COLUMNS 6

// The row of a time, which is a whole number; one outside the table takes the nearest row.
static inline __global const float *diffusion_row(__global const float *table, float time, int times) {
  return table + clamp((int)time, 0, times - 1) * DIFFUSION_COLUMNS;
}

// y[r] = sqrt(abar) x[r % clean] + sqrt(1 - abar) noise[r], abar at time[r]. x [clean, channels], noise and y [rows, channels],
// time [rows], table [times, 6]. Traffic: (8 rows + 4 clean) channels bytes; 3 rows channels FLOPs.
TEAM_KERNEL void diffusion_noised(IN(float, x), IN(float, noise), IN(float, time), IN(float, table), OUT(float, y), const int rows,
                               const int clean, const int channels, const int times) {
  USE_IN(float, x);
  USE_IN(float, noise);
  USE_IN(float, time);
  USE_IN(float, table);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, rows, channels, {
    __global const float *at = diffusion_row(table, time[row], times);
    __global const float *x_row = x + (size_t)((int)row % clean) * channels;
    for (int c = first; c < last; c += LANES)
      lanes_store(y + row * channels, c, last,
                  at[0] * lanes_load(x_row, c, last) + at[1] * lanes_load(noise + row * channels, c, last));
  })
}

// A step back (diffusion_step.cl).
// output [rows, 2, channels], e and then v; if `guided` [2 rows, 2, channels], those of no label behind the others: then
// e = e_u + cfg[0] (e_c - e_u), and v is that of the label. x, noise, y [rows, channels].
// Traffic: 20 rows channels bytes, guided 24; about 30 rows channels FLOPs.
TEAM_KERNEL void diffusion_step(IN(float, x), IN(float, output), IN(float, noise), IN(float, step), IN(float, cfg), OUT(float, y),
                             const int rows, const int channels, const int guided, const float temperature, const float limit) {
  USE_IN(float, x);
  USE_IN(float, output);
  USE_IN(float, noise);
  USE_IN(float, step);
  USE_IN(float, cfg);
  USE_OUT(float, y);
  const float strength = guided ? cfg[0] : 1.0f;
  ROW_RUNS(row, first, last, rows, channels, {
    __global const float *own = output + row * 2 * channels;
    for (int c = first; c < last; c += LANES) {
      floatL e = lanes_load(own, c, last);
      if (guided) {
        const floatL other = lanes_load(own + (size_t)rows * 2 * channels, c, last);
        e = other + strength * (e - other);
      }
      const floatL v = lanes_load(own + channels, c, last);
      lanes_store(y + row * channels, c, last,
                  diffusion_back(lanes_load(x + row * channels, c, last), e, v, lanes_load(noise + row * channels, c, last), step,
                                 temperature, limit));
    }
  })
}
