// rotary: RoPE of the columns of a head, each of the first half turned with the one that stands as far into the second
// ("rotate half", as LLaMA's).
//
//   y[i]         = x[i] cos a_i - x[i + PAIRS] sin a_i
//   y[i + PAIRS] = x[i + PAIRS] cos a_i + x[i] sin a_i          a_i = angle of pair i at the row's position; `turn` -1 turns back
//
// x, y [rows, heads, 2 PAIRS]; table [positions, 2 PAIRS]: the cosines of all pairs, then the sines; row r has position
// r % positions.
//
// -D PAIRS  half the columns of a head; without it the family is empty
#include "flat.cl"

#ifdef PAIRS

// Pairs of a work-item: a head's all on a CPU; on a GPU one, so that neighbours have neighbours.
#if TEAM_SIZE > 1
#define ITEM_PAIRS 1
#else
#define ITEM_PAIRS PAIRS
#endif

// Traffic: 16 rows heads PAIRS bytes and the table; 6 rows heads PAIRS FLOPs. y may be x.
TEAM_KERNEL void rotary_forward(IN(float, x), IN(float, table), OUT(float, y), const int rows, const int heads,
                             const int positions, const float turn) {
  USE_IN(float, x);
  USE_IN(float, table);
  USE_OUT(float, y);
  ITEM_FOR(item, (size_t)rows * heads * (PAIRS / ITEM_PAIRS)) {
    const size_t head = item / (PAIRS / ITEM_PAIRS);
    const int first = (int)(item % (PAIRS / ITEM_PAIRS)) * ITEM_PAIRS;
    __global const float *from = x + head * (2 * PAIRS) + first;
    __global const float *angle = table + head / heads % positions * (2 * PAIRS) + first;
    __global float *to = y + head * (2 * PAIRS) + first;
    float a[ITEM_PAIRS], b[ITEM_PAIRS];
    for (int i = 0; i < ITEM_PAIRS; ++i) {
      const float c = angle[i], s = angle[PAIRS + i] * turn, u = from[i], v = from[PAIRS + i];
      a[i] = u * c - v * s;
      b[i] = v * c + u * s;
    }
    for (int i = 0; i < ITEM_PAIRS; ++i) {
      to[i] = a[i];
      to[PAIRS + i] = b[i];
    }
  }
}
#endif
