// sinusoid: a number as cosines and sines of it, how transformers and diffusion tell times apart.
#include "philox.cl"

// x less the nearest whole number, in [-1/2, 1/2]; |x| below 2^22. Exact.
static inline floatL sinusoid_turn(floatL x) { return x - ((x + 12582912.0f) - 12582912.0f); }

// y[r, i] = cos(2 pi t[r] g[i]), y[r, half + i] = sin of the same, i < half, with g = frequency[0, i] + frequency[1, i] in turns.
// The first part of g has 12 bits, so that its product with a whole time below 4096 is exact, and whole turns leave nothing to
// round: sines of large angles are as good as those of small ones.
// t [rows], frequency [2, half] -> y [rows, 2 half]. Traffic: 8 rows half bytes; about 40 FLOPs an angle.
TEAM_KERNEL void sinusoid_forward(IN(float, time), IN(float, frequency), OUT(float, y), const int rows, const int half_width) {
  USE_IN(float, time);
  USE_IN(float, frequency);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, rows, half_width, {
    const float t = time[row], whole = rint(t), part = t - whole;
    __global float *y_row = y + row * 2 * half_width;
    for (int i = first; i < last; i += LANES) {
      const floatL coarse = lanes_load(frequency, i, half_width), fine = lanes_load(frequency + half_width, i, half_width);
      const floatL angle = sinusoid_turn(sinusoid_turn(whole * coarse) + (whole * fine + part * (coarse + fine)));
      const floatL quarters = 4.0f * angle;
      const intL quadrant = as_intL(quarters + 12582912.0f) & 3;
      floatL s, c;
      random_sincos(sinusoid_turn(quarters), &s, &c);
      const floatL x = (quadrant & 1) != 0 ? s : c, z = (quadrant & 1) != 0 ? c : s;
      lanes_store(y_row, i, last, ((quadrant + 1) & 2) != 0 ? -x : x);
      lanes_store(y_row + half_width, i, last, (quadrant & 2) != 0 ? -z : z);
    }
  })
}
