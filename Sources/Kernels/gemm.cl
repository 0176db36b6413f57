// gemm: C[m, n] = alpha * op(A)[m, k] op(B)[k, n], row-major, then the epilogue of gemm_epilogue.cl.
//
// -D values: TRANSPOSE_A (A is stored [k, m]), TRANSPOSE_B (B is stored [n, k]), the epilogue's switches; CPU shape:
// TILE_M (rows of a tile, at most m) and VECTORS (columns of a tile in vectors; TILE_N = VECTORS * LANES).
//
// Grid: (tiles of m, groups of column panels, batch) work-groups. Batch entry s multiplies the k values
// [s * k, min((s + 1) * k, k_total)): a plain batch passes k_total = batch * k; a product split over K passes its own K,
// strides of one split and C = [splits, m, n] partial sums, which gemm_epilogue_forward adds up.
//
// Traffic: 4 * (m k + k n + m n) bytes at least, 2 m n k operations, each for every batch entry.
#include "gemm_epilogue.cl"

#ifdef TRANSPOSE_A
#define A_AT(row, step) ((size_t)(step) * lda + (row))
#else
#define A_AT(row, step) ((size_t)(row) * lda + (step))
#endif

#ifndef TEAM_GPU

#ifndef TILE_M
#define TILE_M 12
#endif
#ifndef VECTORS
#define VECTORS 2
#endif
#define TILE_N (VECTORS * LANES)

// One work-item per group computes TILE_M x TILE_N tiles, all sums in registers: a step of k is VECTORS loads of B and
// TILE_M broadcasts of A for TILE_M * VECTORS multiply-adds.
// B is read in column panels: column panel p starts at p * panel, its rows are ldb apart. A matrix as it stands has
// panel = TILE_N and its own ldb (n a multiple of TILE_N); a packed one (gemm_pack) has panel = k_total * TILE_N, ldb = TILE_N.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_forward(
    IN(float, a), IN(float, b), OUT(float, c), const int m, const int n, const int k, const int k_total, const int lda,
    const int ldb, const int panel, const int ldc, const int stride_a, const int stride_b, const int stride_c,
    const int panels_per_group, const float alpha EPILOGUE_PARAMETERS) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, c);
  EPILOGUE_USE
  const size_t entry = get_group_id(2);
  const int steps = (int)min((size_t)k, (size_t)k_total - entry * k);
  const int first_row = get_group_id(0) * TILE_M;
  // The last tile starts early enough to be full; it does not write the rows of its neighbour a second time.
  const int tile_row = min(first_row, m - TILE_M);
  const int panels = (n + TILE_N - 1) / TILE_N;
  const int first_panel = get_group_id(1) * panels_per_group;
  const int last_panel = min(panels, first_panel + panels_per_group);
  a += entry * stride_a + A_AT(tile_row, 0);

  for (int p = first_panel; p < last_panel; ++p) {
    __global const float *column = b + entry * stride_b + (size_t)p * panel;
    floatL sum[TILE_M][VECTORS];
#pragma unroll
    for (int r = 0; r < TILE_M; ++r)
#pragma unroll
      for (int v = 0; v < VECTORS; ++v) sum[r][v] = 0.0f;
    for (int step = 0; step < steps; ++step) {
      floatL right[VECTORS];
#pragma unroll
      for (int v = 0; v < VECTORS; ++v) right[v] = vloadL(v, column + (size_t)step * ldb);
#pragma unroll
      for (int r = 0; r < TILE_M; ++r) {
        const float left = a[A_AT(r, step)];
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) sum[r][v] += left * right[v];
      }
    }
#if !defined(GELU) && !defined(GELU_DERIVATIVE)
    // A full tile with little to do to it is finished from the registers.
    if (tile_row == first_row && (p + 1) * TILE_N <= n) {
#pragma unroll
      for (int r = 0; r < TILE_M; ++r) {
        const size_t at = entry * stride_c + (size_t)(tile_row + r) * ldc;
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
          const int j = p * TILE_N + v * LANES;
          EPILOGUE_STORE(alpha * sum[r][v], tile_row + r, at, j, j + LANES);
        }
      }
      continue;
    }
#endif
    // Others pass through memory: a loop over the sums would keep them from registers while they are summed, and an
    // unrolled GELU would be TILE_M * VECTORS copies of it.
    float tile[TILE_M * TILE_N];
#pragma unroll
    for (int r = 0; r < TILE_M; ++r)
#pragma unroll
      for (int v = 0; v < VECTORS; ++v) vstoreL(alpha * sum[r][v], r * VECTORS + v, tile);
    for (int r = first_row - tile_row; r < TILE_M; ++r) {
      const int i = tile_row + r;
      const size_t at = entry * stride_c + (size_t)i * ldc;
      for (int j = p * TILE_N, v = 0; v < VECTORS && j < n; ++v, j += LANES)
        EPILOGUE_STORE(vloadL(r * VECTORS + v, tile), i, at, j, n);
    }
  }
}

// packed[entry, p, step, 0..TILE_N) = op(B)[step, p * TILE_N + ...], zero beyond column n.
// Groups: (chunks of LANES k values, panels, batch). Traffic: 8 * k * n bytes a batch entry.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_pack(
    IN(float, b), OUT(float, packed), const int n, const int k, const int ldb, const int stride_b, const int chunks_per_group) {
  USE_IN(float, b);
  USE_OUT(float, packed);
  const int p = get_group_id(1);
  const size_t entry = get_group_id(2);
  const int chunks = (k + LANES - 1) / LANES;
  const int first_chunk = get_group_id(0) * chunks_per_group;
  const int last_chunk = min(chunks, first_chunk + chunks_per_group);
  b += entry * stride_b;
  packed += (entry * get_num_groups(1) + p) * (size_t)k * TILE_N;
  for (int v = 0; v < VECTORS; ++v) {
    const int column = p * TILE_N + v * LANES;
    for (int chunk = first_chunk; chunk < last_chunk; ++chunk) {
      const int step = chunk * LANES, rows = min(LANES, k - step);
#ifdef TRANSPOSE_B
      // Rows of B become lanes: log2(LANES) perfect shuffles transpose a square of vectors.
      floatL x[LANES], y[LANES];
#pragma unroll
      for (int r = 0; r < LANES; ++r)
        x[r] = column + r < n ? lanes_load(b + (size_t)(column + r) * ldb, step, k) : (floatL)(0.0f);
#pragma unroll
      for (int width = 1; width < LANES; width *= 2) {
#pragma unroll
        for (int r = 0; r < LANES / 2; ++r) {
          y[2 * r].even = x[r].lo;
          y[2 * r].odd = x[r + LANES / 2].lo;
          y[2 * r + 1].even = x[r].hi;
          y[2 * r + 1].odd = x[r + LANES / 2].hi;
        }
#pragma unroll
        for (int r = 0; r < LANES; ++r) x[r] = y[r];
      }
      if (rows == LANES) {
#pragma unroll
        for (int r = 0; r < LANES; ++r) vstoreL(x[r], v, packed + (size_t)(step + r) * TILE_N);
      } else {
#pragma unroll
        for (int r = 0; r < LANES; ++r)
          if (r < rows) vstoreL(x[r], v, packed + (size_t)(step + r) * TILE_N);
      }
#else
      for (int r = 0; r < rows; ++r) {
        const floatL value = column < n ? lanes_load(b + (size_t)(step + r) * ldb, column, n) : (floatL)(0.0f);
        vstoreL(value, v, packed + (size_t)(step + r) * TILE_N);
      }
#endif
    }
  }
}

#else

// GPU shape: 256 work-items compute a 64 x 64 tile, 4 x 4 each, over slices of 16 k values in local memory. The argument
// list is that of the CPU shape; B stands as it is (TRANSPOSE_B or not), so panel and panels_per_group are not used.
#define TILE 64
#define SLICE 16
// A row of local memory is one float4 longer than the tile, so that the transposing writes spread over the banks.
#define TILE_ROW (TILE + 4)

#ifdef TRANSPOSE_B
#define B_AT(step, column) ((size_t)(column) * ldb + (step))
#else
#define B_AT(step, column) ((size_t)(step) * ldb + (column))
#endif

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void gemm_forward(
    IN(float, a), IN(float, b), OUT(float, c), const int m, const int n, const int k, const int k_total, const int lda,
    const int ldb, const int panel, const int ldc, const int stride_a, const int stride_b, const int stride_c,
    const int panels_per_group, const float alpha EPILOGUE_PARAMETERS) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, c);
  EPILOGUE_USE
  __local float left[SLICE * TILE_ROW];
  __local float right[SLICE * TILE_ROW];
  const int item = get_local_id(0);
  const size_t entry = get_group_id(2);
  const int steps = (int)min((size_t)k, (size_t)k_total - entry * k);
  const int tile_row = get_group_id(0) * TILE, tile_column = get_group_id(1) * TILE;
  const int row = (item / 16) * 4, column = (item % 16) * 4;
  a += entry * stride_a;
  b += entry * stride_b;
  float4 sum[4] = {(float4)(0.0f), (float4)(0.0f), (float4)(0.0f), (float4)(0.0f)};

  for (int slice = 0; slice < steps; slice += SLICE) {
    // Neighbouring work-items read neighbouring addresses, whichever way the matrix lies.
    for (int e = item; e < TILE * SLICE; e += 256) {
#ifdef TRANSPOSE_A
      const int i = e % TILE, s = e / TILE;
#else
      const int i = e / SLICE, s = e % SLICE;
#endif
      left[s * TILE_ROW + i] = tile_row + i < m && slice + s < steps ? a[A_AT(tile_row + i, slice + s)] : 0.0f;
    }
    for (int e = item; e < TILE * SLICE; e += 256) {
#ifdef TRANSPOSE_B
      const int j = e / SLICE, s = e % SLICE;
#else
      const int j = e % TILE, s = e / TILE;
#endif
      right[s * TILE_ROW + j] =
          tile_column + j < n && slice + s < steps ? b[B_AT(slice + s, tile_column + j)] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < SLICE; ++s) {
      const float4 x = vload4(0, left + s * TILE_ROW + row);
      const float4 y = vload4(0, right + s * TILE_ROW + column);
      sum[0] += x.x * y;
      sum[1] += x.y * y;
      sum[2] += x.z * y;
      sum[3] += x.w * y;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  const int j = tile_column + column;
  for (int r = 0; r < 4; ++r) {
    const int i = tile_row + row + r;
    const size_t at = entry * stride_c + (size_t)i * ldc;
    if (i < m && j < n) EPILOGUE_STORE(alpha * sum[r], i, at, j, n);
  }
}

#endif
