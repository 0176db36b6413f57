// counter: a number on the device that says how far a loop is, and rows of tables picked by it.
#include "flat.cl"

// value[0] = resets ? 0 : value[0] + 1. One team.
TEAM_KERNEL void counter_step(OUT(uint, value), int resets) {
  USE_OUT(uint, value);
  if (get_global_id(0) == 0) value[0] = resets ? 0u : value[0] + 1u;
}

// y = table[min(value[0], rows - 1)]: table [rows, width] -> y [width]. Traffic: 8 width bytes.
TEAM_KERNEL void counter_select(IN(float, table), IN(uint, value), OUT(float, y), int rows, int width) {
  USE_IN(float, table);
  USE_IN(uint, value);
  USE_OUT(float, y);
  __global const float *from = table + (size_t)min(value[0], (uint)rows - 1) * width;
  FLAT_FOR(i, width) {
    const int left = FLAT_LEFT(i, width);
    lanes_store(y + i, 0, left, lanes_load(from + i, 0, left));
  }
}
