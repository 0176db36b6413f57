// cpu_softmax_entropy: softmax_entropy.cl for CPUs. A work-item owns a block of rows in vectors (cpu_attention_lanes.cl).
#include "softmax_entropy_shape.cl"

#if defined(HEAD_DIM) && !TEAM_GPU

// Adds w of one head to slope (sets it for the first head) and stores the head's divisors.
CALLED void entropy_head(__global const float *query, size_t query_stride, __global const float *key, size_t key_stride,
                         __global float *mean, __global float *statistics, size_t statistic, int first_head, int first,
                         int rows, int buffer_length, int content, int ahead, float scale, float share) {
  floatL columns[COLUMN_VECTORS], scores[KEY_TILE * QUERY_VECTORS];
  floatL high[QUERY_VECTORS], inside[QUERY_VECTORS], outside[QUERY_VECTORS];
  columns_of_rows(query, query_stride, rows, columns);
  FOR_VECTORS {
    high[v] = (floatL)(-INFINITY);
    inside[v] = outside[v] = (floatL)(0.0f);
  }
  const int seen = SEEN(first + rows - 1), limit = buffer_length + seen;
  for (int start = 0; start < limit;) {
    // A tile lies within the buffer or within the content.
    const int count = min(KEY_TILE, (start < buffer_length ? buffer_length : limit) - start);
    dot_rows(columns, key + start * key_stride, key_stride, count, scores);
    mask_keys(scores, start, count, buffer_length + first + ahead, buffer_length);
    floatL sum[QUERY_VECTORS];
    FOR_VECTORS {
      floatL top = scores[v];
      for (int j = 1; j < count; ++j) top = scores[j * QUERY_VECTORS + v] > top ? scores[j * QUERY_VECTORS + v] : top;
      top = fmax(high[v], top * scale);
      const floatL keep = exp2_lanes(high[v] - top);
      inside[v] *= keep;
      outside[v] *= keep;
      high[v] = top;
      sum[v] = (floatL)(0.0f);
      for (int j = 0; j < count; ++j) sum[v] += exp2_lanes(fma(scores[j * QUERY_VECTORS + v], (floatL)(scale), -high[v]));
      if (start < buffer_length)
        outside[v] += sum[v];
      else
        inside[v] += sum[v];
    }
    start += count;
  }
  floatL inverse[QUERY_VECTORS];
  FOR_VECTORS {
    const floatL all = inside[v] + outside[v];
    const intL floored = inside[v] < all * FLOOR;
    inverse[v] = 1.0f / (floored ? all * FLOOR : inside[v]);
    lanes_store(statistics, v * LANES, rows, high[v]);
    lanes_store(statistics + statistic, v * LANES, rows, inverse[v]);
    lanes_store(statistics + 2 * statistic, v * LANES, rows, floored ? 1.0f / all : (floatL)(0.0f));
    inverse[v] *= share;
  }
  for (int start = 0; start < seen; start += KEY_TILE) {
    const int count = min(KEY_TILE, seen - start);
    dot_rows(columns, key + (buffer_length + start) * key_stride, key_stride, count, scores);
    mask_keys(scores, start, count, first + ahead, 0);
    for (int j = 0; j < count; ++j) FOR_VECTORS {
      floatL w = exp2_lanes(fma(scores[j * QUERY_VECTORS + v], (floatL)(scale), -high[v])) * inverse[v];
      __global float *row = mean + (size_t)(start + j) * content;
      if (!first_head) w += lanes_load(row, v * LANES, rows);
      lanes_store(row, v * LANES, rows, w);
    }
  }
}

// Launch: any number of teams; a unit is QUERY_BLOCK content rows with all heads. 4 B H R (K + R) HEAD_DIM FLOPs at most,
// 4 B R (R + 1) H bytes of traffic on slope.
TEAM_KERNEL void softmax_entropy_forward(IN(float, query), IN(float, key), OUT(float, entropy), OUT(float, slope),
                                      OUT(float, statistics), ENTROPY_SHAPE) {
  USE_IN(float, query);
  USE_IN(float, key);
  USE_OUT(float, entropy);
  USE_OUT(float, slope);
  USE_OUT(float, statistics);
  const int blocks = (content + QUERY_BLOCK - 1) / QUERY_BLOCK;
  const float share = 1.0f / heads;
  TEAM_ROWS(unit, batch * blocks) {
    const int b = unit / blocks, first = unit % blocks * QUERY_BLOCK, rows = min(QUERY_BLOCK, content - first);
    for (int h = 0; h < heads; ++h) {
      entropy_head(SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + first), query_stride,
                   SEQUENCE_ROWS(key, key_stride, key_column, b, h, 0), key_stride, SLOPE(b, 0, first),
                   CONTENT_ROWS(statistics, b, h, first), (size_t)batch * heads * content, h == 0, first, rows,
                   buffer_length, content, ahead, scale * LOG2_E, share);
    }
    // Columns past the block's last row have no mean: they are at the floor in every row.
    const int seen = SEEN(first + rows - 1);
    for (int i = 0; i < rows; i += LANES) {
      const int left = rows - i;
      const intL own = min(LANE_INDEX + (first + i + 1 + ahead), (intL)(content));
      const floatL inverse = own > 1 ? 1.0f / log_lanes(convert_floatL(own)) : (floatL)(0.0f);
      floatL sum = (floatL)((content - seen) * FLOOR_ENTROPY);
      for (int c = 0; c < seen; ++c) {
        __global float *values = SLOPE(b, c, first + i);
        const floatL mean = lanes_load(values, 0, left);
        const floatL u = mean < FLOOR ? (floatL)(FLOOR) : mean;
        const floatL logarithm = log_lanes(u);
        sum -= u * logarithm;
        lanes_store(values, 0, left, mean >= FLOOR ? (logarithm + 1.0f) * inverse * -share : (floatL)(0.0f));
      }
      for (int c = seen; c < content; ++c) lanes_store(SLOPE(b, c, first + i), 0, left, (floatL)(0.0f));
      const floatL e = sum * inverse;
      const floatL clamped = e < 0.0f ? (floatL)(0.0f) : (e > 1.0f ? (floatL)(1.0f) : e);
      lanes_store(entropy + (size_t)b * content, first + i, content, clamped);
    }
  }
}

#endif
