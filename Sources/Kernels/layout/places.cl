// places: stretches of orders of positions, sorted.
#include "flat.cl"

// y[i, j] = (i mod period) stride + offset + the j-th smallest of order[i, first .. first + count). order [rows, length] holds
// different numbers in each row, y [rows, count]. Traffic: 4 rows count (count + 1) bytes at most, nearly all of it from a cache;
// rows count^2 comparisons.
TEAM_KERNEL void places_sort(IN(int, order), OUT(int, y), int rows, int length, int first, int count, int stride, int offset,
                          int period) {
  USE_IN(int, order);
  USE_OUT(int, y);
  ITEM_FOR(item, (size_t)rows * count) {
    const size_t row = item / count;
    __global const int *from = order + row * length + first;
    const int own = from[item - row * count];
    int rank = 0;
    for (int j = 0; j < count; ++j) rank += from[j] < own;
    y[row * count + rank] = (int)(row % period) * stride + offset + own;
  }
}
