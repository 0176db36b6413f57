// window: rows of sequences from a place on that the device says, another for each sequence.
#include "flat.cl"

// y[b, g] = x[b mod images, p], p = known[b mod period] + offset + g; zeros where p is not in 0 ..< length.
// x [images, length, width], known [period], y [rows / count, count, width]. Traffic: 8 rows width bytes.
TEAM_KERNEL void window_take(IN(float, x), IN(int, known), OUT(float, y), const int rows, const int count, const int length,
                          const int images, const int period, const int offset, const int width) {
  USE_IN(float, x);
  USE_IN(int, known);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, rows, width, {
    const int b = (int)(row / count), p = known[b % period] + offset + (int)(row % count);
    __global const float *from = x + ((size_t)(b % images) * length + p) * width;
    for (int i = first; i < last; i += LANES)
      lanes_store(y + row * width, i, width, p >= 0 && p < length ? lanes_load(from, i, width) : (floatL)(0.0f));
  })
}

// y[b, g] = (b mod images) length + p as above; -1 where p is not in 0 ..< length. Traffic: 4 rows bytes.
TEAM_KERNEL void window_rows(IN(int, known), OUT(int, y), const int rows, const int count, const int length, const int images,
                          const int period, const int offset) {
  USE_IN(int, known);
  USE_OUT(int, y);
  ITEM_FOR(row, (size_t)rows) {
    const int b = (int)(row / count), p = known[b % period] + offset + (int)(row % count);
    y[row] = p >= 0 && p < length ? b % images * length + p : -1;
  }
}

// x[b, p] = y[b, g], p as above, where it is in 0 ..< length. x [B, length, width], y [B, count, width]. Traffic: 8 rows width bytes.
TEAM_KERNEL void window_put(OUT(float, x), IN(int, known), IN(float, y), const int rows, const int count, const int length,
                         const int period, const int offset, const int width) {
  USE_OUT(float, x);
  USE_IN(int, known);
  USE_IN(float, y);
  ROW_RUNS(row, first, last, rows, width, {
    const int b = (int)(row / count), p = known[b % period] + offset + (int)(row % count);
    if (p >= 0 && p < length)
      for (int i = first; i < last; i += LANES)
        lanes_store(x + ((size_t)b * length + p) * width, i, width, lanes_load(y + row * width, i, width));
  })
}
