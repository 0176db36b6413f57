// flow_step: a step along a flow with noise, for the kernels that take one.
#ifndef FLOW_STEP_CL
#define FLOW_STEP_CL
#include "team.cl"

// The step from x, where a network has found the velocity v: y = a x + b v + c temperature noise, (a, b, c) = step.
// Euler-Maruyama over dt at time t: a = 1 - dt, b = (1 + t) dt, c = sqrt(2 (1 - t) dt). 6 FLOPs.
static inline floatL flow_forward(floatL x, floatL v, floatL noise, __global const float *step, float temperature) {
  return step[0] * x + step[1] * v + step[2] * temperature * noise;
}

#endif
