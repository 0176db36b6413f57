// attention: out = softmax(scale q k^T + mask) v for each head, and logsumexp of each row for the backward.
//
//   s_ij = scale q_i . k_j over the keys j that i sees;  logsumexp_i = log sum_j exp(s_ij)
//   out_i = sum_j z_ij exp(s_ij - logsumexp_i) v_j,  z the dropout factors (0 or 1/(1-p))
//
// q [B, N, *], k, v [Bk, M, *] -> out [B, N, H * HEAD_DIM], logsumexp [B, H, N]; see attention_shape.cl for strides and masks.
// 4 B H N M HEAD_DIM FLOPs (half of it with a causal mask); nothing of size N x M is stored: the softmax runs over tiles of
// keys, rescaling what it has summed when the row's maximum rises.
#include "cpu_attention.cl"
#include "gpu_attention_flash.cl"
