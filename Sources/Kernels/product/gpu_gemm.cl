// gpu_gemm: gemm.cl for GPUs.
#include "gemm_epilogue.cl"

#if defined(TEAM_GPU) && !defined(GPU_GEMM_CL)
#define GPU_GEMM_CL

#ifdef TRANSPOSE_A
#define GEMM_A_AT(row, step) ((size_t)(step) * lda + (row))
#else
#define GEMM_A_AT(row, step) ((size_t)(row) * lda + (step))
#endif

// GPU shape: 256 work-items compute a 64 x 64 tile, 4 x 4 each, over slices of 16 k values in local memory. The
// argument list is that of the CPU shape; B stands as it is, so panel and the counts per group are not used.
#define GEMM_TILE 64
#define GEMM_SLICE 16
// A row of local memory is one float4 longer than the tile, so that the transposing writes spread over the banks.
#define GEMM_TILE_ROW (GEMM_TILE + 4)

#ifdef TRANSPOSE_B
#define GEMM_B_AT(step, column) ((size_t)(column) * ldb + (step))
#else
#define GEMM_B_AT(step, column) ((size_t)(step) * ldb + (column))
#endif

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void gemm_forward(
    IN(float, a), IN(float, b), OUT(float, c), const int m, const int n, const int k, const int k_total, const int lda,
    const int ldb, const int panel, const int ldc, const int stride_a, const int stride_b, const int stride_c,
    const int tiles_per_group, const int panels_per_group, const float alpha EPILOGUE_PARAMETERS) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, c);
  EPILOGUE_USE
  __local float left[GEMM_SLICE * GEMM_TILE_ROW];
  __local float right[GEMM_SLICE * GEMM_TILE_ROW];
  const int item = get_local_id(0);
  const size_t entry = get_group_id(2);
  const int steps = (int)min((size_t)k, (size_t)k_total - entry * k);
  const int tile_row = get_group_id(0) * GEMM_TILE, tile_column = get_group_id(1) * GEMM_TILE;
  const int row = (item / 16) * 4, column = (item % 16) * 4;
  a += entry * stride_a;
  b += entry * stride_b;
  float4 sum[4] = {(float4)(0.0f), (float4)(0.0f), (float4)(0.0f), (float4)(0.0f)};

  for (int slice = 0; slice < steps; slice += GEMM_SLICE) {
    // Neighbouring work-items read neighbouring addresses, whichever way the matrix lies.
    for (int e = item; e < GEMM_TILE * GEMM_SLICE; e += 256) {
#ifdef TRANSPOSE_A
      const int i = e % GEMM_TILE, s = e / GEMM_TILE;
#else
      const int i = e / GEMM_SLICE, s = e % GEMM_SLICE;
#endif
      left[s * GEMM_TILE_ROW + i] =
          tile_row + i < m && slice + s < steps ? a[GEMM_A_AT(tile_row + i, slice + s)] : 0.0f;
    }
    for (int e = item; e < GEMM_TILE * GEMM_SLICE; e += 256) {
#ifdef TRANSPOSE_B
      const int j = e / GEMM_SLICE, s = e % GEMM_SLICE;
#else
      const int j = e % GEMM_TILE, s = e / GEMM_TILE;
#endif
      right[s * GEMM_TILE_ROW + j] =
          tile_column + j < n && slice + s < steps ? b[GEMM_B_AT(slice + s, tile_column + j)] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < GEMM_SLICE; ++s) {
      const float4 x = vload4(0, left + s * GEMM_TILE_ROW + row);
      const float4 y = vload4(0, right + s * GEMM_TILE_ROW + column);
      sum[0] += x.x * y;
      sum[1] += x.y * y;
      sum[2] += x.z * y;
      sum[3] += x.w * y;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  const int j = tile_column + column;
  // Unrolled, so that the sums are registers.
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int i = tile_row + row + r;
    const size_t at = entry * stride_c + (size_t)i * ldc;
    if (i < m && j < n) EPILOGUE_STORE(alpha * sum[r], EPILOGUE_ROW_OF(i), at, j, n);
  }
}

#endif
