// token_network: MAR's SimpleMLPAdaLN without its input, a tile of rows at a time, everything between the layers in local memory.
//
//   a = silu(condition);  for each block: h = LN(x) (1 + scale(a)) + temperature shift(a);
//   x += gate(a) second(silu(first(h)));  y = linear(LN(x) (1 + scale(a)) + shift(a))
//
// LN divides by the deviation with epsilon 1e-6; a block's has a weight and a bias. All weights lie in one tensor, layer behind
// layer (token_weights.cl): of each block the weight and the bias of LN, shift, scale, gate, first, second; then the end's shift,
// scale and linear.
//
// -D TOKEN_ROWS    rows of a tile; a multiple of LANES where a team has several work-items
// -D TOKEN_STRIDE  columns of a buffer: the widest of what is in one, a multiple of 32
#include "token_weights.cl"
#include "math.cl"

#if defined(TOKEN_ROWS) && !defined(TOKEN_NETWORK_CL)
#define TOKEN_NETWORK_CL

#define TOKEN_BUFFER (TOKEN_ROWS * TOKEN_STRIDE)
#define TOKEN_EPSILON 1e-6f
#define TOKEN_PADDED(n) (((n) + 31) & ~31)
#define TOKEN_TILES(rows) (((rows) + TOKEN_ROWS - 1) / TOKEN_ROWS)

// Where an array begins; `rows` is positive, which the compiler does not know. It carries an address that is constant into the
// functions, and PoCL gives memory to local arrays where the kernel itself names them: one that only a function names is a global
// variable, which all groups share.
#define TOKEN_START(buffers, rows) ((buffers) + min((rows), 0))

// A buffer holds a tile. A CPU's vectors are columns of a row; a GPU's are rows of a column, which take the same weight.
// TOKEN_FOR: the vectors of the first `columns` columns that are this work-item's. `at` is where one lies, `row` and `column` are
// those of its first lane.
#if TEAM_SIZE > 1
#define TOKEN_LOAD(p) vloadL(0, p)
#define TOKEN_STORE(v, p) vstoreL(v, 0, p)
#define TOKEN_VECTORS (TOKEN_ROWS / LANES)
#define TOKEN_FOR(at, row, column, columns)                                                                     \
  for (int at##_item = TEAM_RANK, at, row, column; at##_item < (columns) * TOKEN_VECTORS; at##_item += TEAM_SIZE) \
    if (at = at##_item * LANES, row = at % TOKEN_ROWS, column = at / TOKEN_ROWS, 1)
// Floats between a column and the one so many further on.
#define TOKEN_SPAN(columns) ((columns) * TOKEN_ROWS)
#define TOKEN_COLUMN_LANES(column) ((uintL)((uint)(column)))
#define TOKEN_ROW_LANES(values, row) vloadL(0, (values) + (row))
#define TOKEN_LOCAL(rows)                \
  __local floatL token_room[TEAM_SIZE]; \
  __local floatL *token_sums = TOKEN_START(token_room, rows)
#define TOKEN_LOCAL_PARAMETER , __local floatL *token_sums
#define TOKEN_LOCAL_ARGUMENT , token_sums
#else
#define TOKEN_LOAD(p) (*(__local const float_packed *)(p))
#define TOKEN_STORE(v, p) (*(__local float_packed *)(p) = (v))
#define TOKEN_FOR(at, row, column, columns)   \
  for (int row = 0; row < TOKEN_ROWS; ++row)  \
    for (int column = 0, at = row * TOKEN_STRIDE; column < (columns); column += LANES, at += LANES)
#define TOKEN_SPAN(columns) (columns)
#define TOKEN_COLUMN_LANES(column) (as_uintL(LANE_INDEX) + (uint)(column))
#define TOKEN_ROW_LANES(values, row) ((uintL)((values)[row]))
#define TOKEN_LOCAL(rows)
#define TOKEN_LOCAL_PARAMETER
#define TOKEN_LOCAL_ARGUMENT
#endif

// A vector of matrix p [rows, n], whose row `first` is the tile's first; past the last row the last, past the last column 0.
static inline floatL token_fetch(__global const float *p, int first, int row, int column, int rows, int n) {
#if TEAM_SIZE > 1
  float values[LANES];
#pragma unroll
  for (int k = 0; k < LANES; ++k) values[k] = column < n ? p[(size_t)min(first + row + k, rows - 1) * n + column] : 0.0f;
  return vloadL(0, values);
#else
  return lanes_load(p + (size_t)min(first + row, rows - 1) * n, column, n);
#endif
}

// Its counterpart, which writes what there is.
static inline void token_put(floatL value, __global float *p, int first, int row, int column, int rows, int n) {
#if TEAM_SIZE > 1
  float values[LANES];
  vstoreL(value, 0, values);
#pragma unroll
  for (int k = 0; k < LANES; ++k)
    if (column < n && first + row + k < rows) p[(size_t)(first + row + k) * n + column] = values[k];
#else
  if (first + row < rows) lanes_store(p + (size_t)(first + row) * n, column, n, value);
#endif
}

// What the same work-item has put there, 0 where there is nothing: no row of another's is read.
static inline floatL token_again(__global const float *p, int first, int row, int column, int rows, int n) {
#if TEAM_SIZE > 1
  float values[LANES];
#pragma unroll
  for (int k = 0; k < LANES; ++k)
    values[k] = column < n && first + row + k < rows ? p[(size_t)(first + row + k) * n + column] : 0.0f;
  return vloadL(0, values);
#else
  return first + row < rows ? lanes_load(p + (size_t)(first + row) * n, column, n) : (floatL)(0.0f);
#endif
}

// A vector of p [n] along the columns.
static inline floatL token_along(__global const float *p, int column, int n) {
#if TEAM_SIZE > 1
  return (floatL)(column < n ? p[column] : 0.0f);
#else
  return lanes_load(p, column, n);
#endif
}

// What becomes of a layer's sums s in a buffer y.
#define TOKEN_SET 0    // y = s
#define TOKEN_SILU 1   // y = silu(s)
#define TOKEN_SCALE 2  // y *= 1 + s
#define TOKEN_SHIFT 3  // y += factor s
#define TOKEN_GATED 4  // y += other s
#define TOKEN_TIMES 5  // y *= s

static inline void token_finish(floatL sum, __local float *y, __local const float *other, float factor, int what) {
  switch (what) {
    case TOKEN_SILU: sum = silu_lanes(sum); break;
    case TOKEN_SCALE: sum = TOKEN_LOAD(y) * (1.0f + sum); break;
    case TOKEN_SHIFT: sum = TOKEN_LOAD(y) + factor * sum; break;
    case TOKEN_TIMES: sum = TOKEN_LOAD(y) * sum; break;
    case TOKEN_GATED: sum = TOKEN_LOAD(y) + TOKEN_LOAD(other) * sum; break;
  }
  TOKEN_STORE(sum, y);
}

// A layer of k inputs `a` and n outputs, a multiple of 32, for the tile. 2 n k FLOPs a row; the weights pass through once a tile.
CALLED void token_layer(__local const float *a, int k, __global const float *layer, int n, __local float *y,
                        __local const float *other, float factor, int what) {
  __global const float *bias = layer + (size_t)n * k;
#if TEAM_SIZE > 1
  TOKEN_FOR(at, row, column, n) {
    __global const float *weight = layer + (size_t)(column / TOKEN_PANEL) * TOKEN_PANEL * k + column % TOKEN_PANEL;
    floatL sum = (floatL)(bias[column]);
    for (int i = 0; i < k; ++i) sum += weight[(size_t)i * TOKEN_PANEL] * TOKEN_LOAD(a + TOKEN_SPAN(i) + row);
    token_finish(sum, y + at, other + at, factor, what);
  }
  TEAM_BARRIER;
#else
  for (int p = 0; p < n; p += TOKEN_PANEL) {
    __global const float *weight = layer + (size_t)p * k;
    floatL sum[TOKEN_ROWS][2];
#pragma unroll
    for (int r = 0; r < TOKEN_ROWS; ++r)
#pragma unroll
      for (int v = 0; v < 2; ++v) sum[r][v] = LOAD_PACKED(bias + p + v * LANES);
    for (int i = 0; i < k; ++i) {
      floatL right[2];
#pragma unroll
      for (int v = 0; v < 2; ++v) right[v] = LOAD_PACKED(weight + (size_t)i * TOKEN_PANEL + v * LANES);
#pragma unroll
      for (int r = 0; r < TOKEN_ROWS; ++r) {
        const float left = a[r * TOKEN_STRIDE + i];
#pragma unroll
        for (int v = 0; v < 2; ++v) sum[r][v] += left * right[v];
      }
    }
    // What follows comes in a loop over memory: unrolled, it would be TOKEN_ROWS * 2 copies.
    floatL kept[TOKEN_ROWS * 2];
#pragma unroll
    for (int r = 0; r < TOKEN_ROWS; ++r)
#pragma unroll
      for (int v = 0; v < 2; ++v) kept[r * 2 + v] = sum[r][v];
#pragma unroll 1
    for (int r = 0; r < TOKEN_ROWS * 2; ++r) {
      const int at = r / 2 * TOKEN_STRIDE + p + r % 2 * LANES;
      token_finish(kept[r], y + at, other + at, factor, what);
    }
  }
#endif
}

#if TEAM_SIZE > 1
// Work-items that sum one vector of rows.
#define TOKEN_PARTS (TEAM_SIZE / TOKEN_VECTORS < 32 ? TEAM_SIZE / TOKEN_VECTORS : 32)

// The sums over all parts of a vector of rows, in a fixed order.
static inline floatL token_total(floatL sum, __local floatL *token_sums) {
  const int part = TEAM_RANK / TOKEN_VECTORS;
  TEAM_BARRIER;
  token_sums[TEAM_RANK] = sum;
  TEAM_BARRIER;
  for (int half_size = TOKEN_PARTS / 2; half_size > 0; half_size >>= 1) {
    if (part < half_size) token_sums[TEAM_RANK] += token_sums[TEAM_RANK + half_size * TOKEN_VECTORS];
    TEAM_BARRIER;
  }
  return token_sums[TEAM_RANK % TOKEN_VECTORS];
}
#endif

// y = LN(x) over n columns; with `affine` times the weight there and plus the bias behind it.
CALLED void token_norm(__local const float *x, __local float *y, int n, __global const float *affine,
                       int is_affine TOKEN_LOCAL_PARAMETER) {
#if TEAM_SIZE > 1
  const int part = TEAM_RANK / TOKEN_VECTORS, row = TEAM_RANK % TOKEN_VECTORS * LANES;
  const int first = part < TOKEN_PARTS ? part : n;
  floatL sum = 0.0f;
  for (int c = first; c < n; c += TOKEN_PARTS) sum += TOKEN_LOAD(x + TOKEN_SPAN(c) + row);
  const floatL mean = token_total(sum, token_sums) / (float)n;
  sum = 0.0f;
  for (int c = first; c < n; c += TOKEN_PARTS) {
    const floatL d = TOKEN_LOAD(x + TOKEN_SPAN(c) + row) - mean;
    sum += d * d;
  }
  const floatL inverse = 1.0f / sqrt(token_total(sum, token_sums) / (float)n + TOKEN_EPSILON);
  // The vectors that TOKEN_FOR gives this work-item are of these rows.
  TOKEN_FOR(at, other_row, column, n) {
    const floatL normal = (TOKEN_LOAD(x + at) - mean) * inverse;
    TOKEN_STORE(is_affine ? normal * affine[column] + affine[TOKEN_PADDED(n) + column] : normal, y + at);
  }
  TEAM_BARRIER;
#else
  for (int row = 0; row < TOKEN_ROWS; ++row, x += TOKEN_STRIDE, y += TOKEN_STRIDE) {
    // Columns from n to the next whole vector are zeros in x.
    floatL sum = 0.0f;
    for (int c = 0; c < n; c += LANES) sum += TOKEN_LOAD(x + c);
    const float mean = lanes_sum(sum) / (float)n;
    sum = 0.0f;
    for (int c = 0; c < n; c += LANES) {
      const floatL d = lanes_keep(TOKEN_LOAD(x + c) - mean, c, n, 0.0f);
      sum += d * d;
    }
    const float inverse = 1.0f / sqrt(lanes_sum(sum) / (float)n + TOKEN_EPSILON);
    for (int c = 0; c < n; c += LANES) {
      const floatL normal = (TOKEN_LOAD(x + c) - mean) * inverse;
      TOKEN_STORE(is_affine ? normal * LOAD_PACKED(affine + c) + LOAD_PACKED(affine + TOKEN_PADDED(n) + c) : normal, y + c);
    }
  }
#endif
}

// The network for a tile: x and a -> y; x and h are spent. All buffers are whole.
CALLED void token_network(__global const float *packed, int width, int depth, int outputs, __local float *x,
                          __local const float *a, __local float *h, __local float *y,
                          float temperature TOKEN_LOCAL_PARAMETER) {
  const int padded = TOKEN_PADDED(width);
  const size_t layer = (size_t)padded * (width + 1);
  for (int block = 0; block < depth; ++block) {
    token_norm(x, h, width, packed, 1 TOKEN_LOCAL_ARGUMENT);
    packed += 2 * padded;
    token_layer(a, width, packed + layer, padded, h, h, 0.0f, TOKEN_SCALE);
    token_layer(a, width, packed, padded, h, h, temperature, TOKEN_SHIFT);
    token_layer(h, width, packed + 3 * layer, padded, y, y, 0.0f, TOKEN_SILU);
    token_layer(a, width, packed + 2 * layer, padded, h, h, 0.0f, TOKEN_SET);
    token_layer(y, width, packed + 4 * layer, padded, x, h, 0.0f, TOKEN_GATED);
    packed += 5 * layer;
  }
  token_norm(x, h, width, packed, 0 TOKEN_LOCAL_ARGUMENT);
  token_layer(a, width, packed + layer, padded, h, h, 0.0f, TOKEN_SCALE);
  token_layer(a, width, packed, padded, h, h, 1.0f, TOKEN_SHIFT);
  token_layer(h, width, packed + 2 * layer, TOKEN_PADDED(outputs), y, y, 0.0f, TOKEN_SET);
}

// x, condition [rows, width] -> y [rows, outputs]. Traffic: 4 rows (2 width + outputs) bytes, and the weights, which stay in a
// cache, once a tile; 2 width ((5 depth + 2) width + outputs) FLOPs a row.
TEAM_KERNEL void token_network_forward(IN(float, x), IN(float, condition), IN(float, packed), OUT(float, y), const int rows,
                                   const int width, const int depth, const int outputs, const float temperature) {
  USE_IN(float, x);
  USE_IN(float, condition);
  USE_IN(float, packed);
  USE_OUT(float, y);
  __local float buffers[4 * TOKEN_BUFFER];
  TOKEN_LOCAL(rows);
  __local float *residual = TOKEN_START(buffers, rows), *active = residual + TOKEN_BUFFER, *hidden = active + TOKEN_BUFFER, *made = hidden + TOKEN_BUFFER;
  TEAM_ROWS(tile, TOKEN_TILES(rows)) {
    const int first = tile * TOKEN_ROWS;
    TOKEN_FOR(at, row, column, TOKEN_PADDED(width)) {
      TOKEN_STORE(token_fetch(x, first, row, column, rows, width), residual + at);
      TOKEN_STORE(silu_lanes(token_fetch(condition, first, row, column, rows, width)), active + at);
    }
    TEAM_BARRIER;
    token_network(packed, width, depth, outputs, residual, active, hidden, made, temperature TOKEN_LOCAL_ARGUMENT);
    TOKEN_FOR(at, row, column, outputs) token_put(TOKEN_LOAD(made + at), y, first, row, column, rows, outputs);
    TEAM_BARRIER;
  }
}

#endif
