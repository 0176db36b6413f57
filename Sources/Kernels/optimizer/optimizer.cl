// optimizer: AdamW, EMA and gradient clipping over flat storage. Every parameter starts on a block of 64 floats; flags
// [blocks] say per block whether weight decay applies (bit 0) and whether it is trained (bit 1). Padding holds zeros.
#include "flat.cl"

#define OPTIMIZER_BLOCK 64
#define OPTIMIZER_DECAY 1
#define OPTIMIZER_ACTIVE 2

// What gradient_norm leaves in `state` [3].
#define STATE_NORM 0
#define STATE_CLIP 1
#define STATE_OK 2

// partial[p] = sum of g^2 over the active blocks of part p: gradient [64 blocks] -> partial [parts].
// Traffic: 256 blocks bytes.
TEAM_KERNEL void gradient_norm_partial(IN(float, gradient), IN(int, flags), OUT(float, partial), int blocks, int parts) {
  TEAM_LOCAL;
  USE_IN(float, gradient);
  USE_IN(int, flags);
  USE_OUT(float, partial);
  int length = (blocks + parts - 1) / parts;
  TEAM_ROWS(part, parts) {
    int begin = (int)min((long)part * length, (long)blocks), n = min(length, blocks - begin);
    __global const float *g = gradient + (size_t)begin * OPTIMIZER_BLOCK;
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, n * OPTIMIZER_BLOCK) {
      floatL v = LOAD_PACKED(g + i);
      if (flags[begin + i / OPTIMIZER_BLOCK] & OPTIMIZER_ACTIVE) sum += v * v;
    }
    float total = team_sum(sum);
    if (TEAM_RANK == 0) partial[part] = total;
  }
}

// state = {norm, min(1, max_norm / (norm + 1e-6)) or 1 where max_norm <= 0, 1 if norm and loss are finite else 0};
// counters {applied, skipped}: one of the two goes up. One team.
TEAM_KERNEL void gradient_norm_forward(IN(float, partial), IN(float, loss), OUT(float, state), OUT(uint, counters), int parts,
                                    float max_norm) {
  TEAM_LOCAL;
  USE_IN(float, partial);
  USE_IN(float, loss);
  USE_OUT(float, state);
  USE_OUT(uint, counters);
  TEAM_ROWS(row, 1) {
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, parts) sum += lanes_load(partial, i, parts);
    float norm = sqrt(team_sum(sum));
    if (TEAM_RANK == 0) {
      int ok = isfinite(norm) && isfinite(loss[0]);
      state[STATE_NORM] = norm;
      state[STATE_CLIP] = max_norm > 0.0f ? fmin(1.0f, max_norm / (norm + 1e-6f)) : 1.0f;
      state[STATE_OK] = ok ? 1.0f : 0.0f;
      counters[ok ? 0 : 1] += 1;
    }
  }
}

// 1 - beta^t from 1 - beta, without the cancellation of either.
static inline float adamw_correction(float rate, float t) { return -expm1(t * log1p(-rate)); }

// AdamW (decoupled decay) and the EMA of the weights, where state says ok; nothing otherwise. With g the clipped gradient,
// t = counters[0], rate1 = 1 - beta1, rate2 = 1 - beta2:
//   p *= 1 - lr decay;  m += rate1 (g - m);  v += rate2 (g^2 - v)
//   p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon);  ema += ema_rate (p - ema)
// Blocks that are not active keep p, m and v; their EMA moves on. ema_rate 0: ema is neither read nor written.
// Traffic: 36 bytes a parameter (28 without EMA).
TEAM_KERNEL void adamw_forward(OUT(float, parameter), IN(float, gradient), OUT(float, first), OUT(float, second),
                            OUT(float, ema), IN(int, flags), IN(float, state), IN(uint, counters),
                            IN(float, learning_rate), int blocks, float rate1, float rate2, float epsilon, float decay,
                            float ema_rate) {
  USE_OUT(float, parameter);
  USE_IN(float, gradient);
  USE_OUT(float, first);
  USE_OUT(float, second);
  USE_OUT(float, ema);
  USE_IN(int, flags);
  USE_IN(float, state);
  USE_IN(uint, counters);
  USE_IN(float, learning_rate);
  if (state[STATE_OK] == 0.0f) return;
  float lr = learning_rate[0], clip = state[STATE_CLIP], t = (float)counters[0];
  float step = lr / adamw_correction(rate1, t), root = 1.0f / sqrt(adamw_correction(rate2, t));
  FLAT_FOR(i, (size_t)blocks * OPTIMIZER_BLOCK) {
    int flag = flags[i / OPTIMIZER_BLOCK];
    floatL p = LOAD_PACKED(parameter + i);
    if (flag & OPTIMIZER_ACTIVE) {
      floatL g = clip * LOAD_PACKED(gradient + i), m = LOAD_PACKED(first + i), v = LOAD_PACKED(second + i);
      m += rate1 * (g - m);
      v += rate2 * (g * g - v);
      if (flag & OPTIMIZER_DECAY) p *= 1.0f - lr * decay;
      p -= step * m / (sqrt(v) * root + epsilon);
      STORE_PACKED(m, first + i);
      STORE_PACKED(v, second + i);
      STORE_PACKED(p, parameter + i);
    }
    if (ema_rate != 0.0f) {
      floatL e = LOAD_PACKED(ema + i);
      STORE_PACKED(e + ema_rate * (p - e), ema + i);
    }
  }
}
