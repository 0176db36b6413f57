// query_key: what attention does to queries and keys before it compares them: QK-norm, then RoPE.
//
//   normal = x / sqrt(mean(x^2) + epsilon);  z = normal weight       over the columns of a head, where `normed` is not 0
//   y[2 i]     = z[2 i] cos a - z[2 i + 1] sin a
//   y[2 i + 1] = z[2 i + 1] cos a + z[2 i] sin a                     a = angle of pair i at the row's position, where `rotated`
//
// x, y [rows, 3, heads, size]: packed query, key and value, of which the value passes through. weight [2, size]: of queries
// and of keys, shared by the heads. table [positions, size]: cos and sin of each pair's angle side by side; row r has position
// r % positions. A head's columns of one row, size <= 128 and even, belong to one work-item.
#ifndef QUERY_KEY_CL
#define QUERY_KEY_CL
#include "flat.cl"

// (a, b) cos + (-b, a) sin of pairs side by side; `turn` -1 rotates back.
static inline floatL rotate_pairs(floatL v, floatL table, float turn) {
  floatL y;
  y.even = v.even * table.even - v.odd * (table.odd * turn);
  y.odd = v.odd * table.even + v.even * (table.odd * turn);
  return y;
}

static inline float reciprocal_root_mean(__global const float *x, int size, float epsilon) {
  floatL square = (floatL)(0.0f);
  for (int i = 0; i < size; i += LANES) {
    const floatL v = lanes_load(x, i, size);
    square += v * v;
  }
  return 1.0f / sqrt(lanes_sum(square) / (float)size + epsilon);
}

// Traffic: 24 rows heads size bytes; 9 FLOPs for each element of query and key. y may be x.
TEAM_KERNEL void query_key_forward(IN(float, x), IN(float, weight), IN(float, table), OUT(float, y), const int rows,
                                const int heads, const int size, const int positions, const int normed,
                                const int rotated, const float epsilon) {
  USE_IN(float, x);
  USE_IN(float, weight);
  USE_IN(float, table);
  USE_OUT(float, y);
  ITEM_FOR(item, (size_t)rows * 3 * heads) {
    const int part = (int)(item / heads % 3);
    const size_t at = item * size;
    if (part == 2) {
      for (int i = 0; i < size; i += LANES) lanes_store(y + at, i, size, lanes_load(x + at, i, size));
      continue;
    }
    const int position = (int)(item / (3 * heads) % positions);
    const float inverse = normed ? reciprocal_root_mean(x + at, size, epsilon) : 1.0f;
    for (int i = 0; i < size; i += LANES) {
      floatL z = lanes_load(x + at, i, size);
      if (normed) z *= lanes_load(weight + part * size, i, size) * inverse;
      if (rotated) z = rotate_pairs(z, lanes_load(table + (size_t)position * size, i, size), 1.0f);
      lanes_store(y + at, i, size, z);
    }
  }
}

// dx, and for the weight's gradient dweight_rows [2, rows, heads, size] = dz normal, to be summed over rows and heads;
// written where `normed` is not 0, else any tensor may stand for it. dx may be dy or x.
// Traffic: 36 rows heads size bytes, 44 with the norm; 20 FLOPs for each element of query and key.
TEAM_KERNEL void query_key_backward(IN(float, dy), IN(float, x), IN(float, weight), IN(float, table), OUT(float, dx),
                                 OUT(float, dweight_rows), const int rows, const int heads, const int size,
                                 const int positions, const int normed, const int rotated, const float epsilon) {
  USE_IN(float, dy);
  USE_IN(float, x);
  USE_IN(float, weight);
  USE_IN(float, table);
  USE_OUT(float, dx);
  USE_OUT(float, dweight_rows);
  ITEM_FOR(item, (size_t)rows * 3 * heads) {
    const int part = (int)(item / heads % 3);
    const size_t at = item * size;
    if (part == 2) {
      for (int i = 0; i < size; i += LANES) lanes_store(dx + at, i, size, lanes_load(dy + at, i, size));
      continue;
    }
    const size_t row = item / (3 * heads);
    __global const float *turn = table + row % positions * size;
    if (!normed) {
      for (int i = 0; i < size; i += LANES)
        lanes_store(dx + at, i, size, rotate_pairs(lanes_load(dy + at, i, size), lanes_load(turn, i, size), -1.0f));
      continue;
    }
    const float inverse = reciprocal_root_mean(x + at, size, epsilon);
    __global const float *w = weight + part * size;
    __global float *products = dweight_rows + (((size_t)part * rows + row) * heads + item % heads) * size;
    floatL sum = (floatL)(0.0f);
    for (int i = 0; i < size; i += LANES) {
      floatL dz = lanes_load(dy + at, i, size);
      if (rotated) dz = rotate_pairs(dz, lanes_load(turn, i, size), -1.0f);
      const floatL product = dz * lanes_load(x + at, i, size) * inverse;
      lanes_store(products, i, size, product);
      sum += product * lanes_load(w, i, size);
    }
    const float mean = lanes_sum(sum) / (float)size;
    for (int i = 0; i < size; i += LANES) {
      floatL dz = lanes_load(dy + at, i, size);
      if (rotated) dz = rotate_pairs(dz, lanes_load(turn, i, size), -1.0f);
      const floatL normal = lanes_load(x + at, i, size) * inverse;
      lanes_store(dx + at, i, size, (dz * lanes_load(w, i, size) - normal * mean) * inverse);
    }
  }
}
#endif
