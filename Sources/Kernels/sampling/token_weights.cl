// token_weights: linear layers as the kernels of token_network.cl read them.
#ifndef TOKEN_WEIGHTS_CL
#define TOKEN_WEIGHTS_CL
#include "flat.cl"

// Outputs that stand together: those a work-item sums at a time, or neighbours of a group.
#if TEAM_SIZE > 1
#define TOKEN_PANEL 32
#else
#define TOKEN_PANEL (2 * LANES)
#endif

// A layer of `padded` outputs, a multiple of 32, the last of which are zeros: for each panel the weights of its outputs, input by
// input, then the biases.
//   packed[(j / P k + i) P + j % P] = weight[j, i];  packed[padded k + j] = bias[j]
// weight [rows, k], bias [rows] -> packed [padded (k + 1)]. With k = 0 the biases alone. Traffic: 8 padded k bytes.
TEAM_KERNEL void token_weights_pack(IN(float, weight), IN(float, bias), OUT(float, packed), const int rows, const int k,
                                    const int padded) {
  USE_IN(float, weight);
  USE_IN(float, bias);
  USE_OUT(float, packed);
  ITEM_FOR(item, (size_t)padded * (k + 1)) {
    const int i = (int)(item / padded), j = (int)(item % padded);
    if (i == k)
      packed[item] = j < rows ? bias[j] : 0.0f;
    else
      packed[((size_t)(j / TOKEN_PANEL) * k + i) * TOKEN_PANEL + j % TOKEN_PANEL] = j < rows ? weight[(size_t)j * k + i] : 0.0f;
  }
}

#endif
