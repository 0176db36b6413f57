// accept_tokens: tokens that a causal model draws in the place of guesses, as far as the guesses before them were right.
//
// Of sequence b, K = known[b] tokens are final. Token K + i was drawn from those before it, of which the ones from K on were
// guesses: tokens[b, K ... K + i - 1]. drawn[b, 0] therefore is final, and drawn[b, i + 1] is where drawn[b, i] is and the guess in
// its place lay within `tolerance` of it (root mean square over its values):
//
//   d_i = |tokens[b, K + i] - drawn[b, i]|_rms;   a = 1 + max { m < G: d_i <= tolerance for all i < m, K + m < length }
//   distance[b, K + i] = d_i for i < min(a, min(G, length - K) - 1), the guesses that were checked: those that were right, then the
//                        first that was not
//   tokens[b, K + i] = drawn[b, i], i < G: the first a are final, the others are the next guesses
//   known[b] = K + a;   tally[b, a - 1] += 1;   last[b] = a - 1
//
// tokens [B, length, width], drawn [B, G, width], tally [B, columns], columns >= G, distance [B, length], last [B]; where K = length last
// is -1 and nothing else is done. Traffic: 12 B G width bytes.
#include "row_groups.cl"

// Launch: any number of teams.
TEAM_KERNEL void accept_tokens(OUT(float, tokens), IN(float, drawn), OUT(int, known), OUT(int, tally), OUT(float, distance),
                            OUT(int, last), const int batch, const int count, const int length, const int width,
                            const int columns, const float tolerance) {
  TEAM_LOCAL;
  USE_OUT(float, tokens);
  USE_IN(float, drawn);
  USE_OUT(int, known);
  USE_OUT(int, tally);
  USE_OUT(float, distance);
  USE_OUT(int, last);
  TEAM_ROWS(b, batch) {
    const int first = known[b], rows = min(count, length - first);
    __global float *guess = tokens + ((size_t)b * length + first) * width;
    __global const float *from = drawn + (size_t)b * count * width;
    int accepted = min(1, rows);
    while (accepted > 0 && accepted < rows) {
      const size_t at = (size_t)(accepted - 1) * width;
      floatL square = (floatL)(0.0f);
      TEAM_FOR(i, width) {
        const floatL difference = lanes_load(guess + at, i, width) - lanes_load(from + at, i, width);
        square += difference * difference;
      }
      const float apart = sqrt(team_sum(square) / (float)width);
      if (TEAM_RANK == 0) distance[(size_t)b * length + first + accepted - 1] = apart;
      if (!(apart <= tolerance)) break;
      ++accepted;
    }
    TEAM_GLOBAL_BARRIER;
    for (int row = 0; row < rows; ++row)
      TEAM_FOR(i, width) lanes_store(guess + (size_t)row * width, i, width, lanes_load(from + (size_t)row * width, i, width));
    if (TEAM_RANK == 0) {
      last[b] = accepted - 1;
      if (accepted > 0) {
        known[b] = first + accepted;
        tally[b * columns + accepted - 1] += 1;
      }
    }
  }
}
