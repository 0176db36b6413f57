// pixel_rows: images stored as bytes, taken by index and brought to [-1, 1].
#include "flat.cl"

// v / 127.5 - 1 for whole v of 0 to 255, with the bits that correct rounding gives on every device: a device's own division may
// be off in the last place. The rest of the first quotient is exact, since 127.5 is 128 less a half, and corrects it.
static inline floatL pixel_rows_value(floatL v) {
  // The quotient must be rounded before it is corrected.
#pragma OPENCL FP_CONTRACT OFF
  const floatL quotient = v * (1.0f / 127.5f);
  const floatL rest = (v - quotient * 128.0f) + quotient * 0.5f;
  return (quotient + rest * (1.0f / 127.5f)) - 1.0f;
}

// LANES bytes from p[i], 0 from index n on; never reads at or past n.
static inline floatL pixel_rows_load(__global const uchar *p, int i, int n) {
#if LANES == 4
  // A word at once where its address allows.
  if (i + 4 <= n && (size_t)(p + i) % 4 == 0) return convert_float4(*(__global const uchar4 *)(p + i));
#endif
  if (i + LANES <= n) return convert_floatL(vloadL(0, p + i));
  float tail[LANES];
  for (int k = 0; k < LANES; ++k) tail[k] = i + k < n ? (float)p[i + k] : 0.0f;
  return vloadL(0, tail);
}

// y[i] = x[rows[i]] / 127.5 - 1, zeros where rows[i] is not in 0 ..< count. x [count, width] bytes, rows [n] -> y [n, width].
// Traffic: 5 n width bytes.
TEAM_KERNEL void pixel_rows_forward(IN(uchar, x), IN(int, rows), OUT(float, y), int n, int count, int width) {
  USE_IN(uchar, x);
  USE_IN(int, rows);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, n, width, {
    const int index = rows[row], known = index >= 0 && index < count;
    __global const uchar *from = x + (known ? (size_t)index * width : 0);
    __global float *to = y + row * width;
    for (int i = first; i < last; i += LANES)
      lanes_store(to, i, last, known ? pixel_rows_value(pixel_rows_load(from, i, last)) : (floatL)(0.0f));
  })
}
