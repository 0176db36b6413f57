// cpu_gemm: the micro-kernel of gemm.cl for CPUs. A work-item holds a tile of C in vector registers over all of K.
#include "gemm_epilogue.cl"

#if !defined(TEAM_GPU) && !defined(CPU_GEMM_CL)
#define CPU_GEMM_CL

#ifdef TRANSPOSE_A
#define GEMM_A_AT(row, step) ((size_t)(step) * lda + (row))
#else
#define GEMM_A_AT(row, step) ((size_t)(row) * lda + (step))
#endif

#ifndef GEMM_TILE_M
#define GEMM_TILE_M 12
#endif
#ifndef GEMM_VECTORS
#define GEMM_VECTORS 2
#endif
#define GEMM_TILE_N (GEMM_VECTORS * LANES)
// Steps of k from a prefetch to its use.
#define GEMM_AHEAD 12

#ifdef GEMM_PACKED
#define GEMM_SPACE __local
#else
#define GEMM_SPACE __global
#endif
#define GEMM_STORE(value, p) (*(GEMM_SPACE float_packed *)(p) = (value))

// packed[step, 0..GEMM_TILE_N) = op(B)[step, p * GEMM_TILE_N + ...] for the k values of some chunks of LANES, zero beyond
// column n.
CALLED void gemm_pack_panel(__global const float *b, GEMM_SPACE float *packed, int p, int n, int k, int ldb, int first_chunk,
                            int last_chunk) {
  for (int v = 0; v < GEMM_VECTORS; ++v) {
    const int column = p * GEMM_TILE_N + v * LANES;
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
        for (int r = 0; r < LANES; ++r) GEMM_STORE(x[r], packed + (step + r) * GEMM_TILE_N + v * LANES);
      } else {
#pragma unroll
        for (int r = 0; r < LANES; ++r)
          if (r < rows) GEMM_STORE(x[r], packed + (step + r) * GEMM_TILE_N + v * LANES);
      }
#else
      for (int r = 0; r < rows; ++r) {
        const floatL value = column < n ? lanes_load(b + (size_t)(step + r) * ldb, column, n) : (floatL)(0.0f);
        GEMM_STORE(value, packed + (step + r) * GEMM_TILE_N + v * LANES);
      }
#endif
    }
  }
}

#ifdef GEMM_ROW_SUM
#define GEMM_ROW_SUM_PARAMETER , OUT(float, row_sum)
#define GEMM_ROW_SUM_ARGUMENT , row_sum_buffer, row_sum_offset
#else
#define GEMM_ROW_SUM_PARAMETER
#define GEMM_ROW_SUM_ARGUMENT
#endif

#ifndef GEMM_PACKED
// packed[entry, p, step, 0..GEMM_TILE_N) from op(B).
// Groups: (chunks of LANES k values, panels, batch). Traffic: 8 * k * n bytes a batch entry.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_pack(
    IN(float, b), OUT(float, packed), const int n, const int k, const int ldb, const int stride_b,
    const int chunks_per_group) {
  USE_IN(float, b);
  USE_OUT(float, packed);
  const int p = get_group_id(1);
  const size_t entry = get_group_id(2);
  const int first_chunk = get_group_id(0) * chunks_per_group;
  const int last_chunk = min((k + LANES - 1) / LANES, first_chunk + chunks_per_group);
  gemm_pack_panel(b + entry * stride_b, packed + (entry * get_num_groups(1) + p) * (size_t)k * GEMM_TILE_N, p, n, k, ldb,
                  first_chunk, last_chunk);
}
#endif

#ifdef GEMM_PACKED
#define GEMM_COLUMN_STEP GEMM_TILE_N
#else
#define GEMM_COLUMN_STEP ldb
#endif

// Tiles first_tile..<last_tile of GEMM_TILE_M rows in panels first_panel..<last_panel of GEMM_TILE_N columns, with all sums of a
// tile in registers: a step of k is GEMM_VECTORS loads of B and GEMM_TILE_M broadcasts of A for GEMM_TILE_M * GEMM_VECTORS
// multiply-adds. `a` is the batch entry's op(A), `columns` the first panel of op(B), and entry_c where the entry's C begins.
CALLED void gemm_tiles(__global const float *a, GEMM_SPACE const float *columns, __global float *c, int m, int n, int steps,
                       int lda, int ldb, int panel, int ldc, size_t entry_c, int first_tile, int last_tile, int first_panel,
                       int last_panel, float alpha EPILOGUE_PARAMETERS GEMM_ROW_SUM_PARAMETER) {
  EPILOGUE_USE
#ifdef GEMM_ROW_SUM
  USE_OUT(float, row_sum);
#endif
  for (int work = 0; work < (last_tile - first_tile) * (last_panel - first_panel); ++work) {
    const int p = first_panel + work % (last_panel - first_panel);
    const int first_row = (first_tile + work / (last_panel - first_panel)) * GEMM_TILE_M;
    // The last tile starts early enough to be full; it does not write the rows of its neighbour a second time.
    const int tile_row = min(first_row, m - GEMM_TILE_M);
    __global const float *row = a + GEMM_A_AT(tile_row, 0);
    GEMM_SPACE const float *column = columns + (size_t)(p - first_panel) * panel;
    floatL sum[GEMM_TILE_M][GEMM_VECTORS];
#pragma unroll
    for (int r = 0; r < GEMM_TILE_M; ++r) {
      const size_t at = entry_c + (size_t)(tile_row + r) * ldc + p * GEMM_TILE_N;
#pragma unroll
      for (int v = 0; v < GEMM_VECTORS; ++v) {
        EPILOGUE_AHEAD(at + v * LANES);
        sum[r][v] = 0.0f;
      }
    }
#ifdef GEMM_ROW_SUM
    // A pass of its own leaves the registers to the product, and finds A for it.
    if (p == 0) {
      float total[GEMM_TILE_M];
#pragma unroll
      for (int r = 0; r < GEMM_TILE_M; ++r) total[r] = 0.0f;
      for (int step = 0; step < steps; ++step) {
        PREFETCH(row + (size_t)(step + GEMM_AHEAD) * lda);
#pragma unroll
        for (int r = 0; r < GEMM_TILE_M; ++r) total[r] += row[GEMM_A_AT(r, step)];
      }
      for (int r = first_row - tile_row; r < GEMM_TILE_M; ++r) row_sum[tile_row + r] = total[r];
    }
#endif
    for (int step = 0; step < steps; ++step) {
      // Short rows give a hardware prefetcher nothing to go by. Transposed, the rows ahead; else, a piece of the next tile.
#ifdef TRANSPOSE_A
      PREFETCH(row + (size_t)(step + GEMM_AHEAD) * lda);
#pragma unroll
      for (int v = 0; v < GEMM_VECTORS; ++v) PREFETCH(column + (size_t)(step + GEMM_AHEAD) * GEMM_COLUMN_STEP + v * LANES);
#else
      PREFETCH(row + (size_t)GEMM_TILE_M * lda + step * GEMM_TILE_M);
#endif
      floatL right[GEMM_VECTORS];
#pragma unroll
      for (int v = 0; v < GEMM_VECTORS; ++v) right[v] = vloadL(v, column + (size_t)step * GEMM_COLUMN_STEP);
#pragma unroll
      for (int r = 0; r < GEMM_TILE_M; ++r) {
        const float left = row[GEMM_A_AT(r, step)];
#pragma unroll
        for (int v = 0; v < GEMM_VECTORS; ++v) sum[r][v] += left * right[v];
      }
    }
#if !defined(GELU) && !defined(GELU_DERIVATIVE)
    // A full tile with little to do to it is finished from the registers.
    if (tile_row == first_row && (p + 1) * GEMM_TILE_N <= n) {
#pragma unroll
      for (int r = 0; r < GEMM_TILE_M; ++r) {
        const size_t at = entry_c + (size_t)(tile_row + r) * ldc;
#pragma unroll
        for (int v = 0; v < GEMM_VECTORS; ++v) {
          const int j = p * GEMM_TILE_N + v * LANES;
          EPILOGUE_STORE(alpha * sum[r][v], tile_row + r, at, j, j + LANES);
        }
      }
      continue;
    }
#endif
    // Others pass through memory: a loop over the sums would keep them from registers while they are summed, and an
    // unrolled GELU would be GEMM_TILE_M * GEMM_VECTORS copies of it. A row's GELUs are side by side to hide their latency.
    floatL tile[GEMM_TILE_M * GEMM_VECTORS];
#pragma unroll
    for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
      for (int v = 0; v < GEMM_VECTORS; ++v) tile[r * GEMM_VECTORS + v] = alpha * sum[r][v];
    if ((p + 1) * GEMM_TILE_N <= n) {
      for (int r = first_row - tile_row; r < GEMM_TILE_M; ++r) {
        const int i = tile_row + r;
        const size_t at = entry_c + (size_t)i * ldc;
#pragma unroll
        for (int v = 0; v < GEMM_VECTORS; ++v) {
          const int j = p * GEMM_TILE_N + v * LANES;
          EPILOGUE_STORE(tile[r * GEMM_VECTORS + v], i, at, j, j + LANES);
        }
      }
      continue;
    }
    for (int r = first_row - tile_row; r < GEMM_TILE_M; ++r) {
      const int i = tile_row + r;
      const size_t at = entry_c + (size_t)i * ldc;
      for (int j = p * GEMM_TILE_N, v = 0; v < GEMM_VECTORS && j < n; ++v, j += LANES)
        EPILOGUE_STORE(tile[r * GEMM_VECTORS + v], i, at, j, n);
    }
  }
}

// One work-item a group, which computes tiles_per_group times panels_per_group tiles.
// B is read in column panels: panel p starts at p * panel, its rows are ldb apart. A matrix as it stands has panel =
// GEMM_TILE_N and its own ldb (n a multiple of GEMM_TILE_N); one that gemm_pack has copied has panel = k_total *
// GEMM_TILE_N and ldb = GEMM_TILE_N. With GEMM_PACKED, the panels of a group are copied first: that spares a launch, and
// costs little where a group has several tiles of rows.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_forward(
    IN(float, a), IN(float, b), OUT(float, c), const int m, const int n, const int k, const int k_total, const int lda,
    const int ldb, const int panel, const int ldc, const int stride_a, const int stride_b, const int stride_c,
    const int tiles_per_group, const int panels_per_group, const float alpha EPILOGUE_PARAMETERS
        GEMM_ROW_SUM_PARAMETER) {
  USE_IN(float, a);
  USE_IN(float, b);
  USE_OUT(float, c);
  const size_t entry = get_group_id(2);
  const int steps = (int)min((size_t)k, (size_t)k_total - entry * k);
  const int panels = (n + GEMM_TILE_N - 1) / GEMM_TILE_N;
  const int first_panel = get_group_id(1) * panels_per_group;
  const int last_panel = min(panels, first_panel + panels_per_group);
  const int tiles = (m + GEMM_TILE_M - 1) / GEMM_TILE_M;
  const int first_tile = get_group_id(0) * tiles_per_group, last_tile = min(tiles, first_tile + tiles_per_group);
  b += entry * stride_b;
#ifdef GEMM_PACKED
  __local float packed[GEMM_PACKED];
  for (int p = first_panel; p < last_panel; ++p)
    gemm_pack_panel(b, packed + (p - first_panel) * k * GEMM_TILE_N, p, n, k, ldb, 0, (k + LANES - 1) / LANES);
  // `panel` is GEMM_TILE_N: an address that is no constant. A constant one is carried into the function, and PoCL gives memory
  // to local arrays where the kernel itself names them, nowhere else.
  gemm_tiles(a + entry * stride_a, packed + (panel - GEMM_TILE_N), c, m, n, steps, lda, ldb, k * GEMM_TILE_N, ldc, entry * stride_c, first_tile,
             last_tile, first_panel, last_panel, alpha EPILOGUE_ARGUMENTS GEMM_ROW_SUM_ARGUMENT);
#else
  gemm_tiles(a + entry * stride_a, b + (size_t)first_panel * panel, c, m, n, steps, lda, ldb, panel, ldc, entry * stride_c,
             first_tile, last_tile, first_panel, last_panel, alpha EPILOGUE_ARGUMENTS GEMM_ROW_SUM_ARGUMENT);
#endif
}

#endif
