// drift_loss: the loss of the drift field and its gradient.
//
//   loss_R[q] = mean F[q]^2 over the whole batch of groups,   force_weight[q] = 1 / sqrt(max(loss_R[q], 1e-8))
//   V = sum_q force_weight[q] F[q],   goal = gen / s + V (a constant),   loss = mean((gen / s - goal)^2) = mean V^2
//   d loss / d gen = 2 (gen / s - goal) / (s count) = -2 V / (s count),   count = B G S
//
// Neither goal nor V is stored, and the loss follows from the products of the forces alone.
#ifndef DRIFT_LOSS_CL
#define DRIFT_LOSS_CL
#include "drift_field.cl"

// product [DRIFT_PAIRS, rows], rows = B G -> loss [1], loss_R [TEMPERATURES], force_weight [TEMPERATURES]. One team.
// Traffic: 4 DRIFT_PAIRS rows bytes.
__kernel void drift_loss_forward(IN(float, product), OUT(float, loss), OUT(float, loss_r), OUT(float, force_weight),
                                 const int rows, const int width) {
  TEAM_LOCAL;
  USE_IN(float, product);
  USE_OUT(float, loss);
  USE_OUT(float, loss_r);
  USE_OUT(float, force_weight);
  if (TEAM_INDEX > 0) return;
  const float count = (float)rows * (float)width;
  float mean[TEMPERATURES][TEMPERATURES];
  int pair = 0;
  for (int q = 0; q < TEMPERATURES; ++q)
    for (int r = q; r < TEMPERATURES; ++r, ++pair) {
      floatL sum = (floatL)(0.0f);
      TEAM_FOR(i, rows) sum += lanes_load(product + (size_t)pair * rows, i, rows);
      mean[q][r] = team_sum(sum) / count;
    }
  if (TEAM_RANK > 0) return;
  float total = 0.0f;
  float w[TEMPERATURES];
  for (int q = 0; q < TEMPERATURES; ++q) w[q] = 1.0f / sqrt(fmax(mean[q][q], 1e-8f));
  for (int q = 0; q < TEMPERATURES; ++q) {
    loss_r[q] = mean[q][q];
    force_weight[q] = w[q];
    for (int r = q; r < TEMPERATURES; ++r) total += (q == r ? 1.0f : 2.0f) * w[q] * w[r] * mean[q][r];
  }
  loss[0] = total;
}

// upstream [1], force [TEMPERATURES, rows S], force_weight [TEMPERATURES], scale [1] -> dgen [rows S].
// Traffic: 4 (TEMPERATURES + 1) rows S bytes.
__kernel void drift_loss_backward(IN(float, upstream), IN(float, force), IN(float, force_weight), IN(float, scale),
                                  OUT(float, dgen), const int rows, const int width) {
  USE_IN(float, upstream);
  USE_IN(float, force);
  USE_IN(float, force_weight);
  USE_IN(float, scale);
  USE_OUT(float, dgen);
  const size_t count = (size_t)rows * width;
  const float common = -2.0f * upstream[0] / (coordinate_unit(scale[0], width) * (float)count);
  float w[TEMPERATURES];
  for (int q = 0; q < TEMPERATURES; ++q) w[q] = common * force_weight[q];
  // Rows of LANES: an int holds their number where it might not hold the number of elements.
  const int chunks = (int)((count + LANES - 1) / LANES);
  for (int chunk = TEAM_INDEX * TEAM_SIZE + TEAM_RANK; chunk < chunks; chunk += TEAM_COUNT * TEAM_SIZE) {
    const size_t at = (size_t)chunk * LANES;
    const int left = (int)min(count - at, (size_t)LANES);
    floatL d = (floatL)(0.0f);
#pragma unroll
    for (int q = 0; q < TEMPERATURES; ++q) d = fma((floatL)(w[q]), lanes_load(force + q * count + at, 0, left), d);
    lanes_store(dgen + at, 0, left, d);
  }
}
#endif
