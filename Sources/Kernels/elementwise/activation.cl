// activation: element-wise nonlinearities. Any shape, n elements; output and input may be the same tensor.
// forward reads x and writes y (8n bytes, about 20 FLOPs an element); backward reads x and dy and writes dx (12n bytes).
#ifndef ACTIVATION_CL
#define ACTIVATION_CL
#include "flat.cl"
#include "math.cl"

#define ACTIVATION_FORWARD(name, function)                                          \
  TEAM_KERNEL void name(IN(float, x), OUT(float, y), const int n) {                 \
    USE_IN(float, x);                                                               \
    USE_OUT(float, y);                                                              \
    FLAT_FOR(i, n) {                                                                \
      const int left = FLAT_LEFT(i, n);                                             \
      lanes_store(y + i, 0, left, function(lanes_load(x + i, 0, left)));            \
    }                                                                               \
  }

// dx = dy f'(x)
#define ACTIVATION_BACKWARD(name, derivative)                                                            \
  TEAM_KERNEL void name(IN(float, x), IN(float, dy), OUT(float, dx), const int n) {                      \
    USE_IN(float, x);                                                                                    \
    USE_IN(float, dy);                                                                                   \
    USE_OUT(float, dx);                                                                                  \
    FLAT_FOR(i, n) {                                                                                     \
      const int left = FLAT_LEFT(i, n);                                                                  \
      lanes_store(dx + i, 0, left, lanes_load(dy + i, 0, left) * derivative(lanes_load(x + i, 0, left))); \
    }                                                                                                    \
  }

// gelu: y = x (1 + erf(x / sqrt 2)) / 2
ACTIVATION_FORWARD(gelu_forward, gelu_lanes)
ACTIVATION_BACKWARD(gelu_backward, gelu_derivative_lanes)

// silu: y = x / (1 + exp(-x))
ACTIVATION_FORWARD(silu_forward, silu_lanes)
ACTIVATION_BACKWARD(silu_backward, silu_derivative_lanes)

// relu: y = max(x, 0); NaN stays NaN
static inline floatL relu_lanes(floatL x) { return x < 0.0f ? (floatL)(0.0f) : x; }
static inline floatL relu_derivative_lanes(floatL x) { return x > 0.0f ? (floatL)(1.0f) : (floatL)(0.0f); }
ACTIVATION_FORWARD(relu_forward, relu_lanes)
ACTIVATION_BACKWARD(relu_backward, relu_derivative_lanes)

#endif
