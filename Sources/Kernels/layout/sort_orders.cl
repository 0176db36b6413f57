// sort_orders: beginnings of orders of positions, sorted by a key of each position.
#include "flat.cl"

// NaN counts as infinite.
static inline float sort_orders_key(float key) { return isnan(key) ? INFINITY : key; }

// y[i, rank(j)] = order[i, j] for j < count, where rank(j) is the number of k < count with a larger key than j, or as large a one
// and k < j; y[i, j] = order[i, j] for the others. The key of place j is keys[i mod period, order[i, j]], NaN the largest. order and
// y [rows, length], their numbers in 0 .. length - 1, keys [period, length]. O(count^2) comparisons a row, which is little up to
// some thousand places. Traffic: 8 rows length + 4 period length bytes, rows count^2 times two reads of 4 bytes from a cache.
TEAM_KERNEL void sort_orders_rank(IN(int, order), IN(float, keys), OUT(int, y), int rows, int length, int count, int period) {
  USE_IN(int, order);
  USE_IN(float, keys);
  USE_OUT(int, y);
  ITEM_FOR(item, (size_t)rows * length) {
    const size_t row = item / length;
    const int place = (int)(item - row * length);
    __global const int *from = order + row * length;
    __global const float *by = keys + (row % period) * length;
    int rank = place;
    if (place < count) {
      const float own = sort_orders_key(by[clamp(from[place], 0, length - 1)]);
      rank = 0;
      for (int k = 0; k < count; ++k) {
        const float other = sort_orders_key(by[clamp(from[k], 0, length - 1)]);
        rank += other > own || (other == own && k < place);
      }
    }
    y[row * length + rank] = from[place];
  }
}
