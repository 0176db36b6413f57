// whole: numbers as integers.
#include "flat.cl"

// y[i] = the whole number next to x[i], which lies below 2^31. Traffic: 8 n bytes.
TEAM_KERNEL void whole_forward(IN(float, x), OUT(int, y), const int n) {
  USE_IN(float, x);
  USE_OUT(int, y);
  ITEM_FOR(i, n) y[i] = convert_int_rte(x[i]);
}
