#include "Kernels.h"

// One array per file. Adding a family: a line here, one in the table below, one in kernels.cl.
static const char kernels_text[] = {
#embed "../../kernels.cl"
};
static const char team_text[] = {
#embed "team.cl"
};
static const char math_text[] = {
#embed "math.cl"
};
static const char random_text[] = {
#embed "random.cl"
};
static const char copy_text[] = {
#embed "copy.cl"
};
static const char accumulate_text[] = {
#embed "accumulate.cl"
};
static const char add_text[] = {
#embed "add.cl"
};
static const char activation_text[] = {
#embed "activation.cl"
};
static const char attention_text[] = {
#embed "attention.cl"
};
static const char attention_backward_text[] = {
#embed "attention_backward.cl"
};
static const char attention_flash_text[] = {
#embed "attention_flash.cl"
};
static const char attention_flash_backward_text[] = {
#embed "attention_flash_backward.cl"
};
static const char attention_lanes_text[] = {
#embed "attention_lanes.cl"
};
static const char attention_local_text[] = {
#embed "attention_local.cl"
};
static const char attention_mma_text[] = {
#embed "attention_mma.cl"
};
static const char attention_mma_backward_text[] = {
#embed "attention_mma_backward.cl"
};
static const char attention_mma_tile_text[] = {
#embed "attention_mma_tile.cl"
};
static const char attention_rows_text[] = {
#embed "attention_rows.cl"
};
static const char attention_shape_text[] = {
#embed "attention_shape.cl"
};
static const char attention_short_text[] = {
#embed "attention_short.cl"
};
static const char attention_short_backward_text[] = {
#embed "attention_short_backward.cl"
};
static const char attention_tile_text[] = {
#embed "attention_tile.cl"
};
static const char attention_wide_text[] = {
#embed "attention_wide.cl"
};
static const char convolution_text[] = {
#embed "convolution.cl"
};
static const char convolution_weight_text[] = {
#embed "convolution_weight.cl"
};
static const char cross_entropy_text[] = {
#embed "cross_entropy.cl"
};
static const char doubly_stochastic_text[] = {
#embed "doubly_stochastic.cl"
};
static const char drift_field_text[] = {
#embed "drift_field.cl"
};
static const char drift_loss_text[] = {
#embed "drift_loss.cl"
};
static const char elementwise_text[] = {
#embed "elementwise.cl"
};
static const char embedding_text[] = {
#embed "embedding.cl"
};
static const char flat_text[] = {
#embed "flat.cl"
};
static const char gemm_text[] = {
#embed "gemm.cl"
};
static const char gemm_epilogue_text[] = {
#embed "gemm_epilogue.cl"
};
static const char gemm_mma_text[] = {
#embed "gemm_mma.cl"
};
static const char group_norm_text[] = {
#embed "group_norm.cl"
};
static const char guidance_text[] = {
#embed "guidance.cl"
};
static const char layer_norm_text[] = {
#embed "layer_norm.cl"
};
static const char layout_text[] = {
#embed "layout.cl"
};
static const char memory_bank_text[] = {
#embed "memory_bank.cl"
};
static const char mma_text[] = {
#embed "mma.cl"
};
static const char modulate_text[] = {
#embed "modulate.cl"
};
static const char multiply_add_text[] = {
#embed "multiply_add.cl"
};
static const char optimizer_text[] = {
#embed "optimizer.cl"
};
static const char pairwise_distance_text[] = {
#embed "pairwise_distance.cl"
};
static const char patchify_text[] = {
#embed "patchify.cl"
};
static const char pool_text[] = {
#embed "pool.cl"
};
static const char posterior_text[] = {
#embed "posterior.cl"
};
static const char prior_text[] = {
#embed "prior.cl"
};
static const char query_key_text[] = {
#embed "query_key.cl"
};
static const char reduce_text[] = {
#embed "reduce.cl"
};
static const char residual_text[] = {
#embed "residual.cl"
};
static const char rms_norm_text[] = {
#embed "rms_norm.cl"
};
static const char row_groups_text[] = {
#embed "row_groups.cl"
};
static const char smooth_l1_text[] = {
#embed "smooth_l1.cl"
};
static const char softmax_entropy_text[] = {
#embed "softmax_entropy.cl"
};
static const char softmax_entropy_backward_text[] = {
#embed "softmax_entropy_backward.cl"
};
static const char softmax_entropy_shape_text[] = {
#embed "softmax_entropy_shape.cl"
};
static const char speculation_text[] = {
#embed "speculation.cl"
};
static const char swiglu_text[] = {
#embed "swiglu.cl"
};
static const char upsample_text[] = {
#embed "upsample.cl"
};

#define SOURCE(name) {#name ".cl", name##_text, sizeof name##_text}

static const struct driftgpu_kernel_source sources[] = {
    SOURCE(kernels),
    SOURCE(team),
    SOURCE(math),
    SOURCE(random),
    SOURCE(copy),
    SOURCE(accumulate),
    SOURCE(add),
    SOURCE(activation),
    SOURCE(attention),
    SOURCE(attention_backward),
    SOURCE(attention_flash),
    SOURCE(attention_flash_backward),
    SOURCE(attention_lanes),
    SOURCE(attention_local),
    SOURCE(attention_mma),
    SOURCE(attention_mma_backward),
    SOURCE(attention_mma_tile),
    SOURCE(attention_rows),
    SOURCE(attention_shape),
    SOURCE(attention_short),
    SOURCE(attention_short_backward),
    SOURCE(attention_tile),
    SOURCE(attention_wide),
    SOURCE(convolution),
    SOURCE(convolution_weight),
    SOURCE(cross_entropy),
    SOURCE(doubly_stochastic),
    SOURCE(drift_field),
    SOURCE(drift_loss),
    SOURCE(elementwise),
    SOURCE(embedding),
    SOURCE(flat),
    SOURCE(gemm),
    SOURCE(gemm_epilogue),
    SOURCE(gemm_mma),
    SOURCE(group_norm),
    SOURCE(guidance),
    SOURCE(layer_norm),
    SOURCE(layout),
    SOURCE(memory_bank),
    SOURCE(mma),
    SOURCE(modulate),
    SOURCE(multiply_add),
    SOURCE(optimizer),
    SOURCE(pairwise_distance),
    SOURCE(patchify),
    SOURCE(pool),
    SOURCE(posterior),
    SOURCE(prior),
    SOURCE(query_key),
    SOURCE(reduce),
    SOURCE(residual),
    SOURCE(rms_norm),
    SOURCE(row_groups),
    SOURCE(smooth_l1),
    SOURCE(softmax_entropy),
    SOURCE(softmax_entropy_backward),
    SOURCE(softmax_entropy_shape),
    SOURCE(speculation),
    SOURCE(swiglu),
    SOURCE(upsample),
};

const struct driftgpu_kernel_source *driftgpu_kernel_sources(size_t *count) {
  *count = sizeof sources / sizeof sources[0];
  return sources;
}
