// embedding: rows of a table picked by labels, with label dropping for classifier-free guidance.
#include "team.cl"

// Whether sample i takes the unconditional row. `uniform` is not read when p is 0.
static inline int embedding_dropped(__global const float *uniform, int i, float p) {
  return p > 0.0f && uniform[i] < p;
}

// Whether sample i adds to row `row` of the gradient; row `classes` is that of the dropped ones.
static inline int embedding_takes(__global const int *labels, __global const float *uniform, int i, int row, int classes,
                                  float p) {
  const int dropped = embedding_dropped(uniform, i, p);
  return row < classes ? !dropped && labels[i] == row : dropped;
}

// Labels a team looks at together.
#if TEAM_SIZE > 1
#define EMBEDDING_LOOK TEAM_SIZE
#else
#define EMBEDDING_LOOK LANES
#endif

// y[i] = fake[:] where uniform[i] < p, else table[labels[i]]; zeros where the label is out of range.
// table [classes, width], labels [n], fake [width], uniform [n] (fake and uniform unread when p is 0) -> y [n, width].
// Traffic: 8 n width bytes.
TEAM_KERNEL void embedding_forward(IN(float, table), IN(int, labels), IN(float, fake), IN(float, uniform), OUT(float, y),
                                int n, int classes, int width, float p) {
  USE_IN(float, table);
  USE_IN(int, labels);
  USE_IN(float, fake);
  USE_IN(float, uniform);
  USE_OUT(float, y);
  TEAM_ROWS(row, n) {
    int label = labels[row];
    int dropped = embedding_dropped(uniform, row, p), known = label >= 0 && label < classes;
    __global const float *from = dropped ? fake : table + (known ? (size_t)label * width : 0);
    TEAM_FOR(i, width) {
      floatL v = dropped || known ? lanes_load(from, i, width) : (floatL)(0.0f);
      lanes_store(y + (size_t)row * width, i, width, v);
    }
  }
}

// dtable[v] = sum of dy[i] over the i that took row v, dfake = sum over the dropped ones, in the order of i.
// A team owns a row of the gradient (row `classes` is dfake) and looks for its samples, so nothing is shared between
// teams. It looks at as many labels at once as it holds, since most are not its own. dtable is written whole. dfake is
// written only when p > 0.
// Traffic: 4 (classes + n) width bytes; (classes + 1) n label comparisons.
TEAM_KERNEL void embedding_backward(IN(int, labels), IN(float, uniform), IN(float, dy), OUT(float, dtable),
                                 OUT(float, dfake), int n, int classes, int width, float p) {
  USE_IN(int, labels);
  USE_IN(float, uniform);
  USE_IN(float, dy);
  USE_OUT(float, dtable);
  USE_OUT(float, dfake);
#if TEAM_SIZE > 1
  __local int found[TEAM_SIZE], any_found;
#endif
  TEAM_ROWS(row, classes + (p > 0.0f)) {
    __global float *to = row < classes ? dtable + (size_t)row * width : dfake;
    TEAM_FOR(i, width) lanes_store(to, i, width, (floatL)(0.0f));
    for (int first = 0; first < n; first += EMBEDDING_LOOK) {
#if TEAM_SIZE > 1
      const int mine = first + TEAM_RANK < n && embedding_takes(labels, uniform, first + TEAM_RANK, row, classes, p);
      barrier(CLK_LOCAL_MEM_FENCE);
      found[TEAM_RANK] = mine;
      if (TEAM_RANK == 0) any_found = 0;
      barrier(CLK_LOCAL_MEM_FENCE);
      if (mine) atomic_or(&any_found, 1);
      barrier(CLK_LOCAL_MEM_FENCE);
      const int last = any_found ? min(first + EMBEDDING_LOOK, n) : first;
#else
      const int whole = row < classes && first + LANES <= n;
      const int last = whole && !any(vloadL(0, labels + first) == (intL)(row)) ? first : min(first + EMBEDDING_LOOK, n);
#endif
      for (int s = first; s < last; ++s) {
#if TEAM_SIZE > 1
        if (!found[s - first]) continue;
#else
        if (!embedding_takes(labels, uniform, s, row, classes, p)) continue;
#endif
        // Each work-item reads back only what it wrote itself.
        TEAM_FOR(i, width)
        lanes_store(to, i, width, lanes_load(to, i, width) + lanes_load(dy + (size_t)s * width, i, width));
      }
    }
  }
}
