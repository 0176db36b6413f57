// softmax_entropy: entropy of the head-averaged attention among content positions (Eq. 4).
//
// Query and key are the sequences [B, K + R, *] of an attention: K buffer positions, then R content positions. A content row sees
// the buffer and the content up to its own column (`ahead` 0: the mask is the prefix K, see attention_shape.cl), or all of it
// (`ahead` R: no mask). For content row r (from 1) and column c, both among the content, and n_r columns that r sees:
//
//   a_hrc = softmax(scale q_r k)_c over all that r sees;  w_hrc = a_hrc / max(sum_c a_hrc, 1e-8)
//   m_rc = mean_h w_hrc;  u_rc = max(m_rc, 1e-8);  E_r = clamp(-sum_{c <= R} u_rc log u_rc / log n_r, 0, 1),  0 where n_r is 1
//
// Columns that r does not see still add their 1e-8 log 1e-8.
// Nothing of size H x N x N is stored: entropy [B, R], slope [B, c, r] = dE_r / dw_hrc (the same for each head h) and
// statistics [3, B, H, R]: the maximum of a row (in powers of 2), 1 / divisor of w, and, where that divisor is at its floor,
// 1 / divisor of a (else 0). Logarithms of the divisors would cost the digits that tell a one-hot row from 1.
#include "cpu_softmax_entropy.cl"
#include "gpu_softmax_entropy.cl"
