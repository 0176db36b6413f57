// diffusion_step: the step back of a diffusion, for the kernels that take one.
#ifndef DIFFUSION_STEP_CL
#define DIFFUSION_STEP_CL
#include "math.cl"

// The step back from x, whose noise e and number v of the variance a network has found:
//   y = a (x - b e) + n temperature exp(log s2 / 2) noise,  log s2 = log V + (v + 1) / 2 log(beta / V)
// with (a, b, log V, log(beta / V), n) = step: a = 1 / sqrt(alpha), b = beta / sqrt(1 - abar), n 0 in the last step and else 1.
// This is the posterior's mean of the clean token that e says, without going by way of that: in the first steps that is a
// difference of two numbers as large as sqrt(1 / abar).
// With limit > 0 no clean token is believed beyond +-limit: where x0 = r x - q e is, the mean is c x0 + d x with x0 at the limit,
// (r, q, c, d) = step[5 ..]: r = sqrt(1 / abar), q = sqrt(1 / abar - 1), c and d the posterior's shares. NaN stays NaN.
// About 30 FLOPs.
static inline floatL diffusion_back(floatL x, floatL e, floatL v, floatL noise, __global const float *step, float temperature,
                                    float limit) {
  const floatL deviation = exp_lanes(0.5f * (step[2] + 0.5f * (v + 1.0f) * step[3]));
  floatL mean = step[0] * (x - step[1] * e);
  if (limit > 0.0f) {
    const floatL clean = step[5] * x - step[6] * e, rest = step[8] * x;
    mean = clean > limit ? step[7] * limit + rest : (clean < -limit ? rest - step[7] * limit : mean);
  }
  return mean + step[4] * temperature * deviation * noise;
}

#endif
