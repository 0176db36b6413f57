// pool: the largest or the mean value of each window of pixels, for each channel. Padding is no value: it is never the
// largest, and does not count towards the mean.
#ifndef POOL_CL
#define POOL_CL
#include "row_groups.cl"

// x [batch, height, width, channels] -> y [batch, out_height, out_width, channels]. A NaN in a window is its result.
// Traffic: 4 x + 4 y bytes (windows that overlap meet in the cache); y window^2 FLOPs.
TEAM_KERNEL void pool_forward(IN(float, x), OUT(float, y), const int batch, const int height, const int width,
                           const int channels, const int window, const int stride, const int padding, const int out_height,
                           const int out_width, const int takes_largest) {
  USE_IN(float, x);
  USE_OUT(float, y);
  SHARE_FOR(row, batch * out_height * out_width) {
    const int top = row / out_width % out_height * stride - padding, left = row % out_width * stride - padding;
    const int first_y = max(top, 0), last_y = min(top + window, height);
    const int first_x = max(left, 0), last_x = min(left + window, width);
    __global const float *image = x + (size_t)(row / (out_width * out_height)) * height * width * channels;
    const float share = 1.0f / ((last_y - first_y) * (last_x - first_x));
    TEAM_FOR(i, channels) {
      floatL value = (floatL)(takes_largest ? -INFINITY : 0.0f);
      for (int v = first_y; v < last_y; ++v)
        for (int u = first_x; u < last_x; ++u) {
          const floatL pixel = lanes_load(image + ((size_t)v * width + u) * channels, i, channels);
          // fmax would drop a NaN.
          value = takes_largest ? (pixel > value || pixel != pixel ? pixel : value) : value + pixel;
        }
      lanes_store(y + (size_t)row * channels, i, channels, takes_largest ? value : value * share);
    }
  }
}

#endif
