// softmax_entropy: entropy of the head-averaged causal attention among content positions (Eq. 4).
//
// Query and key are the sequences [B, K + R, *] of an attention whose mask is the prefix K (see attention_shape.cl): K buffer
// positions, then R content positions. For content row r (from 1) and column c, both among the content:
//
//   a_hrc = softmax(scale q_r k)_c over all that r sees;  w_hrc = a_hrc / max(sum_c a_hrc, 1e-8)
//   m_rc = mean_h w_hrc;  u_rc = max(m_rc, 1e-8);  E_r = clamp(-sum_{c <= R} u_rc log u_rc / log r, 0, 1),  E_1 = 0
//
// Columns that r does not see still add their 1e-8 log 1e-8.
// Nothing of size H x N x N is stored: entropy [B, R], slope [B, c, r] = dE_r / dw_hrc (the same for each head h) and
// statistics [3, B, H, R]: the maximum of a row (in powers of 2), 1 / divisor of w, and, where that divisor is at its floor,
// 1 / divisor of a (else 0). Logarithms of the divisors would cost the digits that tell a one-hot row from 1.
#include "softmax_entropy_shape.cl"

#ifdef HEAD_DIM
#if !TEAM_GPU

// Adds w of one head to slope (sets it for the first head) and stores the head's divisors.
INLINE void entropy_head(__global const float *query, size_t query_stride, __global const float *key, size_t key_stride,
                         __global float *mean, __global float *statistics, size_t statistic, int first_head, int first,
                         int rows, int buffer_length, int content, float scale, float share) {
  floatL columns[COLUMN_VECTORS], scores[KEY_TILE * QUERY_VECTORS];
  floatL high[QUERY_VECTORS], inside[QUERY_VECTORS], outside[QUERY_VECTORS];
  columns_of_rows(query, query_stride, rows, columns);
  FOR_VECTORS {
    high[v] = (floatL)(-INFINITY);
    inside[v] = outside[v] = (floatL)(0.0f);
  }
  const int limit = buffer_length + first + rows;
  for (int start = 0; start < limit;) {
    // A tile lies within the buffer or within the content.
    const int count = min(KEY_TILE, (start < buffer_length ? buffer_length : limit) - start);
    dot_rows(columns, key + start * key_stride, key_stride, count, scores);
    mask_keys(scores, start, count, buffer_length + first, buffer_length);
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
  for (int start = 0; start < first + rows; start += KEY_TILE) {
    const int count = min(KEY_TILE, first + rows - start);
    dot_rows(columns, key + (buffer_length + start) * key_stride, key_stride, count, scores);
    mask_keys(scores, start, count, first, 0);
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
__kernel void softmax_entropy_forward(IN(float, query), IN(float, key), OUT(float, entropy), OUT(float, slope),
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
                   buffer_length, content, scale * LOG2_E, share);
    }
    // Columns past the block's last row have no mean: they are at the floor in every row.
    const int seen = first + rows;
    for (int i = 0; i < rows; i += LANES) {
      const int left = rows - i;
      const intL row = LANE_INDEX + (first + i);
      const floatL inverse = row > 0 ? 1.0f / log_lanes(convert_floatL(row + 1)) : (floatL)(0.0f);
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

#else

// Launch: teams of TEAM_SIZE; a unit is OWN_ROWS content rows with all heads. An item keeps its (row, column) pairs through
// all heads, so that slope needs no fence.
__kernel void softmax_entropy_forward(IN(float, query), IN(float, key), OUT(float, entropy), OUT(float, slope),
                                      OUT(float, statistics), ENTROPY_SHAPE) {
  __local float own[HEAD_DIM * OWN_ROWS], tile[TILE_ROWS * TILE_PITCH], scratch[TEAM_X * OWN_ROWS];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_OUT(float, entropy);
  USE_OUT(float, slope);
  USE_OUT(float, statistics);
  const int blocks = (content + OWN_ROWS - 1) / OWN_ROWS;
  const size_t statistic = (size_t)batch * heads * content;
  const float share = 1.0f / heads, exponent_scale = scale * LOG2_E;
  TEAM_ROWS(unit, batch * blocks) {
    const int b = unit / blocks, first = unit % blocks * OWN_ROWS, rows = min(OWN_ROWS, content - first);
    const int limit = first + rows;
    float dots[ROWS][TILE_PER_ITEM], high[ROWS], inside[ROWS], outside[ROWS], sum[ROWS];
    for (int h = 0; h < heads; ++h) {
      barrier(CLK_LOCAL_MEM_FENCE);
      load_own(own, SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + first), query_stride, rows);
      FOR_ROWS {
        high[r] = -INFINITY;
        inside[r] = outside[r] = 0.0f;
      }
      for (int start = -buffer_length; start < limit;) {
        const int count = min(TILE_ROWS, (start < 0 ? 0 : limit) - start);
        load_tile(tile, SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count);
        dot_tile(dots, own, tile);
        float top[ROWS];
        FOR_ROWS {
          top[r] = high[r];
          FOR_TILE {
            const int j = TEAM_TX + TEAM_X * t;
            if (j >= count || start + j > first + TEAM_TY + r) dots[r][t] = -INFINITY;
            top[r] = fmax(top[r], dots[r][t] * exponent_scale);
          }
        }
        rows_maximum(top, scratch);
        FOR_ROWS {
          const float keep = exp2(high[r] - top[r]);
          high[r] = top[r];
          float part = 0.0f;
          FOR_TILE part += exp2(fma(dots[r][t], exponent_scale, -high[r]));
          inside[r] = inside[r] * keep + (start < 0 ? 0.0f : part);
          outside[r] = outside[r] * keep + (start < 0 ? part : 0.0f);
        }
        start += count;
      }
      rows_sum(inside, scratch);
      rows_sum(outside, scratch);
      FOR_ROWS {
        const float all = inside[r] + outside[r];
        const int floored = inside[r] < all * FLOOR;
        inside[r] = 1.0f / (floored ? all * FLOOR : inside[r]);
        if (TEAM_TX == 0 && TEAM_TY + r < rows) {
          __global float *row = CONTENT_ROWS(statistics, b, h, first) + TEAM_TY + r;
          row[0] = high[r];
          row[statistic] = inside[r];
          row[2 * statistic] = floored ? 1.0f / all : 0.0f;
        }
      }
      for (int start = 0; start < limit; start += TILE_ROWS) {
        const int count = min(TILE_ROWS, limit - start);
        load_tile(tile, SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count);
        dot_tile(dots, own, tile);
        FOR_ROWS FOR_TILE {
          const int j = TEAM_TX + TEAM_X * t, row = TEAM_TY + r;
          if (j < count && row < rows) {
            const float e = exp2(fma(dots[r][t], exponent_scale, -high[r]));
            const float w = start + j <= first + row ? e * inside[r] * share : 0.0f;
            __global float *mean = SLOPE(b, start + j, first + row);
            *mean = h ? *mean + w : w;
          }
        }
      }
    }
    FOR_ROWS sum[r] = 0.0f;
    for (int start = 0; start < content; start += TILE_ROWS)
      FOR_ROWS FOR_TILE {
        const int c = start + TEAM_TX + TEAM_X * t, row = TEAM_TY + r;
        // The tiles above stop at their last row's columns, the rest has no mean.
        if (c < content && row < rows) {
          const float mean = c < limit ? *SLOPE(b, c, first + row) : 0.0f;
          const float logarithm = log(mean < FLOOR ? FLOOR : mean);
          sum[r] -= (mean < FLOOR ? FLOOR : mean) * logarithm;
          const int position = first + row;
          *SLOPE(b, c, position) =
              mean < FLOOR || position == 0 ? 0.0f : -share * (logarithm + 1.0f) / log((float)(position + 1));
        }
      }
    rows_sum(sum, scratch);
    FOR_ROWS {
      const int position = first + TEAM_TY + r;
      const float e = position == 0 ? sum[r] * 0.0f : sum[r] / log((float)(position + 1));
      if (TEAM_TX == 0 && position < content)
        entropy[(size_t)b * content + position] = e < 0.0f ? 0.0f : (e > 1.0f ? 1.0f : e);
    }
  }
}

#endif
#endif
