// math: elementary functions on LANES floats.
//
// Built-in exp, log and erf are scalar calls on some OpenCL CPU devices, ten times slower than the memory they feed from.
// These are polynomials that stay in vector registers. Products and sums are written out: the compiler contracts them to
// fused multiply-adds where the device has fast ones, while mad() is two instructions on some and fma() a call on others.
// Long polynomials are cut into short ones that do not wait for each other.
#ifndef MATH_CL
#define MATH_CL
#include "team.cl"

// exp(x), about 1 ulp. Overflows to infinity, underflows through denormals to 0, NaN stays NaN.
// x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 q(r). 2^n goes in as two factors, since n reaches -150.
static inline floatL exp_lanes(floatL x) {
  x = x < -104.5f ? (floatL)(-104.5f) : x;
  x = x > 89.0f ? (floatL)(89.0f) : x;
  // 1.5 * 2^23 leaves the rounded integer in the low bits (rint is a dozen instructions on some devices).
  const intL n = as_intL(x * 1.44269504f + 12582912.0f) - 0x4b400000;
  const floatL whole = convert_floatL(n);
  const floatL r = (x - whole * 0.693145752f) - whole * 1.42860682e-6f;
  floatL q = 0.00138144661f * r + 0.00836878084f;
  q = q * r + 0.0416683927f;
  q = q * r + 0.166665196f;
  q = q * r + 0.49999994f;
  const floatL e = (q * (r * r) + r) + 1.0f;
  const intL half_n = n >> 1;
  return e * as_floatL((half_n + 127) << 23) * as_floatL((n - half_n + 127) << 23);
}

// log(x), about 1 ulp, denormals included. log(0) = -infinity, NaN below 0, infinity and NaN stay.
// x = 2^e (1 + f), 1 + f in [sqrt 1/2, sqrt 2); log(1 + f) = f - f^2 / 2 + f^3 q(f).
static inline floatL log_lanes(floatL x) {
  const intL tiny = x < 1.17549435e-38f;
  const intL bits = as_intL(tiny ? x * 33554432.0f : x);
  const intL e = (bits - 0x3f3504f3) >> 23;
  const floatL f = as_floatL(bits - (e << 23)) - 1.0f;
  const floatL k = convert_floatL(e) - (tiny ? (floatL)(25.0f) : (floatL)(0.0f));
  floatL q = 0.0691541359f * f - 0.11789839f;
  q = q * f + 0.118729725f;
  q = q * f - 0.123843431f;
  q = q * f + 0.142186582f;
  q = q * f - 0.16669251f;
  q = q * f + 0.200022265f;
  q = q * f - 0.249999866f;
  q = q * f + 0.333333105f;
  const floatL square = f * f;
  const floatL tail = q * (f * square) + k * 1.42860682e-6f - 0.5f * square;
  floatL y = k * 0.693145752f + (f + tail);
  y = x < INFINITY ? y : x;
  y = x > 0.0f ? y : (x == 0.0f ? (floatL)(-INFINITY) : (floatL)(NAN));
  return y;
}

// GELU and its derivative of `count` vectors at once, in place; step by step for all of them, which hides the latency of the
// long chains where registers are wide enough. Both are, but for a half, odd functions of x: rational minimax functions
// x p(x^2) / q(x^2). The division costs less than the terms that a polynomial as accurate has more.
#define EACH_VECTOR _Pragma("unroll") for (int i = 0; i < count; ++i)
#define VECTORS_AT_ONCE 4

// Exact GELU, x (1 + erf(x / sqrt 2)) / 2, absolute error below 2.5e-7 |x|: p / q for |x| < 5.1, else +-1/2.
static inline __attribute__((always_inline)) void gelu_vectors(floatL *x, const int count) {
  floatL t[VECTORS_AT_ONCE], p[VECTORS_AT_ONCE], q[VECTORS_AT_ONCE];
  EACH_VECTOR t[i] = x[i] * x[i];
  EACH_VECTOR t[i] = t[i] > 26.01f ? (floatL)(26.01f) : t[i];
  EACH_VECTOR p[i] = 11.442155f * t[i] + 606.3623f;
  EACH_VECTOR q[i] = t[i] + 217.71715f;
  EACH_VECTOR p[i] = p[i] * t[i] + 11196.377f;
  EACH_VECTOR q[i] = q[i] * t[i] + 5354.449f;
  EACH_VECTOR p[i] = p[i] * t[i] + 99026.984f;
  EACH_VECTOR q[i] = q[i] * t[i] + 75255.73f;
  EACH_VECTOR p[i] = p[i] * t[i] + 833440.56f;
  EACH_VECTOR q[i] = q[i] * t[i] + 596401.8f;
  EACH_VECTOR q[i] = q[i] * t[i] + 2089127.1f;
  EACH_VECTOR p[i] = x[i] * p[i];
  EACH_VECTOR p[i] = p[i] / q[i];
  EACH_VECTOR p[i] = p[i] < 0.5f ? p[i] : (floatL)(0.5f);
  EACH_VECTOR p[i] = p[i] > -0.5f ? p[i] : (floatL)(-0.5f);
  EACH_VECTOR x[i] = x[i] * (p[i] + 0.5f);
}
static inline floatL gelu_lanes(floatL x) {
  gelu_vectors(&x, 1);
  return x;
}

// Its derivative (1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi), absolute error below 4e-7: p / q for |x| < 5.6,
// else +-1/2.
static inline __attribute__((always_inline)) void gelu_derivative_vectors(floatL *x, const int count) {
  floatL t[VECTORS_AT_ONCE], p[VECTORS_AT_ONCE], q[VECTORS_AT_ONCE];
  EACH_VECTOR t[i] = x[i] * x[i];
  EACH_VECTOR t[i] = t[i] > 31.36f ? (floatL)(31.36f) : t[i];
  EACH_VECTOR p[i] = 0.021523703f * t[i] + 4.0209002f;
  EACH_VECTOR q[i] = t[i] + 21.510763f;
  EACH_VECTOR p[i] = p[i] * t[i] + 2.2122424f;
  EACH_VECTOR q[i] = q[i] * t[i] + 394.55304f;
  EACH_VECTOR p[i] = p[i] * t[i] + 1593.3909f;
  EACH_VECTOR q[i] = q[i] * t[i] + 4590.3843f;
  EACH_VECTOR p[i] = p[i] * t[i] - 3469.3955f;
  EACH_VECTOR q[i] = q[i] * t[i] + 32987.668f;
  EACH_VECTOR p[i] = p[i] * t[i] + 89367.16f;
  EACH_VECTOR q[i] = q[i] * t[i] + 112005.01f;
  EACH_VECTOR p[i] = x[i] * p[i];
  EACH_VECTOR p[i] = p[i] / q[i] + 0.5f;
  EACH_VECTOR q[i] = x[i] > 0.0f ? (floatL)(1.0f) : (floatL)(0.0f);
  EACH_VECTOR x[i] = t[i] >= 31.36f ? q[i] : p[i];
}
static inline floatL gelu_derivative_lanes(floatL x) {
  gelu_derivative_vectors(&x, 1);
  return x;
}

// 1 / (1 + exp(-x)).
static inline floatL sigmoid_lanes(floatL x) { return 1.0f / (1.0f + exp_lanes(-x)); }

// SiLU, x sigmoid(x), and its derivative s + x s (1 - s).
static inline floatL silu_lanes(floatL x) { return x / (1.0f + exp_lanes(-x)); }
static inline floatL silu_derivative_lanes(floatL x) {
  const floatL s = sigmoid_lanes(x);
  return x * s * (1.0f - s) + s;
}

// Both of `count` vectors, in place.
static inline __attribute__((always_inline)) void silu_vectors(floatL *x, const int count) {
  EACH_VECTOR x[i] = silu_lanes(x[i]);
}
static inline __attribute__((always_inline)) void silu_derivative_vectors(floatL *x, const int count) {
  EACH_VECTOR x[i] = silu_derivative_lanes(x[i]);
}

#endif
