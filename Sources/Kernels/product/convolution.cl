// convolution: y[b, oy, ox, o] = bias[o] + residual[b, oy, ox, o]
//                                + sum over ky, kx, c of v[b, oy stride + ky - top, ox stride + kx - left, c] weight[o, c, ky, kx]
//
// Pixels are rows of channels (NHWC), so a product of taps is one of matrices: neighbouring output pixels read rows of the
// input that lie `stride` pixels apart, a tap's channels are contiguous, and output channels are the vectors. v is the input
// x [B, height, width, channels], or x enlarged `factor` times: by repeating pixels (nearest upsampling), or with zeros
// between them where `dilated` is 1 (the gradient of a strided convolution). Outside it is zero.
//
// No image of the taps is ever written: a work-group copies the pixels it needs, a few at a time, to local memory.
//
// -D values, CPU shape: CONVOLUTION_ROWS (pixels of a tile) and CONVOLUTION_VECTORS (its output channels in vectors); GPU shape:
// CONVOLUTION_PER (4 or 8).
#include "cpu_convolution.cl"
#include "gpu_convolution.cl"
