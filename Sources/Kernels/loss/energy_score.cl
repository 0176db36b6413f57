// energy_score: how well pairs of samples stand for the law that a target was drawn from (energy score, a proper scoring rule).
//
//   score[r] = d1 + d2 - repulsion d12,  d1 = |y1 - x|^power, d2 = |y2 - x|^power, d12 = |y1 - y2|^power (Euclidean),
// y1 and y2 two samples for the same condition. A token has few channels: rows go to work-items.
#include "flat.cl"

static inline float energy_power(float squares, float power) {
  const float length = sqrt(squares);
  return power == 1.0f ? length : pow(length, power);
}

// What the difference of two points is multiplied by in the gradient of their distance |d|^power: power |d|^(power - 2), 0 where
// the points meet.
static inline float energy_slope(float distance, float power) {
  if (distance == 0.0f) return 0.0f;
  return power == 1.0f ? 1.0f / distance : power * pow(distance, 1.0f - 2.0f / power);
}

// y [2, rows, channels], x [targets, channels] of which row r is r % targets -> score [rows], distance [rows, 3] = {d1, d2, d12}.
// Traffic: (8 rows + 4 targets) channels bytes; 9 rows channels FLOPs.
TEAM_KERNEL void energy_score_forward(IN(float, y), IN(float, x), OUT(float, score), OUT(float, distance), const int rows,
                                   const int targets, const int channels, const float repulsion, const float power) {
  USE_IN(float, y);
  USE_IN(float, x);
  USE_OUT(float, score);
  USE_OUT(float, distance);
  ITEM_FOR(row, rows) {
    __global const float *first = y + row * channels, *second = first + (size_t)rows * channels;
    __global const float *target = x + (size_t)((int)row % targets) * channels;
    floatL sum1 = (floatL)(0.0f), sum2 = (floatL)(0.0f), sum12 = (floatL)(0.0f);
    for (int c = 0; c < channels; c += LANES) {
      const floatL a = lanes_load(first, c, channels), b = lanes_load(second, c, channels), t = lanes_load(target, c, channels);
      sum1 += (a - t) * (a - t);
      sum2 += (b - t) * (b - t);
      sum12 += (a - b) * (a - b);
    }
    const float d1 = energy_power(lanes_sum(sum1), power), d2 = energy_power(lanes_sum(sum2), power);
    const float d12 = energy_power(lanes_sum(sum12), power);
    score[row] = d1 + d2 - repulsion * d12;
    distance[row * 3] = d1;
    distance[row * 3 + 1] = d2;
    distance[row * 3 + 2] = d12;
  }
}

// dy1 = dscore (s1 (y1 - x) - repulsion s12 (y1 - y2)), dy2 = dscore (s2 (y2 - x) + repulsion s12 (y1 - y2)), the slopes s of the
// distances; dy [2, rows, channels]. Traffic: (16 rows + 4 targets) channels bytes; 9 rows channels FLOPs.
TEAM_KERNEL void energy_score_backward(IN(float, y), IN(float, x), IN(float, distance), IN(float, dscore), OUT(float, dy),
                                    const int rows, const int targets, const int channels, const float repulsion,
                                    const float power) {
  USE_IN(float, y);
  USE_IN(float, x);
  USE_IN(float, distance);
  USE_IN(float, dscore);
  USE_OUT(float, dy);
  ITEM_FOR(row, rows) {
    const size_t at = row * channels, other = at + (size_t)rows * channels;
    __global const float *target = x + (size_t)((int)row % targets) * channels;
    const float by1 = dscore[row] * energy_slope(distance[row * 3], power);
    const float by2 = dscore[row] * energy_slope(distance[row * 3 + 1], power);
    const float by12 = dscore[row] * repulsion * energy_slope(distance[row * 3 + 2], power);
    for (int c = 0; c < channels; c += LANES) {
      const floatL a = lanes_load(y + at, c, channels), b = lanes_load(y + other, c, channels);
      const floatL t = lanes_load(target, c, channels);
      lanes_store(dy + at, c, channels, by1 * (a - t) - by12 * (a - b));
      lanes_store(dy + other, c, channels, by2 * (b - t) + by12 * (a - b));
    }
  }
}
