// gemm_epilogue: what happens to a product before it is written, in the micro-kernel's registers (gemm.cl) or, after a
// library's GEMM or a product split over K, as a launch of its own.
//
//   value = sum (+ C if ACCUMULATE);  value += bias[j] (BIAS);  intermediate[i, j] = value (INTERMEDIATE);
//   value = f(value) (GELU or SILU);  value *= f'(aux[i, j]) (GELU_DERIVATIVE or SILU_DERIVATIVE);
//   value *= gate[(i / span) * inner + i % inner, j] (GATE);  value += residual[i, j] (RESIDUAL);  C[i, j] = value
//
// intermediate, aux and residual have the layout of C. Each name in capitals is a -D switch; a kernel has the arguments
// of the switches that are on, in the order bias, intermediate, aux, residual, gate + (int gate_stride, span, inner).
#include "team.cl"
#include "math.cl"

#ifndef GEMM_EPILOGUE_CL
#define GEMM_EPILOGUE_CL

#ifdef ACCUMULATE
#define APPLY_ACCUMULATE(at, j, n) value_ += lanes_load(c + (at), j, n);
#define AHEAD_ACCUMULATE(at) PREFETCH(c + (at));
#else
#define APPLY_ACCUMULATE(at, j, n)
#define AHEAD_ACCUMULATE(at)
#endif

#ifdef BIAS
#define BIAS_PARAMETER , IN(float, bias)
#define BIAS_ARGUMENT , bias_buffer, bias_offset
#define BIAS_USE USE_IN(float, bias);
#define APPLY_BIAS(j, n) value_ += lanes_load(bias, j, n);
#else
#define BIAS_PARAMETER
#define BIAS_ARGUMENT
#define BIAS_USE
#define APPLY_BIAS(j, n)
#endif

#ifdef INTERMEDIATE
#define INTERMEDIATE_PARAMETER , OUT(float, intermediate)
#define INTERMEDIATE_ARGUMENT , intermediate_buffer, intermediate_offset
#define INTERMEDIATE_USE USE_OUT(float, intermediate);
#define APPLY_INTERMEDIATE(at, j, n) lanes_store(intermediate + (at), j, n, value_);
#define AHEAD_INTERMEDIATE(at) PREFETCH_WRITE(intermediate + (at));
#else
#define INTERMEDIATE_PARAMETER
#define INTERMEDIATE_ARGUMENT
#define INTERMEDIATE_USE
#define APPLY_INTERMEDIATE(at, j, n)
#define AHEAD_INTERMEDIATE(at)
#endif

#if defined(GELU_DERIVATIVE) || defined(SILU_DERIVATIVE)
#define AUX_PARAMETER , IN(float, aux)
#define AUX_ARGUMENT , aux_buffer, aux_offset
#define AUX_USE USE_IN(float, aux);
#define AHEAD_AUX(at) PREFETCH(aux + (at));
#else
#define AHEAD_AUX(at)
#define AUX_PARAMETER
#define AUX_ARGUMENT
#define AUX_USE
#endif

#ifdef RESIDUAL
#define RESIDUAL_PARAMETER , IN(float, residual)
#define RESIDUAL_ARGUMENT , residual_buffer, residual_offset
#define RESIDUAL_USE USE_IN(float, residual);
#define APPLY_RESIDUAL(at, j, n) value_ += lanes_load(residual + (at), j, n);
#define AHEAD_RESIDUAL(at) PREFETCH(residual + (at));
#else
#define AHEAD_RESIDUAL(at)
#define RESIDUAL_PARAMETER
#define RESIDUAL_ARGUMENT
#define RESIDUAL_USE
#define APPLY_RESIDUAL(at, j, n)
#endif

#ifdef GATE
#define GATE_PARAMETER , IN(float, gate), const int gate_stride, const int span, const int inner
#define GATE_ARGUMENT , gate_buffer, gate_offset, gate_stride, span, inner
#define GATE_USE USE_IN(float, gate);
#define APPLY_GATE(row, j, n) value_ *= lanes_load(gate + (size_t)(row)*gate_stride, j, n);
// The gate's row for row i of C, and for rows of a tile that starts at row i: two divisions for all of them.
#define EPILOGUE_ROW_OF(i) (((i) / span) * inner + (i) % inner)
#define EPILOGUE_ROWS(i, count)                                                          \
  int gate_rows_[count];                                                                 \
  int block_ = (i) / span, in_block_ = (i) % span, in_inner_ = (i) % inner;              \
  for (int r_ = 0; r_ < (count); ++r_) {                                                 \
    gate_rows_[r_] = block_ * inner + in_inner_;                                         \
    if (++in_block_ == span) in_block_ = 0, ++block_;                                    \
    if (++in_inner_ == inner) in_inner_ = 0;                                             \
  }
#define EPILOGUE_ROW(r) gate_rows_[r]
#else
#define EPILOGUE_ROW_OF(i) 0
#define EPILOGUE_ROWS(i, count)
#define EPILOGUE_ROW(r) 0
#define GATE_PARAMETER
#define GATE_ARGUMENT
#define GATE_USE
#define APPLY_GATE(row, j, n)
#endif

#define EPILOGUE_PARAMETERS BIAS_PARAMETER INTERMEDIATE_PARAMETER AUX_PARAMETER RESIDUAL_PARAMETER GATE_PARAMETER
#define EPILOGUE_ARGUMENTS BIAS_ARGUMENT INTERMEDIATE_ARGUMENT AUX_ARGUMENT RESIDUAL_ARGUMENT GATE_ARGUMENT
#define EPILOGUE_USE BIAS_USE INTERMEDIATE_USE AUX_USE RESIDUAL_USE GATE_USE

// Asks for what EPILOGUE_STORE will read and write at element `at` of C's layout.
#define EPILOGUE_AHEAD(at)     \
  do {                         \
    PREFETCH_WRITE(c + (at));  \
    AHEAD_INTERMEDIATE(at)     \
    AHEAD_ACCUMULATE(at)       \
    AHEAD_AUX(at)              \
    AHEAD_RESIDUAL(at)         \
  } while (0)

// Finishes and writes LANES values of a row from column j on; `at` is the row's first element in C, `row` the gate's row.
#define EPILOGUE_STORE(sum, row, at, j, n)    \
  do {                                        \
    floatL begun_;                            \
    EPILOGUE_BEGIN(begun_, sum, at, j, n);    \
    EPILOGUE_APPLY(begun_, at, j, n)          \
    EPILOGUE_FINISH(begun_, row, at, j, n);   \
  } while (0)

// The same in parts: what comes before an activation or its derivative, and what comes after.
#define EPILOGUE_BEGIN(target, sum, at, j, n) \
  do {                                        \
    floatL value_ = (sum);                    \
    APPLY_ACCUMULATE(at, j, n)                \
    APPLY_BIAS(j, n)                          \
    APPLY_INTERMEDIATE(at, j, n)              \
    target = value_;                          \
  } while (0)
#define EPILOGUE_FINISH(begun, row, at, j, n) \
  do {                                        \
    floatL value_ = (begun);                  \
    APPLY_GATE(row, j, n)                     \
    APPLY_RESIDUAL(at, j, n)                  \
    lanes_store(c + (at), j, n, value_);      \
  } while (0)
// Between them, x = EPILOGUE_ACTIVATION_INPUT for some whole vectors, EPILOGUE_ACTIVATION of them all, EPILOGUE_ACTIVATION_OUTPUT
// for each.
#if defined(GELU)
#define EPILOGUE_ACTIVATION(x, count) gelu_vectors(x, count)
#define EPILOGUE_FUNCTION gelu_lanes
#elif defined(SILU)
#define EPILOGUE_ACTIVATION(x, count) silu_vectors(x, count)
#define EPILOGUE_FUNCTION silu_lanes
#elif defined(GELU_DERIVATIVE)
#define EPILOGUE_ACTIVATION(x, count) gelu_derivative_vectors(x, count)
#define EPILOGUE_DERIVATIVE gelu_derivative_lanes
#elif defined(SILU_DERIVATIVE)
#define EPILOGUE_ACTIVATION(x, count) silu_derivative_vectors(x, count)
#define EPILOGUE_DERIVATIVE silu_derivative_lanes
#endif
#if defined(EPILOGUE_FUNCTION)
#define EPILOGUE_ACTIVATION_INPUT(begun, at, j) (begun)
#define EPILOGUE_ACTIVATION_OUTPUT(begun, x) (x)
#define EPILOGUE_APPLY(begun, at, j, n) begun = EPILOGUE_FUNCTION(begun);
#elif defined(EPILOGUE_DERIVATIVE)
#define EPILOGUE_ACTIVATION_INPUT(begun, at, j) LOAD_PACKED(aux + (at) + (j))
#define EPILOGUE_ACTIVATION_OUTPUT(begun, x) ((begun) * (x))
#define EPILOGUE_APPLY(begun, at, j, n) begun *= EPILOGUE_DERIVATIVE(lanes_load(aux + (at), j, n));
#else
#define EPILOGUE_APPLY(begun, at, j, n)
#endif

#ifndef GEMM_VECTORS
// A launch of its own, which no program of cpu_gemm.cl has (they say GEMM_VECTORS).
// sum = alpha * sum over s < parts of part[s, b, i, j], added in the order of s, then the epilogue into C.
// part [parts, batch, m, n] dense, or C itself (parts = 1, ld = ldc) in place; C [batch, m, n] with ldc, stride_c.
// Traffic: (parts + 1 + epilogue tensors) * 4 * batch * m * n bytes.
TEAM_KERNEL void gemm_epilogue_forward(
    IN(float, part), OUT(float, c), const int batch, const int m, const int n, const int parts, const int part_stride,
    const int ld_part, const int ldc, const int stride_c, const float alpha EPILOGUE_PARAMETERS) {
  USE_IN(float, part);
  USE_OUT(float, c);
  EPILOGUE_USE
  TEAM_ROWS(row, batch * m) {
    const int i = row % m, b = row / m;
    const size_t at = (size_t)b * stride_c + (size_t)i * ldc;
    // A single part may lie in C's own layout; several are dense, one after the other.
    const size_t from = parts == 1 ? (size_t)b * part_stride + (size_t)i * ld_part : (size_t)row * ld_part;
    TEAM_FOR(j, n) {
      floatL sum = lanes_load(part + from, j, n);
      for (int s = 1; s < parts; ++s) sum += lanes_load(part + from + (size_t)s * part_stride, j, n);
      EPILOGUE_STORE(alpha * sum, EPILOGUE_ROW_OF(i), at, j, n);
    }
  }
}
#endif

#endif
