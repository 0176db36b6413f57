// attention_backward: gradients of attention.cl with respect to query, key and value.
//
//   p_ij = exp(s_ij - logsumexp_i);  delta_i = dout_i . out_i
//   dv_j = sum_i z_ij p_ij dout_i;   ds_ij = p_ij (z_ij dout_i . v_j - delta_i)
//   dq_i = scale sum_j ds_ij k_j;    dk_j = scale sum_i ds_ij q_i
//
// dquery, dkey, dvalue have the shapes, strides and columns of query, key and value (so a packed dqkv is one tensor passed
// three times); dk and dv sum over the kv_group query batches of a key batch, in order. Probabilities are recomputed from
// logsumexp: nothing of size N x M is stored.
#include "cpu_attention_backward.cl"
#include "gpu_attention_flash_backward.cl"
