// causal_pass: new rows of sequences through all blocks of a small causal transformer, in one launch. Keys and values of earlier rows
// are kept on the device.
//
// Of image i, K = known[i] tokens are there. Sequence b (image b mod images) gets G = count rows, whose first stands at position
// L = K + offset. With `source` 0 they are tokens K - 1 + g through the layer in front, zeros where there is none; with 1 `given` ones
// through that layer; with 2 `given` ones as they are. For each block, with norm(x) = x / sqrt(mean(x^2) + epsilon) weight:
//
//   n = norm x;  keys and values of n go to places L + g of the caches;  x += o(attention of the query of n)
//   n = norm x;  x += down(silu(gate n) up n)
//
// (attention_cached.cl), then z = out(norm x) + places[K + ahead + g], zeros where there is no such place, where `placed` is not 0.
//
// tokens [images, length, channels] or given [B G, channels or width]; z [B, G, width]; caches [depth, 2, span]: keys, then values [B, heads,
// capacity, HEAD_DIM] in each; queries [B, G, width]: those of block `shown`, none where that is -1; packed: the layers as
// token_weights.cl packs them: in, of each block norm, q, k, v, o, norm, gate, up, down, then norm and out. A tile is `together` whole
// sequences; one that has more than TOKEN_ROWS rows goes through in parts, one after the other, whose keys and values are there when
// the next one wants them.
// Least traffic: the weights once a tile, from a cache; 2 (2 width + 2 keys) width + 6 width hidden FLOPs a row and block.
//
// -D TOKEN_ROWS, TOKEN_STRIDE  as token_network.cl; TOKEN_ROWS >= together G, or together is 1
// -D HEAD_DIM, HEAD_GROUP      columns of a head, and heads of queries that share one of keys
#include "token_network.cl"
#include "cached_rows.cl"

#if defined(TOKEN_ROWS) && defined(HEAD_GROUP)

// Where an element of a buffer lies.
#if TEAM_SIZE > 1
#define TOKEN_PLACE(row, column) ((column) * TOKEN_ROWS + (row))
#else
#define TOKEN_PLACE(row, column) ((row) * TOKEN_STRIDE + (column))
#endif
// Elements (row, column) of the first `columns` columns that are this work-item's, for loops that go by single floats.
#if TEAM_SIZE > 1
#define TOKEN_EACH(row, column, columns)                                                                              \
  for (int row##_item = TEAM_RANK, row, column; row##_item < TOKEN_ROWS * (columns); row##_item += TEAM_SIZE)         \
    if (row = row##_item / (columns), column = row##_item % (columns), 1)
#else
#define TOKEN_EACH(row, column, columns)     \
  for (int row = 0; row < TOKEN_ROWS; ++row) \
    for (int column = 0; column < (columns); ++column)
#endif

// y = x / sqrt(mean(x^2) + epsilon) weight over n columns.
CALLED void token_rms(__local const float *x, __local float *y, int n, __global const float *weight,
                      float epsilon TOKEN_LOCAL_PARAMETER) {
#if TEAM_SIZE > 1
  const int part = TEAM_RANK / TOKEN_VECTORS, row = TEAM_RANK % TOKEN_VECTORS * LANES;
  floatL sum = 0.0f;
  for (int c = part < TOKEN_PARTS ? part : n; c < n; c += TOKEN_PARTS) {
    const floatL v = TOKEN_LOAD(x + TOKEN_SPAN(c) + row);
    sum += v * v;
  }
  const floatL inverse = 1.0f / sqrt(token_total(sum, token_sums) / (float)n + epsilon);
  // The vectors that TOKEN_FOR gives this work-item are of these rows.
  TOKEN_FOR(at, other_row, column, n) TOKEN_STORE(TOKEN_LOAD(x + at) * inverse * weight[column], y + at);
  TEAM_BARRIER;
#else
  for (int row = 0; row < TOKEN_ROWS; ++row, x += TOKEN_STRIDE, y += TOKEN_STRIDE) {
    // Columns from n to the next whole vector are zeros.
    floatL sum = 0.0f;
    for (int c = 0; c < n; c += LANES) sum += TOKEN_LOAD(x + c) * TOKEN_LOAD(x + c);
    const float inverse = 1.0f / sqrt(lanes_sum(sum) / (float)n + epsilon);
    for (int c = 0; c < n; c += LANES) TOKEN_STORE(TOKEN_LOAD(x + c) * inverse * LOAD_PACKED(weight + c), y + c);
  }
#endif
}

// Column i of head h in a row of a buffer, turned by the angles at `angle`.
INLINE float token_turned(__local const float *x, int row, int h, int i, __global const float *angle) {
  return turned_column(x[TOKEN_PLACE(row, h * HEAD_DIM + i)], x[TOKEN_PLACE(row, h * HEAD_DIM + PARTNER(i))], angle, i);
}

// Row `to` of out = what the query of head h in a row finds in the first `end` places.
INLINE void token_attend(__local const float *query, int row, int h, __global const float *keys, __global const float *values,
                         int end, __global const float *angle, float scale, __local float *out, int to) {
#if TEAM_SIZE > 1
  float own[HEAD_DIM], sums[HEAD_DIM], high = -INFINITY, total = 0.0f;
#pragma unroll
  for (int i = 0; i < HEAD_DIM; ++i) {
    own[i] = token_turned(query, row, h, i, angle) * scale;
    sums[i] = 0.0f;
  }
  for (int p = 0; p < end; ++p) {
    __global const float *key = keys + (size_t)p * HEAD_DIM, *value = values + (size_t)p * HEAD_DIM;
    float score = 0.0f;
#pragma unroll
    for (int i = 0; i < HEAD_DIM; ++i) score = fma(own[i], key[i], score);
    const float top = fmax(high, score), keep = exp2(high - top), weight = exp2(score - top);
    high = top;
    total = total * keep + weight;
#pragma unroll
    for (int i = 0; i < HEAD_DIM; ++i) sums[i] = fma(weight, value[i], sums[i] * keep);
  }
#pragma unroll
  for (int i = 0; i < HEAD_DIM; ++i) out[TOKEN_PLACE(to, h * HEAD_DIM + i)] = sums[i] / total;
#else
  floatL own[CHUNKS];
  for (int i = 0; i < CHUNKS * LANES; ++i)
    ((float *)own)[i] = i < HEAD_DIM ? token_turned(query, row, h, i, angle) * scale : 0.0f;
  attend_cached(own, keys, values, end);
  for (int i = 0; i < HEAD_DIM; ++i) out[TOKEN_PLACE(to, h * HEAD_DIM + i)] = ((const float *)own)[i];
#endif
}

TEAM_KERNEL void causal_pass(IN(float, tokens), IN(float, given), IN(int, known), IN(float, packed), IN(float, table),
                          IN(float, places), OUT(float, caches), OUT(float, z), OUT(float, queries), const int batch,
                          const int images, const int count, const int together, const int length, const int channels, const int width,
                          const int hidden, const int heads, const int depth, const int capacity, const int span,
                          const int offset, const int source, const int placed, const int ahead, const int shown, const float epsilon) {
  USE_IN(float, tokens);
  USE_IN(float, given);
  USE_IN(int, known);
  USE_IN(float, packed);
  USE_IN(float, table);
  USE_IN(float, places);
  USE_OUT(float, caches);
  USE_OUT(float, z);
  USE_OUT(float, queries);
  __local float buffers[5 * TOKEN_BUFFER];
  __local int starts[TOKEN_ROWS];
  TOKEN_LOCAL(batch);
  __local float *x = TOKEN_START(buffers, batch), *h = x + TOKEN_BUFFER, *query = h + TOKEN_BUFFER;
  __local float *key = query + TOKEN_BUFFER, *value = key + TOKEN_BUFFER;
  const int padded = TOKEN_PADDED(width), keys_width = heads * HEAD_DIM, keys_padded = TOKEN_PADDED(keys_width);
  const int hidden_padded = TOKEN_PADDED(hidden);
  const float scale = LOG2_E / sqrt((float)HEAD_DIM);
  TEAM_ROWS(tile, (batch + together - 1) / together) {
    const int sequence = tile * together, total = min(together, batch - sequence) * count;
    for (int begin = 0; begin < total; begin += TOKEN_ROWS) {
      const int rows = min(TOKEN_ROWS, total - begin), first = sequence * count + begin;
      // The row of the tile, as one of all its sequences' rows: those behind the last repeat it, and nothing of them is kept.
#define OWN(row) (begin + min(row, rows - 1))
#define SEQUENCE(row) (sequence + OWN(row) / count)
      // Where it stands.
#define POSITION(row) (starts[row] + offset + OWN(row) % count)
      for (int row = TEAM_RANK; row < TOKEN_ROWS; row += TEAM_SIZE) starts[row] = known[SEQUENCE(row) % images];
      TEAM_BARRIER;
      __global const float *layer = packed + (size_t)padded * (channels + 1);
      if (source == 2) {
        TOKEN_FOR(at, row, column, padded) TOKEN_STORE(token_fetch(given, first, row, column, first + rows, width), x + at);
        TEAM_BARRIER;
      } else {
        TOKEN_EACH(row, column, channels) {
          const int token = starts[row] - 1 + OWN(row) % count;
          const size_t image = SEQUENCE(row) % images;
          h[TOKEN_PLACE(row, column)] =
              source == 1 ? given[((size_t)sequence * count + OWN(row)) * channels + column]
                          : (token >= 0 && token < length ? tokens[(image * length + token) * channels + column] : 0.0f);
        }
        TEAM_BARRIER;
        token_layer(h, channels, packed, padded, x, x, 0.0f, TOKEN_SET);
      }
      for (int block = 0; block < depth; ++block) {
        __global float *keys = caches + (size_t)block * 2 * span, *values = keys + span;
        token_rms(x, h, width, layer, epsilon TOKEN_LOCAL_ARGUMENT);
        layer += padded;
        token_layer(h, width, layer, padded, query, query, 0.0f, TOKEN_SET);
        layer += (size_t)padded * (width + 1);
        if (block == shown) {
          TOKEN_EACH(row, column, width) {
            if (row < rows) queries[(size_t)(first + row) * width + column] = query[TOKEN_PLACE(row, column)];
          }
        }
        token_layer(h, width, layer, keys_padded, key, key, 0.0f, TOKEN_SET);
        layer += (size_t)keys_padded * (width + 1);
        token_layer(h, width, layer, keys_padded, value, value, 0.0f, TOKEN_SET);
        layer += (size_t)keys_padded * (width + 1);
        TOKEN_EACH(row, column, keys_width) {
          const int place = POSITION(row), head = column / HEAD_DIM, i = column % HEAD_DIM;
          if (row < rows && place >= 0 && place < capacity) {
            const size_t at = (((size_t)SEQUENCE(row) * heads + head) * capacity + place) * HEAD_DIM + i;
            keys[at] = token_turned(key, row, head, i, table + (size_t)place * HEAD_DIM);
            values[at] = value[TOKEN_PLACE(row, column)];
          }
        }
        TEAM_GLOBAL_BARRIER;
        for (int item = TEAM_RANK; item < TOKEN_ROWS * heads * HEAD_GROUP; item += TEAM_SIZE) {
          const int row = item / (heads * HEAD_GROUP), head = item % (heads * HEAD_GROUP);
          const int place = clamp(POSITION(row), 0, capacity - 1);
          const size_t at = ((size_t)SEQUENCE(row) * heads + head / HEAD_GROUP) * capacity * HEAD_DIM;
          token_attend(query, min(row, rows - 1), head, keys + at, values + at, place + 1, table + (size_t)place * HEAD_DIM, scale,
                       h, row);
        }
        TEAM_BARRIER;
        token_layer(h, width, layer, padded, x, x, 1.0f, TOKEN_SHIFT);
        layer += (size_t)padded * (width + 1);
        token_rms(x, h, width, layer, epsilon TOKEN_LOCAL_ARGUMENT);
        layer += padded;
        token_layer(h, width, layer, hidden_padded, query, query, 0.0f, TOKEN_SILU);
        layer += (size_t)hidden_padded * (width + 1);
        token_layer(h, width, layer, hidden_padded, query, query, 0.0f, TOKEN_TIMES);
        layer += (size_t)hidden_padded * (width + 1);
        token_layer(query, hidden, layer, padded, x, x, 1.0f, TOKEN_SHIFT);
        layer += (size_t)padded * (hidden + 1);
      }
      token_rms(x, h, width, layer, epsilon TOKEN_LOCAL_ARGUMENT);
      token_layer(h, width, layer + padded, padded, query, query, 0.0f, TOKEN_SET);
      TOKEN_EACH(row, column, width) {
        if (row < rows) {
          const int place = starts[row] + ahead + OWN(row) % count;
          const float added = placed && place >= 0 && place < length ? places[(size_t)place * width + column] : 0.0f;
          z[(size_t)(first + row) * width + column] = query[TOKEN_PLACE(row, column)] + added;
        }
      }
      TEAM_BARRIER;
    }
  }
}
#endif
