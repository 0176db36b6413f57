// convolution_shape: arguments and addresses that the convolutions and the gradient of their weight share.
#ifndef CONVOLUTION_SHAPE_CL
#define CONVOLUTION_SHAPE_CL
#include "flat.cl"

#ifndef CONVOLUTION_ROWS
#define CONVOLUTION_ROWS 8
#endif
#ifndef CONVOLUTION_VECTORS
#define CONVOLUTION_VECTORS 2
#endif
#define CONVOLUTION_COLUMNS (CONVOLUTION_VECTORS * LANES)
#define CONVOLUTION_EACH_ROW _Pragma("unroll") for (int r = 0; r < CONVOLUTION_ROWS; ++r)
#define CONVOLUTION_EACH_VECTOR _Pragma("unroll") for (int v = 0; v < CONVOLUTION_VECTORS; ++v)

#define CONVOLUTION_SHAPE                                                                                              \
  const int batch, const int height, const int width, const int channels, const int kernel_height,                    \
      const int kernel_width, const int stride, const int top, const int left, const int factor, const int dilated,   \
      const int out_height, const int out_width, const int outputs

// The row or column of x that position v of the enlarged input shows, -1 where that is zero.
static inline int convolution_source(int v, int extent, int factor, int dilated) {
  // Nearly always 1, and a division by a number that is known late is as long as a dozen multiplications.
  const int s = factor == 1 ? v : v / factor;
  return v < 0 || s >= extent || (dilated && s * factor != v) ? -1 : s;
}

// The weight of output o, channel c and tap: as it lies, [outputs, channels, taps]; transposed, as the gradient wants it:
// [channels, outputs, taps] with the taps turned round.
static inline float convolution_weight(__global const float *weight, int o, int c, int tap, int outputs, int channels,
                                       int taps, int transposed) {
  return transposed ? weight[((size_t)c * outputs + o) * taps + taps - 1 - tap]
                    : weight[((size_t)o * channels + c) * taps + tap];
}

#endif
