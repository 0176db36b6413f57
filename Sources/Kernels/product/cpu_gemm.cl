// cpu_gemm: the micro-kernel of gemm.cl for CPUs. A work-item holds a tile of C in vector registers, over all of K or,
// where A is transposed, over a part of K at a time.
#include "transpose_lanes.cl"
#include "gemm_epilogue.cl"

#if !defined(TEAM_GPU) && !defined(CPU_GEMM_CL)
#define CPU_GEMM_CL

#ifdef TRANSPOSE_A
#define GEMM_A_AT(row, step) ((size_t)(step) * lda + (row))
#else
#define GEMM_A_AT(row, step) ((size_t)(row) * lda + (step))
#endif

#ifndef GEMM_VECTORS
#define GEMM_VECTORS 2
#endif
#define GEMM_TILE_N (GEMM_VECTORS * LANES)
// Activations side by side, to hide their latency where registers are wide enough to pay for what moves.
#define GEMM_ACTIVATIONS (LANES > 4 && GEMM_TILE_M * GEMM_VECTORS % 4 == 0 ? 4 : 1)

#ifdef GEMM_PACKED
#define GEMM_SPACE __local
#else
#define GEMM_SPACE __global
#endif
#define GEMM_LOAD(p) (*(GEMM_SPACE const float_packed *)(p))
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
      // Rows of B become lanes.
      floatL x[LANES];
#pragma unroll
      for (int r = 0; r < LANES; ++r)
        x[r] = column + r < n ? lanes_load(b + (size_t)(column + r) * ldb, step, k) : (floatL)(0.0f);
      transpose_lanes(x);
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

#ifndef GEMM_TILE_M
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
#else

#ifdef TRANSPOSE_A
#define GEMM_PREFETCH(p) PREFETCH_FAR(p)
// Steps of k that all tiles of a group take before any takes more, so that what they read of A and B stays near, although a
// tile uses a part of A's lines only: in the first-level cache or, where a step has more to do, in the second-level cache.
// The sums are kept in the meantime: GEMM_KEPT floats at most.
#if LANES == 16
#define GEMM_CHUNK 256
#else
#define GEMM_CHUNK 64
#endif
#define GEMM_KEPT 5120
#define GEMM_AHEAD_LINES(count) (((count) + 15) / 16)
#else
#define GEMM_PREFETCH(p) PREFETCH(p)
#endif

#ifdef GEMM_ROW_SUM
// Adds the sums over `count` steps of rows first_row to last_row of op(A) to row_sum, or writes them if these are the first
// steps. Two vectors side by side hide some of the latency of an addition.
static inline void gemm_sum_rows(__global const float *a, __global float *row_sum, int first_row, int last_row, int lda,
                                 int count, bool is_first) {
  int row = first_row;
  for (; row + 2 * LANES <= last_row; row += 2 * LANES) {
    floatL sum[2];
#pragma unroll
    for (int v = 0; v < 2; ++v) sum[v] = is_first ? (floatL)(0.0f) : LOAD_PACKED(row_sum + row + v * LANES);
    for (int step = 0; step < count; ++step) {
#pragma unroll
      for (int v = 0; v < 2; ++v) sum[v] += LOAD_PACKED(a + (size_t)step * lda + row + v * LANES);
    }
#pragma unroll
    for (int v = 0; v < 2; ++v) STORE_PACKED(sum[v], row_sum + row + v * LANES);
  }
  for (; row < last_row; row += LANES) {
    floatL sum = is_first ? (floatL)(0.0f) : lanes_load(row_sum, row, last_row);
    for (int step = 0; step < count; ++step) sum += lanes_load(a + (size_t)step * lda, row, last_row);
    lanes_store(row_sum, row, last_row, sum);
  }
}
#endif

#ifdef GEMM_PACKED
#define GEMM_COLUMN_STEP GEMM_TILE_N
#else
#define GEMM_COLUMN_STEP ldb
#endif
#ifdef TRANSPOSE_A
#define GEMM_KEPT_PARAMETER , __local floatL *kept_sums
#define GEMM_KEPT_ARGUMENT , kept_sums + nothing
#else
#define GEMM_KEPT_PARAMETER
#define GEMM_KEPT_ARGUMENT
#endif

// Tiles first_tile..<last_tile of GEMM_TILE_M rows in panels first_panel..<last_panel of GEMM_TILE_N columns, with all sums of a
// tile in registers: a step of k is GEMM_VECTORS loads of B and GEMM_TILE_M broadcasts of A for GEMM_TILE_M * GEMM_VECTORS
// multiply-adds. `a` is the batch entry's op(A), `b` and `columns` the first panel of op(B) where it lies and where it is read
// from, entry_c where the entry's C begins. Of row sums it takes part `group` of `groups`.
CALLED void gemm_tiles(__global const float *a, __global const float *b, GEMM_SPACE const float *columns, __global float *c,
                       int m, int n, int steps, int lda, int ldb, int panel, int ldc, size_t entry_c, int first_tile,
                       int last_tile, int first_panel, int last_panel, int group, int groups,
                       float alpha GEMM_KEPT_PARAMETER EPILOGUE_PARAMETERS GEMM_ROW_SUM_PARAMETER) {
  EPILOGUE_USE
#ifdef GEMM_ROW_SUM
  USE_OUT(float, row_sum);
#endif
#ifdef TRANSPOSE_A
  for (int first = 0; first < steps; first += GEMM_CHUNK) {
    const int count = min(GEMM_CHUNK, steps - first);
    __local floatL *kept = kept_sums;
#ifdef GEMM_ROW_SUM
    if (first_panel == 0) {
      const int vectors = (m + LANES - 1) / LANES;
      gemm_sum_rows(a + (size_t)first * lda, row_sum, (int)((long)vectors * group / groups) * LANES,
                    min(m, (int)((long)vectors * (group + 1) / groups) * LANES), lda, count, first == 0);
    }
#endif
    // Each tile asks for one line of every row that the next chunk will read.
    __global const float *next_a = a + (size_t)(first + count) * lda + first_tile * GEMM_TILE_M;
    __global const float *next_b = b + (size_t)(first + count) * ldb;
    const int lines_a = first + count < steps ? GEMM_AHEAD_LINES((last_tile - first_tile) * GEMM_TILE_M) : 0;
    const int lines_b = first + count < steps ? GEMM_AHEAD_LINES((last_panel - first_panel) * GEMM_TILE_N) : 0;
    int line = 0;
#else
  {
    const int first = 0, count = steps;
#endif
    for (int tile = first_tile; tile < last_tile; ++tile) {
      const int first_row = tile * GEMM_TILE_M;
      // The last tile starts early enough to be full; it does not write the rows of its neighbour a second time.
      const int tile_row = min(first_row, m - GEMM_TILE_M);
      __global const float *row = a + GEMM_A_AT(tile_row, first);
      EPILOGUE_ROWS(tile_row, GEMM_TILE_M)
      for (int p = first_panel; p < last_panel; ++p) {
        GEMM_SPACE const float *column = columns + (size_t)(p - first_panel) * panel + (size_t)first * GEMM_COLUMN_STEP;
        floatL sum[GEMM_TILE_M][GEMM_VECTORS];
#ifdef TRANSPOSE_A
        __global const float *ahead = line < lines_a ? next_a + line * 16 : next_b + (line - lines_a) * 16;
        const int ahead_step = line < lines_a ? lda : line < lines_a + lines_b ? ldb : 0;
        line += 1;
        if (first > 0) {
#pragma unroll
          for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
            for (int v = 0; v < GEMM_VECTORS; ++v) sum[r][v] = kept[r * GEMM_VECTORS + v];
        } else
#else
        // Short rows give a hardware prefetcher nothing to go by: a piece of the next tile at each step.
        __global const float *ahead = row + (size_t)GEMM_TILE_M * lda;
        const int ahead_step = GEMM_TILE_M;
#endif
        {
#pragma unroll
          for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
            for (int v = 0; v < GEMM_VECTORS; ++v) sum[r][v] = 0.0f;
        }
        if (first + count == steps) {
#pragma unroll 1
          for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
            for (int j = 0; j < GEMM_TILE_N; j += 16)
              EPILOGUE_AHEAD(entry_c + (size_t)(tile_row + r) * ldc + p * GEMM_TILE_N + j);
        }
        for (int step = 0; step < count; ++step) {
          GEMM_PREFETCH(ahead + (size_t)step * ahead_step);
          floatL right[GEMM_VECTORS];
#pragma unroll
          for (int v = 0; v < GEMM_VECTORS; ++v) right[v] = GEMM_LOAD(column + (size_t)step * GEMM_COLUMN_STEP + v * LANES);
#pragma unroll
          for (int r = 0; r < GEMM_TILE_M; ++r) {
            const float left = row[GEMM_A_AT(r, step)];
#pragma unroll
            for (int v = 0; v < GEMM_VECTORS; ++v) sum[r][v] += left * right[v];
          }
        }
#ifdef TRANSPOSE_A
        if (first + count < steps) {
#pragma unroll
          for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
            for (int v = 0; v < GEMM_VECTORS; ++v) kept[r * GEMM_VECTORS + v] = sum[r][v];
          kept += GEMM_TILE_M * GEMM_VECTORS;
          continue;
        }
        kept += GEMM_TILE_M * GEMM_VECTORS;
#endif
        if (alpha != 1.0f) {
#pragma unroll
          for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
            for (int v = 0; v < GEMM_VECTORS; ++v) sum[r][v] *= alpha;
        }
        // A full tile is finished from the registers.
        if (tile_row == first_row && (p + 1) * GEMM_TILE_N <= n) {
          const size_t corner = entry_c + (size_t)tile_row * ldc;
#ifdef EPILOGUE_ACTIVATION
          // An activation's turn comes in a loop over vectors in memory: unrolled, it would be GEMM_TILE_M * GEMM_VECTORS copies.
          floatL begun[GEMM_TILE_M * GEMM_VECTORS];
#endif
#pragma unroll
          for (int r = 0; r < GEMM_TILE_M; ++r) {
            const size_t at = corner + (size_t)r * ldc;
#pragma unroll
            for (int v = 0; v < GEMM_VECTORS; ++v) {
              const int j = p * GEMM_TILE_N + v * LANES;
#ifdef EPILOGUE_ACTIVATION
              EPILOGUE_BEGIN(begun[r * GEMM_VECTORS + v], sum[r][v], at, j, j + LANES);
#else
              EPILOGUE_STORE(sum[r][v], EPILOGUE_ROW(r), at, j, j + LANES);
#endif
            }
          }
#ifdef EPILOGUE_ACTIVATION
          for (int first_vector = 0; first_vector < GEMM_TILE_M * GEMM_VECTORS; first_vector += GEMM_ACTIVATIONS) {
            floatL x[GEMM_ACTIVATIONS];
#pragma unroll
            for (int i = 0; i < GEMM_ACTIVATIONS; ++i) {
              const int r = (first_vector + i) / GEMM_VECTORS, v = (first_vector + i) % GEMM_VECTORS;
              x[i] = EPILOGUE_ACTIVATION_INPUT(begun[first_vector + i], corner + (size_t)r * ldc, p * GEMM_TILE_N + v * LANES);
            }
            EPILOGUE_ACTIVATION(x, GEMM_ACTIVATIONS);
#pragma unroll
            for (int i = 0; i < GEMM_ACTIVATIONS; ++i) {
              const int r = (first_vector + i) / GEMM_VECTORS, j = p * GEMM_TILE_N + (first_vector + i) % GEMM_VECTORS * LANES;
              EPILOGUE_FINISH(EPILOGUE_ACTIVATION_OUTPUT(begun[first_vector + i], x[i]), EPILOGUE_ROW(r), corner + (size_t)r * ldc, j,
                              j + LANES);
            }
          }
#endif
          continue;
        }
        // Another passes through memory: a loop over the sums would keep them from registers while they are summed.
        floatL kept_tile[GEMM_TILE_M * GEMM_VECTORS];
#pragma unroll
        for (int r = 0; r < GEMM_TILE_M; ++r)
#pragma unroll
          for (int v = 0; v < GEMM_VECTORS; ++v) kept_tile[r * GEMM_VECTORS + v] = sum[r][v];
        for (int r = first_row - tile_row; r < GEMM_TILE_M; ++r) {
          const size_t at = entry_c + (size_t)(tile_row + r) * ldc;
          for (int j = p * GEMM_TILE_N, v = 0; v < GEMM_VECTORS && j < n; ++v, j += LANES)
            EPILOGUE_STORE(kept_tile[r * GEMM_VECTORS + v], EPILOGUE_ROW(r), at, j, n);
        }
      }
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
  // Zero, which the compiler does not know. It carries an address that is constant into the function, and PoCL gives memory to
  // local arrays where the kernel itself names them, nowhere else.
  const int nothing = min(m, 0);
  b += entry * stride_b;
#ifdef TRANSPOSE_A
  __local floatL kept_sums[GEMM_KEPT / LANES];
#endif
#ifdef GEMM_PACKED
  __local float packed[GEMM_PACKED];
  for (int p = first_panel; p < last_panel; ++p)
    gemm_pack_panel(b, packed + (p - first_panel) * k * GEMM_TILE_N, p, n, k, ldb, 0, (k + LANES - 1) / LANES);
  GEMM_SPACE const float *columns = packed + nothing;
  const int columns_panel = k * GEMM_TILE_N;
#else
  GEMM_SPACE const float *columns = b + (size_t)first_panel * panel;
  const int columns_panel = panel;
#endif
  gemm_tiles(a + entry * stride_a, b + (size_t)first_panel * panel, columns, c, m, n, steps, lda, ldb, columns_panel, ldc,
             entry * stride_c, first_tile, last_tile, first_panel, last_panel, get_group_id(0), get_num_groups(0),
             alpha GEMM_KEPT_ARGUMENT EPILOGUE_ARGUMENTS GEMM_ROW_SUM_ARGUMENT);
}
#endif

#endif
