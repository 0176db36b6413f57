// speculation: the decisions of the speculative loop. The draft proposes z, the encoder's own z is the target.
//
// The proposal for position r of a label is draft[r - shift]; positions below `shift` have none. It is accepted when
//   || draft[r - shift] - target[r] || < threshold
// and the accepted positions take the draft's features, all others the target's.
#include "team.cl"

// draft, target, merged [B, R, D]; distance, accepted [B, R]: accepted is 1 or 0, the distance infinite where nothing is
// proposed. Traffic: 12 B R D bytes (a row is in the cache when it is copied); 3 B R D FLOPs.
TEAM_KERNEL void draft_verify(IN(float, draft), IN(float, target), OUT(float, merged), OUT(float, distance),
                           OUT(float, accepted), const int batch, const int positions, const int width, const int shift,
                           const float threshold) {
  TEAM_LOCAL;
  USE_IN(float, draft);
  USE_IN(float, target);
  USE_OUT(float, merged);
  USE_OUT(float, distance);
  USE_OUT(float, accepted);
  TEAM_ROWS(row, batch * positions) {
    const int is_proposed = row % positions >= shift;
    __global const float *own = target + (size_t)row * width;
    __global const float *other = is_proposed ? draft + (size_t)(row - shift) * width : own;
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, width) {
      const floatL d = lanes_load(other, i, width) - lanes_load(own, i, width);
      sum += d * d;
    }
    const float length = sqrt(team_sum(sum));
    const int is_accepted = is_proposed && length < threshold;
    __global const float *chosen = is_accepted ? other : own;
    TEAM_FOR(i, width) lanes_store(merged + (size_t)row * width, i, width, lanes_load(chosen, i, width));
    if (TEAM_RANK == 0) {
      distance[row] = is_proposed ? length : INFINITY;
      accepted[row] = is_accepted;
    }
  }
}

// prefix[b] = accepted positions of b from `shift` on up to the first that is not, total[b] = all accepted positions.
// accepted [B, R] -> prefix, total [B]. Traffic: 8 B R bytes.
TEAM_KERNEL void draft_prefix(IN(float, accepted), OUT(float, prefix), OUT(float, total), const int batch,
                           const int positions, const int shift) {
  TEAM_LOCAL;
  USE_IN(float, accepted);
  USE_OUT(float, prefix);
  USE_OUT(float, total);
  TEAM_ROWS(row, batch) {
    __global const float *flags = accepted + (size_t)row * positions;
    int first = positions;
    for (int i = shift + TEAM_RANK; i < first; i += TEAM_SIZE)
      if (flags[i] == 0.0f) first = i;
    // The least of the team's; floats hold it exactly, positions stay below 2^24.
    const float least = -team_max_scalar(-(float)first);
    floatL sum = (floatL)(0.0f);
    TEAM_FOR(i, positions) sum += lanes_load(flags, i, positions);
    const float count = team_sum(sum);
    if (TEAM_RANK == 0) {
      prefix[row] = least - (float)shift;
      total[row] = count;
    }
  }
}

// What the tracker knows of the entropies it has seen, in a float4: how many, their mean and variance, and an EMA over
// batches. A vector and no struct: not every OpenCL passes those by value.
#define TRACKER_COUNT(s) (s).x
#define TRACKER_MEAN(s) (s).y
#define TRACKER_VARIANCE(s) (s).z
#define TRACKER_AVERAGE(s) (s).w

// tau_global = 0.3 mean - 0.1 std and tau_context = gamma EMA.
static inline float tracker_global(float4 s) {
  return 0.3f * TRACKER_MEAN(s) - 0.1f * sqrt(fmax(TRACKER_VARIANCE(s), 0.0f));
}
static inline float tracker_context(float4 s, float gamma) { return gamma * TRACKER_AVERAGE(s); }

// The state after `count` more values of this mean and variance. The EMA begins at tau_global / gamma, so that
// tau_context begins at tau_global.
static inline float4 tracker_add(float4 s, float count, float mean, float variance, float gamma, float decay) {
  const int is_first = TRACKER_COUNT(s) == 0.0f;
  const float delta = mean - TRACKER_MEAN(s), part = count / (TRACKER_COUNT(s) + count);
  TRACKER_COUNT(s) += count;
  TRACKER_MEAN(s) += delta * part;
  TRACKER_VARIANCE(s) += (variance - TRACKER_VARIANCE(s)) * part + delta * delta * part * (1.0f - part);
  if (is_first)
    TRACKER_AVERAGE(s) = gamma > 0.0f ? tracker_global(s) / gamma : mean;
  else
    TRACKER_AVERAGE(s) = decay * TRACKER_AVERAGE(s) + (1.0f - decay) * mean;
  return s;
}

// Mean and unbiased variance of x [n], each value counted `group` times. Every work-item of the team must come here.
#if TEAM_SIZE > 1
#define tracker_moments(x, n, group) tracker_moments_in(team_scratch, x, n, group)
static inline float2 tracker_moments_in(__local float *team_scratch, __global const float *x, int n, int group) {
#else
static inline float2 tracker_moments(__global const float *x, int n, int group) {
#endif
  floatL sum = (floatL)(0.0f), squares = (floatL)(0.0f);
  TEAM_FOR(i, n) sum += lanes_load(x, i, n);
  const float mean = team_sum(sum) / n;
  TEAM_FOR(i, n) {
    const floatL d = lanes_load_or(x, i, n, mean) - mean;
    squares += d * d;
  }
  const float others = (float)group * n - 1.0f;
  const float total = group * team_sum(squares);
  return (float2)(mean, others > 0.0f ? total / others : 0.0f);
}

// Adds entropies [n] to the tracker: state [4] -> updated [4], thresholds [2] = {tau_global, tau_context} afterwards.
// One team. Traffic: 4 n bytes.
TEAM_KERNEL void entropy_tracker(IN(float, entropy), IN(float, state), OUT(float, updated), OUT(float, thresholds),
                              const int n, const int group, const float gamma, const float decay) {
  TEAM_LOCAL;
  USE_IN(float, entropy);
  USE_IN(float, state);
  USE_OUT(float, updated);
  USE_OUT(float, thresholds);
  TEAM_ROWS(row, 1) {
    const float2 moments = tracker_moments(entropy, n, group);
    if (TEAM_RANK == 0) {
      const float4 s = tracker_add(vload4(0, state), (float)group * n, moments.x, moments.y, gamma, decay);
      vstore4(s, 0, updated);
      thresholds[0] = tracker_global(s);
      thresholds[1] = tracker_context(s, gamma);
    }
  }
}

// The rounds of the loop: in each the tracker sees the target's entropies, and the loop ends early when the draft's mean
// entropy lies below both thresholds. z, draft and entropies are the same in every round (only the noise of a round is its
// own), so the decisions of all rounds are made here at once.
// entropy, draft_entropy [B, R], prefix [B], state [4] -> updated [4], figures [6] = {rounds taken, mean prefix, mean draft
// entropy, tau_global, tau_context, 1 when ended early}, the last four those of the last round. Each label stands for
// `group` images. One team. Traffic: 8 B R bytes.
TEAM_KERNEL void speculative_rounds(IN(float, entropy), IN(float, draft_entropy), IN(float, prefix), IN(float, state),
                                 OUT(float, updated), OUT(float, figures), const int n, const int batch,
                                 const int group, const int rounds, const float gamma, const float decay) {
  TEAM_LOCAL;
  USE_IN(float, entropy);
  USE_IN(float, draft_entropy);
  USE_IN(float, prefix);
  USE_IN(float, state);
  USE_OUT(float, updated);
  USE_OUT(float, figures);
  TEAM_ROWS(row, 1) {
    const float2 moments = tracker_moments(entropy, n, group);
    floatL confidence = (floatL)(0.0f), accepted = (floatL)(0.0f);
    TEAM_FOR(i, n) confidence += lanes_load(draft_entropy, i, n);
    TEAM_FOR(i, batch) accepted += lanes_load(prefix, i, batch);
    const float draft_mean = team_sum(confidence) / n;
    const float accepted_mean = team_sum(accepted) / batch;
    if (TEAM_RANK == 0) {
      float4 s = vload4(0, state);
      int taken = 0, is_confident = 0;
      while (taken < rounds && !is_confident) {
        s = tracker_add(s, (float)group * n, moments.x, moments.y, gamma, decay);
        is_confident = draft_mean < tracker_context(s, gamma) && draft_mean < tracker_global(s);
        ++taken;
      }
      vstore4(s, 0, updated);
      figures[0] = taken;
      figures[1] = accepted_mean;
      figures[2] = draft_mean;
      figures[3] = tracker_global(s);
      figures[4] = tracker_context(s, gamma);
      figures[5] = is_confident;
    }
  }
}
