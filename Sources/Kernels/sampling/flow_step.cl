// flow_step: a step along a flow, for the kernels that take one.
#ifndef FLOW_STEP_CL
#define FLOW_STEP_CL
#include "team.cl"

// The step from x, where a network has found the velocity v: y = a x + b v + c temperature noise, (a, b, c) = step.
// Euler-Maruyama over dt at time t: a = 1 - dt, b = (1 + t) dt, c = sqrt(2 (1 - t) dt). Without noise, u the velocity of the step before
// in its place: a = 1, b = (1 + r / 2) dt, c = -r / 2 dt, r = dt over that of the step before. 6 FLOPs.
static inline floatL flow_forward(floatL x, floatL v, floatL noise, __global const float *step, float temperature) {
  return step[0] * x + step[1] * v + step[2] * temperature * noise;
}

#endif
