// memory_bank: a ring buffer of entries per class. entries [classes, capacity, size], position and count [classes].
// position is where the next entry of the class goes, count how many of its slots are filled. One ring for everything is
// the case classes = 1. Both come from checkpoints, too: whatever they say, nothing outside of the bank is touched.
#include "philox.cl"

// Entry i of the batch goes to slot (position + rank) % capacity of its class, rank = earlier entries of the batch with
// the same label. Entries that a later one of the same batch would overwrite are not written at all, so no two teams write
// to the same slot and the result is that of adding them one by one. Labels out of range are skipped.
// samples [n, size], labels [n]. Traffic: 8 n size bytes, n^2 label comparisons.
TEAM_KERNEL void memory_bank_add(IN(float, samples), IN(int, labels), IN(int, position), OUT(float, entries), int n,
                              int classes, int capacity, int size) {
  USE_IN(float, samples);
  USE_IN(int, labels);
  USE_IN(int, position);
  USE_OUT(float, entries);
  TEAM_ROWS(row, n) {
    int label = labels[row];
    if (label < 0 || label >= classes) continue;
    int earlier = 0, later = 0;
    for (int i = 0; i < row; ++i) earlier += labels[i] == label;
    for (int i = row + 1; i < n; ++i) later += labels[i] == label;
    if (later >= capacity) continue;
    int slot = (int)(((ulong)(uint)position[label] + earlier) % capacity);
    __global float *to = entries + ((size_t)label * capacity + slot) * size;
    TEAM_FOR(j, size) lanes_store(to, j, size, lanes_load(samples + (size_t)row * size, j, size));
  }
}

// Moves position and count past the n entries that memory_bank_add wrote. n classes label comparisons.
TEAM_KERNEL void memory_bank_advance(IN(int, labels), OUT(int, position), OUT(int, count), int n, int classes, int capacity) {
  USE_IN(int, labels);
  USE_OUT(int, position);
  USE_OUT(int, count);
  ITEM_FOR(c, classes) {
    int added = 0;
    for (int i = 0; i < n; ++i) added += labels[i] == (int)c;
    position[c] = (int)(((ulong)(uint)position[c] + added) % capacity);
    count[c] = (int)min((long)clamp(count[c], 0, capacity) + added, (long)capacity);
  }
}

// indices[q, k], k < draws: slots of class labels[q], drawn without replacement while the class holds enough entries, with
// replacement otherwise; -1 where the class is empty or the label out of range. Floyd's sampling: at step k pick t from
// the first count - draws + k + 1 slots; where t was picked before, take the last of them instead.
// One work-item per label: draws^2 / 2 comparisons each.
TEAM_KERNEL void memory_bank_draw(IN(uint, clock), IN(int, labels), IN(int, count), OUT(int, indices), int stream, int rows,
                               int draws, int classes, int capacity) {
  USE_IN(uint, clock);
  USE_IN(int, labels);
  USE_IN(int, count);
  USE_OUT(int, indices);
  uint4 now = clock_load(clock);
  ITEM_FOR(q, rows) {
    int label = labels[q], held = label >= 0 && label < classes ? clamp(count[label], 0, capacity) : 0;
    __global int *picked = indices + q * draws;
    for (int k = 0; k < draws; ++k) {
      int range = held >= draws ? held - draws + k + 1 : held;
      int t = held > 0 ? (int)mul_hi(philox_block(now, stream, q * draws + k).x, (uint)range) : -1;
      if (held >= draws)
        for (int i = 0; i < k; ++i)
          if (picked[i] == t) {
            t = range - 1;
            break;
          }
      picked[k] = t;
    }
  }
}

// y[q, k] = entries[labels[q], indices[q, k]], zeros where the index is -1: y [rows, draws, size].
// Traffic: 8 rows draws size bytes.
TEAM_KERNEL void memory_bank_gather(IN(float, entries), IN(int, labels), IN(int, indices), OUT(float, y), int rows, int draws,
                                 int capacity, int size) {
  USE_IN(float, entries);
  USE_IN(int, labels);
  USE_IN(int, indices);
  USE_OUT(float, y);
  TEAM_ROWS(row, rows * draws) {
    int slot = indices[row];
    __global const float *from = entries + (slot < 0 ? 0 : ((size_t)labels[row / draws] * capacity + slot) * size);
    TEAM_FOR(j, size)
    lanes_store(y + (size_t)row * size, j, size, slot < 0 ? (floatL)(0.0f) : lanes_load(from, j, size));
  }
}
