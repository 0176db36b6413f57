// token_diffusion: all steps of the diffusions, or of the flows, of single tokens in one launch. What a step makes of a token
// depends on no other, so a tile of rows stays where it is from noise to tokens.
#include "token_network.cl"
#include "diffusion_step.cl"
#include "flow_step.cl"
#include "philox.cl"

#if defined(TOKEN_ROWS) && !defined(TOKEN_DIFFUSION_CL)
#define TOKEN_DIFFUSION_CL

// For each step s: (e, v) = network(input(x), condition + time[s]), guided e = e_u + cfg[0] (e_c - e_u); x = diffusion_back(x).
// With `flow` not 0 the network has no v, and e is the velocity: x = flow_forward(x); with 2 the velocity of the step before stands in the
// noise's place. It lies in y until the tokens come there; each work-item reads only what it wrote.
//   x [count, channels]        what is drawn
//   condition [count, width]   guided [2 count, width], those of no label behind the others
//   table [steps, width + 9]   of each step the embedded time and the numbers of diffusion_step.cl; those of flow_step.cl are 3
//   packed                     the network's weights (token_network.cl), and behind `network` floats those of the input layer
//   places [count]             where the tokens stand in [images, tokens]; key, labels [images / per_label], image as random_noise:
//                              the noise of step s is that of element place channels + c in the draw stream + s
// FLOPs a row and step: those of token_network_forward and 2 width channels. Of a step nothing but the weights is in global memory, and with
// `flow` 2 the velocity.
TEAM_KERNEL void token_diffusion(IN(float, x), IN(float, condition), IN(float, table), IN(float, packed), IN(int, places),
                                 IN(uint, key), IN(int, labels), IN(uint, image), IN(float, cfg), OUT(float, y), const int count,
                                 const int channels, const int width, const int depth, const int network, const int steps,
                                 const int guided, const int flow, const int tokens, const int per_label, const int stream,
                                 const float temperature, const float limit) {
  USE_IN(float, x);
  USE_IN(float, condition);
  USE_IN(float, table);
  USE_IN(float, packed);
  USE_IN(int, places);
  USE_IN(uint, key);
  USE_IN(int, labels);
  USE_IN(uint, image);
  USE_IN(float, cfg);
  USE_OUT(float, y);
  __local float buffers[6 * TOKEN_BUFFER];
  __local uint elements[TOKEN_ROWS], numbers[TOKEN_ROWS], classes[TOKEN_ROWS];
  TOKEN_LOCAL(count);
  __local float *noisy = TOKEN_START(buffers, count), *other = noisy + TOKEN_BUFFER, *residual = other + TOKEN_BUFFER;
  __local float *active = residual + TOKEN_BUFFER, *hidden = active + TOKEN_BUFFER, *made = hidden + TOKEN_BUFFER;
  const uint2 seed = (uint2)(key[0], key[1]);
  const float strength = guided ? cfg[0] : 1.0f;
  TEAM_ROWS(tile, TOKEN_TILES(count)) {
    const int first = tile * TOKEN_ROWS;
    for (int row = TEAM_RANK; row < TOKEN_ROWS; row += TEAM_SIZE) {
      const int place = places[min(first + row, count - 1)], number = place / tokens;
      elements[row] = (uint)(place % tokens * channels);
      numbers[row] = image[0] + (uint)(number % per_label);
      classes[row] = (uint)labels[number / per_label];
    }
    TOKEN_FOR(at, row, column, channels) TOKEN_STORE(token_fetch(x, first, row, column, count, channels), noisy + at);
    for (int step = 0; step < steps; ++step) {
      __global const float *time = table + (size_t)step * (width + (flow ? 3 : 9));
      // Those of no label come first: the variance is that of the label.
      for (int unlabelled = guided; unlabelled >= 0; --unlabelled) {
        __global const float *own = condition + (size_t)unlabelled * count * width;
        TOKEN_FOR(at, row, column, TOKEN_PADDED(width))
          TOKEN_STORE(silu_lanes(token_fetch(own, first, row, column, count, width) + token_along(time, column, width)), active + at);
        TEAM_BARRIER;
        token_layer(noisy, channels, packed + network, TOKEN_PADDED(width), residual, residual, 0.0f, TOKEN_SET);
        token_network(packed, width, depth, (flow ? 1 : 2) * channels, residual, active, hidden, made, 1.0f TOKEN_LOCAL_ARGUMENT);
        if (unlabelled) TOKEN_FOR(at, row, column, channels) TOKEN_STORE(TOKEN_LOAD(made + at), other + at);
      }
      const bool is_random = flow < 2 && time[width + (flow ? 2 : 4)] * temperature != 0.0f;
      TOKEN_FOR(at, row, column, channels) {
        floatL e = TOKEN_LOAD(made + at), noise = 0.0f;
        if (guided) e = TOKEN_LOAD(other + at) + strength * (e - TOKEN_LOAD(other + at));
        if (is_random)
          noise = noise_lanes(seed, TOKEN_ROW_LANES(elements, row) + TOKEN_COLUMN_LANES(column), TOKEN_ROW_LANES(numbers, row),
                              TOKEN_ROW_LANES(classes, row), (uint)stream + ((uint)step & 0xFFFFu), 0);
        if (flow == 2 && step > 0) noise = token_again(y, first, row, column, count, channels);
        if (flow == 2) token_put(e, y, first, row, column, count, channels);
        const floatL old = TOKEN_LOAD(noisy + at);
        TOKEN_STORE(flow ? flow_forward(old, e, noise, time + width, flow == 2 ? 1.0f : temperature)
                         : diffusion_back(old, e, TOKEN_LOAD(made + at + TOKEN_SPAN(channels)), noise, time + width, temperature, limit),
                    noisy + at);
      }
      TEAM_BARRIER;
    }
    TOKEN_FOR(at, row, column, channels) token_put(TOKEN_LOAD(noisy + at), y, first, row, column, count, channels);
    TEAM_BARRIER;
  }
}

#endif
