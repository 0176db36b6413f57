// softmax_entropy_backward: gradients of softmax_entropy.cl with respect to query and key.
//
// With g_rc = dE_r slope_rc and t_r = sum_c w_rc g_rc, for each head: ds_rc = w_rc g_rc - x_rc t_r, dq_r = scale sum_c ds_rc k_c,
// dk_c = scale sum_r ds_rc q_r. x is w; or, where the divisor of w is at its floor, a, which then reaches the buffer columns
// as well. The gradient is zero where a clamp acted: slope is 0 there, and a clamped E is exactly 0 or 1.
//
// dquery, dkey have the shapes, strides and columns of query and key. In a packed dqkv the columns of v, from value_column
// on, are set to zero; value_column < 0 where key is a tensor of its own.
#include "cpu_softmax_entropy_backward.cl"
#include "gpu_softmax_entropy_backward.cl"
