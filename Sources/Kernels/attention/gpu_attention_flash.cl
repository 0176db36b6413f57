// gpu_attention_flash: attention.cl for GPUs.
//
// A unit is OWN_ROWS queries of a head. For each tile of keys the team computes its scores in registers (dot_tile), lays
// them into local memory, and there one item walks each row (TEAM_SIZE / OWN_ROWS items where there are that many): maximum,
// exponentials, their sum, dropout. Row statistics so live in one item's registers, exp is evaluated once a weight, and a
// row's eight neighbouring keys take one block of random bits. Then the weighted sum of values (add_weighted_tile).
//
// Blocks of 64 queries x 64 keys by 64 items (HEAD_DIM 64): an item does 8192 multiply-adds a tile for 512 float4 loads from
// local memory. 27.3 KiB of local memory and about 250 registers: four groups on an H100 multiprocessor, bounded by its
// 64 Ki registers. At 184 registers nothing spills and five groups fit, but OpenCL C has no way to set that limit.
//
// Traffic: out once, and a block's q, k and v for each tile, of which q stays in the first-level cache: 32 KiB for 524288
// multiply-adds, a byte for 16. Tiles that no query of the block sees are not visited.
#include "gpu_attention_tile.cl"

#if defined(HEAD_DIM) && TEAM_GPU

// Items that share a row of weights, each with PART_KEYS of its keys.
#define PARTS (TEAM_SIZE / OWN_ROWS < TILE_ROWS / 8 ? TEAM_SIZE / OWN_ROWS : TILE_ROWS / 8)
#define PART_KEYS (TILE_ROWS / PARTS)

// Launch: teams of TEAM_SIZE; a unit is OWN_ROWS queries of a head.
__kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1))) void attention_forward(
    IN(float, query), IN(float, key), IN(float, value), OUT(float, out), OUT(float, logsumexp),
    ATTENTION_SHAPE DROPOUT_ARGUMENTS) {
  __local float4 slices[SLICES_SIZE], weights[WEIGHTS_SIZE];
  __local float row_factor[OWN_ROWS], part_value[PARTS * OWN_ROWS];
  USE_IN(float, query);
  USE_IN(float, key);
  USE_IN(float, value);
  USE_OUT(float, out);
  USE_OUT(float, logsumexp);
#if DROPOUT
  USE_DROPOUT;
  const float kept_factor = dropout_factor(probability);
  const uint threshold = dropout_threshold(probability);
#endif
  const int blocks = (queries + OWN_ROWS - 1) / OWN_ROWS;
  const float exponent_scale = scale * LOG2_E;
  // The row of weights, and the part of it, that this item walks.
  const int row = TEAM_RANK % OWN_ROWS, part = TEAM_RANK / OWN_ROWS;
  __local float4 *row_weights = weights + row * WEIGHT_PITCH + part * (PART_KEYS / 4);
  const int unit = TEAM_INDEX;
  const int b = unit / (heads * blocks), h = unit / blocks % heads, first = unit % blocks * OWN_ROWS;
  const int bk = b / kv_group, rows = min(OWN_ROWS, queries - first);
  const int limit = keys_visible(keys, prefix, position + first + rows);
  const Rows own_query = rows_of(QUERY_ROWS(query, b, h, first), query_stride, rows);
  const Rows head_key = rows_of(KEY_ROWS(key, bk, h, 0), key_stride, limit);
  const Rows head_value = rows_of(VALUE_ROWS(value, bk, h, 0), value_stride, limit);
  float sums[OWN_PER_ITEM][COLUMNS_PER_ITEM], high = -INFINITY, total = 0.0f;
  FOR_OWN FOR_COLUMNS sums[r][c] = 0.0f;
#pragma unroll 1
  for (int start = 0; start < limit; start += TILE_ROWS) {
    float dots[OWN_PER_ITEM][TILE_PER_ITEM];
    dot_tile(dots, slices, own_query, rows_from(head_key, start));
    FOR_OWN {
      const int visible = min(limit, mask_end(prefix, position + first + OWN_ROW(r))) - start;
      FOR_TILE dots[r][t] = TILE_ROW(t) < visible ? dots[r][t] : -INFINITY;
    }
    share_weights(weights, dots);
    barrier(CLK_LOCAL_MEM_FENCE);
    float top = -INFINITY;
    if (part < PARTS)
      for (int q = 0; q < PART_KEYS / 4; ++q) {
        const float4 s = row_weights[q];
        top = fmax(top, fmax(fmax(s.x, s.y), fmax(s.z, s.w)));
      }
#if PARTS > 1
    if (part < PARTS) part_value[part * OWN_ROWS + row] = top;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int p = 0; p < PARTS; ++p) top = fmax(top, part_value[p * OWN_ROWS + row]);
#endif
    if (part < PARTS) {
      top = fmax(high, top * exponent_scale);
      const float keep = exp2(high - top);
      high = top;
      total *= keep;
      if (part == 0) row_factor[row] = keep;
#pragma unroll 1
      for (int q = 0; q < PART_KEYS / 4; q += 2) {
        float4 left = exp2(row_weights[q] * exponent_scale - high), right = exp2(row_weights[q + 1] * exponent_scale - high);
        const float4 both = left + right;
        total += (both.x + both.y) + (both.z + both.w);
#if DROPOUT
        const int first_key = start + part * PART_KEYS + 4 * q;
        const uint bits =
            kept_bits(b, heads, h, queries, keys, first + row, first_key, now, stream, threshold);
        left *= (float4)(bits & 1 ? kept_factor : 0.0f, bits & 2 ? kept_factor : 0.0f, bits & 4 ? kept_factor : 0.0f,
                         bits & 8 ? kept_factor : 0.0f);
        right *= (float4)(bits & 16 ? kept_factor : 0.0f, bits & 32 ? kept_factor : 0.0f, bits & 64 ? kept_factor : 0.0f,
                          bits & 128 ? kept_factor : 0.0f);
#endif
        row_weights[q] = left;
        row_weights[q + 1] = right;
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    FOR_OWN {
      const float keep = row_factor[OWN_ROW(r)];
      FOR_COLUMNS sums[r][c] *= keep;
    }
    add_weighted_tile(sums, weights, slices, rows_from(head_value, start));
  }
  if (part < PARTS) part_value[part * OWN_ROWS + row] = total;
  barrier(CLK_LOCAL_MEM_FENCE);
  if (part == 0) {
    for (int p = 1; p < PARTS; ++p) total += part_value[p * OWN_ROWS + row];
    row_factor[row] = 1.0f / total;
    if (row < rows) HEAD_ROWS(logsumexp, b, h, first)[row] = fma(high, LN_2, log(total));
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  FOR_OWN {
    const float inverse = row_factor[OWN_ROW(r)];
    FOR_COLUMNS sums[r][c] *= inverse;
  }
  store_own(OUT_ROWS(out, b, h, first), (size_t)heads * HEAD_DIM, rows, sums);
}

#endif
