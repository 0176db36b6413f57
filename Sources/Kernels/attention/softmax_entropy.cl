// softmax_entropy: entropy of the head-averaged causal attention among content positions (Eq. 4).
//
// Query and key are the sequences [B, K + R, *] of an attention whose mask is the prefix K (see attention_shape.cl): K buffer
// positions, then R content positions. For content row r (from 1) and column c, both among the content:
//
//   a_hrc = softmax(scale q_r k)_c over all that r sees;  w_hrc = a_hrc / max(sum_c a_hrc, 1e-8)
//   m_rc = mean_h w_hrc;  u_rc = max(m_rc, 1e-8);  E_r = clamp(-sum_{c <= R} u_rc log u_rc / log r, 0, 1),  E_1 = 0
//
// Columns that r does not see still add their 1e-8 log 1e-8.
// Nothing of size H x N x N is stored: entropy [B, R], slope [B, c, r] = dE_r / dw_hrc (the same for each head h) and
// statistics [3, B, H, R]: the maximum of a row (in powers of 2), 1 / divisor of w, and, where that divisor is at its floor,
// 1 / divisor of a (else 0). Logarithms of the divisors would cost the digits that tell a one-hot row from 1.
#include "cpu_softmax_entropy.cl"
#include "gpu_softmax_entropy.cl"
