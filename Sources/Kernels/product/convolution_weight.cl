// convolution_weight: the gradient of a convolution's weight,
//
//   dweight[o, c, ky, kx] = sum over b, oy, ox of dy[b, oy, ox, o] x[b, oy stride + ky - top, ox stride + kx - left, c]
//
// over the output pixels whose input pixel exists. It is a product of the taps' channels and the outputs, summed over the
// pixels, which are cut into `splits` parts: partial[split, tap, c, o], added in their order by convolution_weight_sum.
//
// -D values, CPU shape: CONVOLUTION_ROWS (channels of a tile, at most `channels`) and CONVOLUTION_VECTORS.
#include "cpu_convolution_weight.cl"
#include "gpu_convolution_weight.cl"

// dweight [outputs, channels, taps] from partial [splits, taps, channels, outputs], the splits added in their order.
// Traffic: 4 (splits + 1) outputs channels taps bytes, gathered.
TEAM_KERNEL void convolution_weight_sum(IN(float, partial), OUT(float, dweight), const int outputs, const int channels,
                                     const int taps, const int splits) {
  USE_IN(float, partial);
  USE_OUT(float, dweight);
  const size_t count = (size_t)outputs * channels * taps;
  ITEM_FOR(item, count) {
    const int tap = (int)(item % taps), c = (int)(item / taps % channels);
    const size_t at = ((size_t)tap * channels + c) * outputs + item / taps / channels;
    float sum = 0.0f;
    for (int s = 0; s < splits; ++s) sum += partial[s * count + at];
    dweight[item] = sum;
  }
}
