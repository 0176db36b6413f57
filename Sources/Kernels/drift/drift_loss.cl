// drift_loss: the loss of the drift field and its gradient.
//
//   m[q] = mean F[q]^2 over a part,   force_weight[q] = 1 / sqrt(max(m[q], floor) + epsilon)
//   V = sum_q force_weight[q] F[q],   goal = gen / s + V (a constant),   loss = mean((gen / s - goal)^2) = mean V^2
//   d loss / d gen = 2 (gen / s - goal) / (s count) = -2 V / (s count),   count = B G S
//
// A part is the whole batch of groups (one part), or one group of its own (B parts). The loss is the mean over all parts,
// which are of one size.
// Neither goal nor V is stored, and the loss follows from the products of the forces alone.
#ifndef DRIFT_LOSS_CL
#define DRIFT_LOSS_CL
#include "drift_field.cl"

// product [DRIFT_PAIRS, parts, rows], parts rows = B G -> loss [parts], that of each part; force [TEMPERATURES, parts] = m;
// force_weight [TEMPERATURES, parts]. A part to a team. Traffic: 4 DRIFT_PAIRS parts rows bytes.
TEAM_KERNEL void drift_loss_parts(IN(float, product), OUT(float, loss), OUT(float, force), OUT(float, force_weight),
                               const int parts, const int rows, const int width, const float least, const float epsilon) {
  TEAM_LOCAL;
  USE_IN(float, product);
  USE_OUT(float, loss);
  USE_OUT(float, force);
  USE_OUT(float, force_weight);
  const float count = (float)rows * (float)width;
  TEAM_ROWS(part, parts) {
    float mean[TEMPERATURES][TEMPERATURES];
    int pair = 0;
    for (int q = 0; q < TEMPERATURES; ++q)
      for (int r = q; r < TEMPERATURES; ++r, ++pair) {
        __global const float *p = product + ((size_t)pair * parts + part) * rows;
        floatL sum = (floatL)(0.0f);
        TEAM_FOR(i, rows) sum += lanes_load(p, i, rows);
        mean[q][r] = team_sum(sum) / count;
      }
    float w[TEMPERATURES], total = 0.0f;
    for (int q = 0; q < TEMPERATURES; ++q) w[q] = 1.0f / sqrt(fmax(mean[q][q], least) + epsilon);
    for (int q = 0; q < TEMPERATURES; ++q)
      for (int r = q; r < TEMPERATURES; ++r) total += (q == r ? 1.0f : 2.0f) * w[q] * w[r] * mean[q][r];
    if (TEAM_RANK == 0) {
      loss[part] = total;
      for (int q = 0; q < TEMPERATURES; ++q) {
        force[(size_t)q * parts + part] = mean[q][q];
        force_weight[(size_t)q * parts + part] = w[q];
      }
    }
  }
}

// upstream [1], force [TEMPERATURES, parts, rows S], force_weight [TEMPERATURES, parts], scale [1] -> dgen [parts, rows S].
// Traffic: 4 (TEMPERATURES + 1) parts rows S bytes.
TEAM_KERNEL void drift_loss_backward(IN(float, upstream), IN(float, force), IN(float, force_weight), IN(float, scale),
                                  OUT(float, dgen), const int parts, const int rows, const int width) {
  USE_IN(float, upstream);
  USE_IN(float, force);
  USE_IN(float, force_weight);
  USE_IN(float, scale);
  USE_OUT(float, dgen);
  const size_t part_count = (size_t)rows * width, count = parts * part_count;
  const float common = -2.0f * upstream[0] / (coordinate_unit(scale[0], width) * (float)count);
  // Rows of LANES: an int holds their number where it might not hold the number of elements.
  const int part_chunks = (int)((part_count + LANES - 1) / LANES);
  for (int chunk = TEAM_INDEX * TEAM_SIZE + TEAM_RANK; chunk < parts * part_chunks; chunk += TEAM_COUNT * TEAM_SIZE) {
    const int part = chunk / part_chunks;
    const size_t from = (size_t)(chunk % part_chunks) * LANES, at = part * part_count + from;
    const int left = (int)min(part_count - from, (size_t)LANES);
    floatL d = (floatL)(0.0f);
#pragma unroll
    for (int q = 0; q < TEMPERATURES; ++q)
      d = fma((floatL)(common * force_weight[(size_t)q * parts + part]), lanes_load(force + q * count + at, 0, left), d);
    lanes_store(dgen + at, 0, left, d);
  }
}
#endif
