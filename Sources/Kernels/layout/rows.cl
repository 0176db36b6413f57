// rows: rows of a matrix taken by index, and put back by index.
//
// To put rows back, they are first linked into lists: head[j] is one i with rows[i] = j, next[i] is another such i, and -1
// ends the list. The order of a list depends on the device, so lists of more than one entry are sorted: sums are then the
// same in each run.
#include "flat.cl"

// y[i] = x[rows[i]], zeros where rows[i] is not in 0 ..< count. x [count, width], rows [n] -> y [n, width].
// Traffic: 8 n width bytes.
TEAM_KERNEL void rows_gather(IN(float, x), IN(int, rows), OUT(float, y), int n, int count, int width) {
  USE_IN(float, x);
  USE_IN(int, rows);
  USE_OUT(float, y);
  ROW_RUNS(row, first, last, n, width, {
    const int index = rows[row], known = index >= 0 && index < count;
    __global const float *from = x + (known ? (size_t)index * width : 0);
    __global float *to = y + row * width;
    if (known)
      for (int i = first; i < last; i += LANES) lanes_store(to, i, last, lanes_load(from, i, last));
    else
      for (int i = first; i < last; i += LANES) lanes_store(to, i, last, (floatL)(0.0f));
  })
}

// head[j] = -1: no row is named yet. [count] written: 4 count bytes.
TEAM_KERNEL void rows_clear(OUT(int, head), int count) {
  USE_OUT(int, head);
  ITEM_FOR(j, count) head[j] = -1;
}

// Links i to the row it names; those that name none are in no list. rows [n], head [count], next [n].
// Traffic: 16 n bytes: rows and next in order, and for each row a word of head, anywhere, read and written.
TEAM_KERNEL void rows_link(IN(int, rows), OUT(int, head), OUT(int, next), int n, int count) {
  USE_IN(int, rows);
  USE_OUT(int, head);
  USE_OUT(int, next);
  ITEM_FOR(i, n) {
    const int index = rows[i];
    if (index >= 0 && index < count) next[i] = atomic_xchg(head + index, (int)i);
  }
}

// The first of the list from `head` on after a merge sort in place: k log k steps for k entries, in whatever order they come.
static inline int rows_sorted(int head, __global int *next) {
  for (int length = 1;; length *= 2) {
    int left = head, tail = -1, merges = 0;
    while (left >= 0) {
      int right = left, left_count = 0, right_count = length;
      for (; left_count < length && right >= 0; ++left_count) right = next[right];
      while (left_count > 0 || (right_count > 0 && right >= 0)) {
        const int is_left = left_count > 0 && (right_count == 0 || right < 0 || left < right);
        const int picked = is_left ? left : right;
        if (is_left) {
          left = next[left];
          --left_count;
        } else {
          right = next[right];
          --right_count;
        }
        if (tail < 0)
          head = picked;
        else
          next[tail] = picked;
        tail = picked;
      }
      left = right;
      ++merges;
    }
    next[tail] = -1;
    if (merges <= 1) return head;
  }
}

// Sorts the lists of more than one entry. Traffic: 4 count bytes, and one word of next for each row that is named.
TEAM_KERNEL void rows_sort(OUT(int, head), OUT(int, next), int count) {
  USE_OUT(int, head);
  USE_OUT(int, next);
  ITEM_FOR(j, count) {
    const int begin = head[j];
    if (begin >= 0 && next[begin] >= 0) head[j] = rows_sorted(begin, next);
  }
}

// y[j] = sum of x[i] over the list of j, in its order (0 instead where `adds` is 0); where the list is empty base[j], or 0 where
// `keeps` is 0. x [n, width], base [count, width] -> y [count, width]; what is not used is not read. y may be base: rows that
// stay are then left alone. Traffic: 4 width bytes for each row read, 4 count width bytes written.
TEAM_KERNEL void rows_scatter(IN(float, x), IN(float, base), IN(int, head), IN(int, next), OUT(float, y), int count, int width,
                           int adds, int keeps) {
  USE_IN(float, x);
  USE_IN(float, base);
  USE_IN(int, head);
  USE_IN(int, next);
  USE_OUT(float, y);
  const int stays = keeps && (__global const float *)y == base;
  ROW_RUNS(row, first, last, count, width, {
    const int begin = head[row];
    __global float *to = y + row * width;
    if (begin >= 0 && adds) {
      const int second = next[begin];
      __global const float *from = x + (size_t)begin * width;
      if (second < 0)
        for (int i = first; i < last; i += LANES) lanes_store(to, i, last, lanes_load(from, i, last));
      else
        for (int i = first; i < last; i += LANES) {
          floatL sum = lanes_load(from, i, last);
          for (int k = second; k >= 0; k = next[k]) sum += lanes_load(x + (size_t)k * width, i, last);
          lanes_store(to, i, last, sum);
        }
    } else if (begin < 0 && keeps) {
      __global const float *from = base + row * width;
      if (!stays)
        for (int i = first; i < last; i += LANES) lanes_store(to, i, last, lanes_load(from, i, last));
    } else {
      for (int i = first; i < last; i += LANES) lanes_store(to, i, last, (floatL)(0.0f));
    }
  })
}
