// convolution_weight: the gradient of a convolution's weight,
//
//   dweight[o, c, ky, kx] = sum over b, oy, ox of dy[b, oy, ox, o] x[b, oy stride + ky - top, ox stride + kx - left, c]
//
// over the output pixels whose input pixel exists. It is a product of the taps' channels and the outputs, summed over the
// pixels, which are cut into `splits` parts: partial[split, tap, c, o], added in their order by convolution_weight_sum.
//
// -D values, CPU shape: CONVOLUTION_WEIGHT_TAPS (taps of a tile, a divisor of kernel_width), CONVOLUTION_WEIGHT_ROWS (its
// channels, at most `channels`) and CONVOLUTION_VECTORS.
#include "cpu_convolution_weight.cl"
#include "gpu_convolution_weight.cl"
