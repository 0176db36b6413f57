// gpu_softmax_entropy: softmax_entropy.cl for GPUs, with the products of gpu_attention_tile.cl.
//
// A team owns OWN_ROWS content rows and takes the heads one after the other. Of a row the TEAM_X items that share it hold the
// columns; maxima and sums over them go through local memory (own_maximum, own_sum).
#include "softmax_entropy_shape.cl"

#if defined(HEAD_DIM) && TEAM_GPU

// Launch: teams of TEAM_SIZE; a unit is OWN_ROWS content rows with all heads. An item keeps its (row, column) pairs through
// all heads, so that slope needs no fence.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void softmax_entropy_forward(
    IN(float, query), IN(float, key), OUT(float, entropy), OUT(float, slope), OUT(float, statistics), ENTROPY_SHAPE) {
  __local float4 slices[SLICES_SIZE];
  __local float scratch[OWN_SCRATCH];
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
    const int limit = SEEN(first + rows - 1);
    float dots[OWN_PER_ITEM][TILE_PER_ITEM], high[OWN_PER_ITEM], inside[OWN_PER_ITEM], outside[OWN_PER_ITEM];
    float sum[OWN_PER_ITEM];
    for (int h = 0; h < heads; ++h) {
      const Rows own = rows_of(SEQUENCE_ROWS(query, query_stride, query_column, b, h, buffer_length + first), query_stride, rows);
      FOR_OWN {
        high[r] = -INFINITY;
        inside[r] = outside[r] = 0.0f;
      }
      for (int start = -buffer_length; start < limit;) {
        const int count = min(TILE_ROWS, (start < 0 ? 0 : limit) - start);
        dot_tile(dots, slices, own,
                 rows_of(SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count));
        float top[OWN_PER_ITEM];
        FOR_OWN {
          top[r] = high[r];
          FOR_TILE {
            const int j = TILE_ROW(t);
            if (j >= count || start + j > first + OWN_ROW(r) + ahead) dots[r][t] = -INFINITY;
            top[r] = fmax(top[r], dots[r][t] * exponent_scale);
          }
        }
        own_maximum(top, scratch);
        FOR_OWN {
          const float keep = exp2(high[r] - top[r]);
          high[r] = top[r];
          float part = 0.0f;
          FOR_TILE part += exp2(fma(dots[r][t], exponent_scale, -high[r]));
          inside[r] = inside[r] * keep + (start < 0 ? 0.0f : part);
          outside[r] = outside[r] * keep + (start < 0 ? part : 0.0f);
        }
        start += count;
      }
      own_sum(inside, scratch);
      own_sum(outside, scratch);
      FOR_OWN {
        const float all = inside[r] + outside[r];
        const int floored = inside[r] < all * FLOOR;
        inside[r] = 1.0f / (floored ? all * FLOOR : inside[r]);
        if (ITEM_X == 0 && OWN_ROW(r) < rows) {
          __global float *row = CONTENT_ROWS(statistics, b, h, first) + OWN_ROW(r);
          row[0] = high[r];
          row[statistic] = inside[r];
          row[2 * statistic] = floored ? 1.0f / all : 0.0f;
        }
      }
      for (int start = 0; start < limit; start += TILE_ROWS) {
        const int count = min(TILE_ROWS, limit - start);
        dot_tile(dots, slices, own,
                 rows_of(SEQUENCE_ROWS(key, key_stride, key_column, b, h, buffer_length + start), key_stride, count));
        FOR_OWN FOR_TILE {
          const int j = TILE_ROW(t), row = OWN_ROW(r);
          if (j < count && row < rows) {
            const float e = exp2(fma(dots[r][t], exponent_scale, -high[r]));
            const float w = start + j <= first + row + ahead ? e * inside[r] * share : 0.0f;
            __global float *mean = SLOPE(b, start + j, first + row);
            *mean = h ? *mean + w : w;
          }
        }
      }
    }
    FOR_OWN sum[r] = 0.0f;
    for (int start = 0; start < content; start += TILE_ROWS)
      FOR_OWN FOR_TILE {
        const int c = start + TILE_ROW(t), row = OWN_ROW(r);
        // The tiles above stop at their last row's columns, the rest has no mean.
        if (c < content && row < rows) {
          const float mean = c < limit ? *SLOPE(b, c, first + row) : 0.0f;
          const float logarithm = log(mean < FLOOR ? FLOOR : mean);
          sum[r] -= (mean < FLOOR ? FLOOR : mean) * logarithm;
          const int position = first + row, own = SEEN(position);
          *SLOPE(b, c, position) = mean < FLOOR || own < 2 ? 0.0f : -share * (logarithm + 1.0f) / log((float)own);
        }
      }
    own_sum(sum, scratch);
    FOR_OWN {
      const int position = first + OWN_ROW(r), own = SEEN(position);
      const float e = own < 2 ? sum[r] * 0.0f : sum[r] / log((float)own);
      if (ITEM_X == 0 && position < content)
        entropy[(size_t)b * content + position] = e < 0.0f ? 0.0f : (e > 1.0f ? 1.0f : e);
    }
  }
}

#endif
