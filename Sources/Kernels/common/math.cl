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

// erf(x), absolute error below 4e-7: an odd minimax polynomial x p(2 x^2 / 3.7^2 - 1) for |x| < 3.7, else +-1.
static inline floatL erf_lanes(floatL x) {
  const floatL u = x * 0.146092042f * x - 1.0f;
  const floatL u2 = u * u, u4 = u2 * u2;
  const floatL p0 = (-0.112645566f * u + 0.140789539f) * u2 + (-0.19046773f * u + 0.382137537f);
  const floatL p1 = (-0.0362002514f * u + 0.0514753535f) * u2 + (-0.0704366416f * u + 0.0906248912f);
  const floatL p2 = (-0.00364733674f * u + 0.00522322161f) * u2 + (-0.0141517026f * u + 0.0251461528f);
  const floatL p3 = -0.00150467583f * u + 0.00392741337f;
  const floatL p = (p3 * u4 + p2) * (u4 * u4) + (p1 * u4 + p0);
  floatL y = x * p;
  y = x >= 3.7f ? (floatL)(1.0f) : y;
  return x <= -3.7f ? (floatL)(-1.0f) : y;
}

// Exact GELU, x (1 + erf(x / sqrt 2)) / 2.
static inline floatL gelu_lanes(floatL x) {
  const floatL half_x = 0.5f * x;
  return half_x * erf_lanes(x * 0.707106781f) + half_x;
}

// Its derivative (1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi), absolute error below 6e-7. Less 1/2 it is odd:
// one polynomial in 2 x^2 / 5.6^2 - 1 for |x| < 5.6, which spares both erf and exp; else 0 or 1.
static inline floatL gelu_derivative_lanes(floatL x) {
  const floatL u = x * 0.0637755096f * x - 1.0f;
  const floatL u2 = u * u, u4 = u2 * u2;
  const floatL p0 = (-0.050947234f * u + 0.0518161096f) * u2 + (-0.0642829016f * u + 0.126416579f);
  const floatL p1 = (-0.0721658096f * u + 0.073201336f) * u2 + (-0.0651848018f * u + 0.0565010682f);
  const floatL p2 = (-0.032161355f * u + 0.0575312413f) * u2 + (-0.0558827557f * u + 0.0600380339f);
  const floatL p3 = (-0.00676904619f * u + 0.0162352622f) * u2 + (-0.00690468121f * u + 0.00184468657f);
  const floatL p = (p3 * u4 + p2) * (u4 * u4) + (p1 * u4 + p0);
  floatL y = x * p + 0.5f;
  y = x >= 5.6f ? (floatL)(1.0f) : y;
  return x <= -5.6f ? (floatL)(0.0f) : y;
}

// 1 / (1 + exp(-x)).
static inline floatL sigmoid_lanes(floatL x) { return 1.0f / (1.0f + exp_lanes(-x)); }

// SiLU, x sigmoid(x), and its derivative s + x s (1 - s).
static inline floatL silu_lanes(floatL x) { return x / (1.0f + exp_lanes(-x)); }
static inline floatL silu_derivative_lanes(floatL x) {
  const floatL s = sigmoid_lanes(x);
  return x * s * (1.0f - s) + s;
}

#endif
