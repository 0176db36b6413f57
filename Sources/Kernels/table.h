// Written by Scripts/tables.
static const char kernels_text[] = {
#embed "../../kernels.cl"
};
static const char flat_text[] = {
#embed "common/flat.cl"
};
static const char math_text[] = {
#embed "common/math.cl"
};
static const char philox_text[] = {
#embed "common/philox.cl"
};
static const char random_text[] = {
#embed "common/random.cl"
};
static const char row_groups_text[] = {
#embed "common/row_groups.cl"
};
static const char team_text[] = {
#embed "common/team.cl"
};
static const char transpose_lanes_text[] = {
#embed "common/transpose_lanes.cl"
};
static const char attention_text[] = {
#embed "attention/attention.cl"
};
static const char attention_backward_text[] = {
#embed "attention/attention_backward.cl"
};
static const char attention_cached_text[] = {
#embed "attention/attention_cached.cl"
};
static const char attention_shape_text[] = {
#embed "attention/attention_shape.cl"
};
static const char attention_wide_text[] = {
#embed "attention/attention_wide.cl"
};
static const char cached_rows_text[] = {
#embed "attention/cached_rows.cl"
};
static const char cpu_attention_text[] = {
#embed "attention/cpu_attention.cl"
};
static const char cpu_attention_backward_text[] = {
#embed "attention/cpu_attention_backward.cl"
};
static const char cpu_attention_lanes_text[] = {
#embed "attention/cpu_attention_lanes.cl"
};
static const char cpu_attention_rows_text[] = {
#embed "attention/cpu_attention_rows.cl"
};
static const char cpu_attention_short_text[] = {
#embed "attention/cpu_attention_short.cl"
};
static const char cpu_attention_short_backward_text[] = {
#embed "attention/cpu_attention_short_backward.cl"
};
static const char cpu_softmax_entropy_text[] = {
#embed "attention/cpu_softmax_entropy.cl"
};
static const char cpu_softmax_entropy_backward_text[] = {
#embed "attention/cpu_softmax_entropy_backward.cl"
};
static const char entropy_cached_text[] = {
#embed "attention/entropy_cached.cl"
};
static const char gpu_attention_flash_text[] = {
#embed "attention/gpu_attention_flash.cl"
};
static const char gpu_attention_flash_backward_text[] = {
#embed "attention/gpu_attention_flash_backward.cl"
};
static const char gpu_attention_mma_text[] = {
#embed "attention/gpu_attention_mma.cl"
};
static const char gpu_attention_mma_backward_text[] = {
#embed "attention/gpu_attention_mma_backward.cl"
};
static const char gpu_attention_mma_tile_text[] = {
#embed "attention/gpu_attention_mma_tile.cl"
};
static const char gpu_attention_tile_text[] = {
#embed "attention/gpu_attention_tile.cl"
};
static const char gpu_softmax_entropy_text[] = {
#embed "attention/gpu_softmax_entropy.cl"
};
static const char gpu_softmax_entropy_backward_text[] = {
#embed "attention/gpu_softmax_entropy_backward.cl"
};
static const char query_key_text[] = {
#embed "attention/query_key.cl"
};
static const char rotary_text[] = {
#embed "attention/rotary.cl"
};
static const char softmax_entropy_text[] = {
#embed "attention/softmax_entropy.cl"
};
static const char softmax_entropy_backward_text[] = {
#embed "attention/softmax_entropy_backward.cl"
};
static const char softmax_entropy_shape_text[] = {
#embed "attention/softmax_entropy_shape.cl"
};
static const char doubly_stochastic_text[] = {
#embed "drift/doubly_stochastic.cl"
};
static const char drift_field_text[] = {
#embed "drift/drift_field.cl"
};
static const char drift_loss_text[] = {
#embed "drift/drift_loss.cl"
};
static const char memory_bank_text[] = {
#embed "drift/memory_bank.cl"
};
static const char pairwise_distance_text[] = {
#embed "drift/pairwise_distance.cl"
};
static const char accumulate_text[] = {
#embed "elementwise/accumulate.cl"
};
static const char activation_text[] = {
#embed "elementwise/activation.cl"
};
static const char add_text[] = {
#embed "elementwise/add.cl"
};
static const char elementwise_text[] = {
#embed "elementwise/elementwise.cl"
};
static const char sinusoid_text[] = {
#embed "elementwise/sinusoid.cl"
};
static const char swiglu_text[] = {
#embed "elementwise/swiglu.cl"
};
static const char copy_text[] = {
#embed "layout/copy.cl"
};
static const char counter_text[] = {
#embed "layout/counter.cl"
};
static const char embedding_text[] = {
#embed "layout/embedding.cl"
};
static const char layout_text[] = {
#embed "layout/layout.cl"
};
static const char patchify_text[] = {
#embed "layout/patchify.cl"
};
static const char pixel_rows_text[] = {
#embed "layout/pixel_rows.cl"
};
static const char places_text[] = {
#embed "layout/places.cl"
};
static const char pool_text[] = {
#embed "layout/pool.cl"
};
static const char rows_text[] = {
#embed "layout/rows.cl"
};
static const char sort_orders_text[] = {
#embed "layout/sort_orders.cl"
};
static const char upsample_text[] = {
#embed "layout/upsample.cl"
};
static const char whole_text[] = {
#embed "layout/whole.cl"
};
static const char window_text[] = {
#embed "layout/window.cl"
};
static const char cross_entropy_text[] = {
#embed "loss/cross_entropy.cl"
};
static const char diffusion_loss_text[] = {
#embed "loss/diffusion_loss.cl"
};
static const char energy_score_text[] = {
#embed "loss/energy_score.cl"
};
static const char gaussian_divergence_text[] = {
#embed "loss/gaussian_divergence.cl"
};
static const char reduce_text[] = {
#embed "loss/reduce.cl"
};
static const char smooth_l1_text[] = {
#embed "loss/smooth_l1.cl"
};
static const char total_variation_text[] = {
#embed "loss/total_variation.cl"
};
static const char group_norm_text[] = {
#embed "norm/group_norm.cl"
};
static const char layer_norm_text[] = {
#embed "norm/layer_norm.cl"
};
static const char modulate_text[] = {
#embed "norm/modulate.cl"
};
static const char patch_statistics_text[] = {
#embed "norm/patch_statistics.cl"
};
static const char residual_text[] = {
#embed "norm/residual.cl"
};
static const char rms_norm_text[] = {
#embed "norm/rms_norm.cl"
};
static const char optimizer_text[] = {
#embed "optimizer/optimizer.cl"
};
static const char convolution_text[] = {
#embed "product/convolution.cl"
};
static const char convolution_shape_text[] = {
#embed "product/convolution_shape.cl"
};
static const char convolution_weight_text[] = {
#embed "product/convolution_weight.cl"
};
static const char cpu_convolution_text[] = {
#embed "product/cpu_convolution.cl"
};
static const char cpu_convolution_weight_text[] = {
#embed "product/cpu_convolution_weight.cl"
};
static const char cpu_gemm_text[] = {
#embed "product/cpu_gemm.cl"
};
static const char gemm_text[] = {
#embed "product/gemm.cl"
};
static const char gemm_epilogue_text[] = {
#embed "product/gemm_epilogue.cl"
};
static const char gpu_convolution_text[] = {
#embed "product/gpu_convolution.cl"
};
static const char gpu_convolution_mma_text[] = {
#embed "product/gpu_convolution_mma.cl"
};
static const char gpu_convolution_weight_text[] = {
#embed "product/gpu_convolution_weight.cl"
};
static const char gpu_convolution_weight_mma_text[] = {
#embed "product/gpu_convolution_weight_mma.cl"
};
static const char gpu_gemm_text[] = {
#embed "product/gpu_gemm.cl"
};
static const char gpu_gemm_mma_text[] = {
#embed "product/gpu_gemm_mma.cl"
};
static const char gpu_mma_text[] = {
#embed "product/gpu_mma.cl"
};
static const char gpu_mma_tile_text[] = {
#embed "product/gpu_mma_tile.cl"
};
static const char multiply_add_text[] = {
#embed "product/multiply_add.cl"
};
static const char accept_tokens_text[] = {
#embed "sampling/accept_tokens.cl"
};
static const char causal_pass_text[] = {
#embed "sampling/causal_pass.cl"
};
static const char diffusion_text[] = {
#embed "sampling/diffusion.cl"
};
static const char diffusion_step_text[] = {
#embed "sampling/diffusion_step.cl"
};
static const char flow_text[] = {
#embed "sampling/flow.cl"
};
static const char flow_step_text[] = {
#embed "sampling/flow_step.cl"
};
static const char guidance_text[] = {
#embed "sampling/guidance.cl"
};
static const char posterior_text[] = {
#embed "sampling/posterior.cl"
};
static const char prior_text[] = {
#embed "sampling/prior.cl"
};
static const char speculation_text[] = {
#embed "sampling/speculation.cl"
};
static const char token_diffusion_text[] = {
#embed "sampling/token_diffusion.cl"
};
static const char token_network_text[] = {
#embed "sampling/token_network.cl"
};
static const char token_weights_text[] = {
#embed "sampling/token_weights.cl"
};
static const struct driftgpu_kernel_source sources[] = {
    {"kernels.cl", kernels_text, sizeof kernels_text},
    {"flat.cl", flat_text, sizeof flat_text},
    {"math.cl", math_text, sizeof math_text},
    {"philox.cl", philox_text, sizeof philox_text},
    {"random.cl", random_text, sizeof random_text},
    {"row_groups.cl", row_groups_text, sizeof row_groups_text},
    {"team.cl", team_text, sizeof team_text},
    {"transpose_lanes.cl", transpose_lanes_text, sizeof transpose_lanes_text},
    {"attention.cl", attention_text, sizeof attention_text},
    {"attention_backward.cl", attention_backward_text, sizeof attention_backward_text},
    {"attention_cached.cl", attention_cached_text, sizeof attention_cached_text},
    {"attention_shape.cl", attention_shape_text, sizeof attention_shape_text},
    {"attention_wide.cl", attention_wide_text, sizeof attention_wide_text},
    {"cached_rows.cl", cached_rows_text, sizeof cached_rows_text},
    {"cpu_attention.cl", cpu_attention_text, sizeof cpu_attention_text},
    {"cpu_attention_backward.cl", cpu_attention_backward_text, sizeof cpu_attention_backward_text},
    {"cpu_attention_lanes.cl", cpu_attention_lanes_text, sizeof cpu_attention_lanes_text},
    {"cpu_attention_rows.cl", cpu_attention_rows_text, sizeof cpu_attention_rows_text},
    {"cpu_attention_short.cl", cpu_attention_short_text, sizeof cpu_attention_short_text},
    {"cpu_attention_short_backward.cl", cpu_attention_short_backward_text, sizeof cpu_attention_short_backward_text},
    {"cpu_softmax_entropy.cl", cpu_softmax_entropy_text, sizeof cpu_softmax_entropy_text},
    {"cpu_softmax_entropy_backward.cl", cpu_softmax_entropy_backward_text, sizeof cpu_softmax_entropy_backward_text},
    {"entropy_cached.cl", entropy_cached_text, sizeof entropy_cached_text},
    {"gpu_attention_flash.cl", gpu_attention_flash_text, sizeof gpu_attention_flash_text},
    {"gpu_attention_flash_backward.cl", gpu_attention_flash_backward_text, sizeof gpu_attention_flash_backward_text},
    {"gpu_attention_mma.cl", gpu_attention_mma_text, sizeof gpu_attention_mma_text},
    {"gpu_attention_mma_backward.cl", gpu_attention_mma_backward_text, sizeof gpu_attention_mma_backward_text},
    {"gpu_attention_mma_tile.cl", gpu_attention_mma_tile_text, sizeof gpu_attention_mma_tile_text},
    {"gpu_attention_tile.cl", gpu_attention_tile_text, sizeof gpu_attention_tile_text},
    {"gpu_softmax_entropy.cl", gpu_softmax_entropy_text, sizeof gpu_softmax_entropy_text},
    {"gpu_softmax_entropy_backward.cl", gpu_softmax_entropy_backward_text, sizeof gpu_softmax_entropy_backward_text},
    {"query_key.cl", query_key_text, sizeof query_key_text},
    {"rotary.cl", rotary_text, sizeof rotary_text},
    {"softmax_entropy.cl", softmax_entropy_text, sizeof softmax_entropy_text},
    {"softmax_entropy_backward.cl", softmax_entropy_backward_text, sizeof softmax_entropy_backward_text},
    {"softmax_entropy_shape.cl", softmax_entropy_shape_text, sizeof softmax_entropy_shape_text},
    {"doubly_stochastic.cl", doubly_stochastic_text, sizeof doubly_stochastic_text},
    {"drift_field.cl", drift_field_text, sizeof drift_field_text},
    {"drift_loss.cl", drift_loss_text, sizeof drift_loss_text},
    {"memory_bank.cl", memory_bank_text, sizeof memory_bank_text},
    {"pairwise_distance.cl", pairwise_distance_text, sizeof pairwise_distance_text},
    {"accumulate.cl", accumulate_text, sizeof accumulate_text},
    {"activation.cl", activation_text, sizeof activation_text},
    {"add.cl", add_text, sizeof add_text},
    {"elementwise.cl", elementwise_text, sizeof elementwise_text},
    {"sinusoid.cl", sinusoid_text, sizeof sinusoid_text},
    {"swiglu.cl", swiglu_text, sizeof swiglu_text},
    {"copy.cl", copy_text, sizeof copy_text},
    {"counter.cl", counter_text, sizeof counter_text},
    {"embedding.cl", embedding_text, sizeof embedding_text},
    {"layout.cl", layout_text, sizeof layout_text},
    {"patchify.cl", patchify_text, sizeof patchify_text},
    {"pixel_rows.cl", pixel_rows_text, sizeof pixel_rows_text},
    {"places.cl", places_text, sizeof places_text},
    {"pool.cl", pool_text, sizeof pool_text},
    {"rows.cl", rows_text, sizeof rows_text},
    {"sort_orders.cl", sort_orders_text, sizeof sort_orders_text},
    {"upsample.cl", upsample_text, sizeof upsample_text},
    {"whole.cl", whole_text, sizeof whole_text},
    {"window.cl", window_text, sizeof window_text},
    {"cross_entropy.cl", cross_entropy_text, sizeof cross_entropy_text},
    {"diffusion_loss.cl", diffusion_loss_text, sizeof diffusion_loss_text},
    {"energy_score.cl", energy_score_text, sizeof energy_score_text},
    {"gaussian_divergence.cl", gaussian_divergence_text, sizeof gaussian_divergence_text},
    {"reduce.cl", reduce_text, sizeof reduce_text},
    {"smooth_l1.cl", smooth_l1_text, sizeof smooth_l1_text},
    {"total_variation.cl", total_variation_text, sizeof total_variation_text},
    {"group_norm.cl", group_norm_text, sizeof group_norm_text},
    {"layer_norm.cl", layer_norm_text, sizeof layer_norm_text},
    {"modulate.cl", modulate_text, sizeof modulate_text},
    {"patch_statistics.cl", patch_statistics_text, sizeof patch_statistics_text},
    {"residual.cl", residual_text, sizeof residual_text},
    {"rms_norm.cl", rms_norm_text, sizeof rms_norm_text},
    {"optimizer.cl", optimizer_text, sizeof optimizer_text},
    {"convolution.cl", convolution_text, sizeof convolution_text},
    {"convolution_shape.cl", convolution_shape_text, sizeof convolution_shape_text},
    {"convolution_weight.cl", convolution_weight_text, sizeof convolution_weight_text},
    {"cpu_convolution.cl", cpu_convolution_text, sizeof cpu_convolution_text},
    {"cpu_convolution_weight.cl", cpu_convolution_weight_text, sizeof cpu_convolution_weight_text},
    {"cpu_gemm.cl", cpu_gemm_text, sizeof cpu_gemm_text},
    {"gemm.cl", gemm_text, sizeof gemm_text},
    {"gemm_epilogue.cl", gemm_epilogue_text, sizeof gemm_epilogue_text},
    {"gpu_convolution.cl", gpu_convolution_text, sizeof gpu_convolution_text},
    {"gpu_convolution_mma.cl", gpu_convolution_mma_text, sizeof gpu_convolution_mma_text},
    {"gpu_convolution_weight.cl", gpu_convolution_weight_text, sizeof gpu_convolution_weight_text},
    {"gpu_convolution_weight_mma.cl", gpu_convolution_weight_mma_text, sizeof gpu_convolution_weight_mma_text},
    {"gpu_gemm.cl", gpu_gemm_text, sizeof gpu_gemm_text},
    {"gpu_gemm_mma.cl", gpu_gemm_mma_text, sizeof gpu_gemm_mma_text},
    {"gpu_mma.cl", gpu_mma_text, sizeof gpu_mma_text},
    {"gpu_mma_tile.cl", gpu_mma_tile_text, sizeof gpu_mma_tile_text},
    {"multiply_add.cl", multiply_add_text, sizeof multiply_add_text},
    {"accept_tokens.cl", accept_tokens_text, sizeof accept_tokens_text},
    {"causal_pass.cl", causal_pass_text, sizeof causal_pass_text},
    {"diffusion.cl", diffusion_text, sizeof diffusion_text},
    {"diffusion_step.cl", diffusion_step_text, sizeof diffusion_step_text},
    {"flow.cl", flow_text, sizeof flow_text},
    {"flow_step.cl", flow_step_text, sizeof flow_step_text},
    {"guidance.cl", guidance_text, sizeof guidance_text},
    {"posterior.cl", posterior_text, sizeof posterior_text},
    {"prior.cl", prior_text, sizeof prior_text},
    {"speculation.cl", speculation_text, sizeof speculation_text},
    {"token_diffusion.cl", token_diffusion_text, sizeof token_diffusion_text},
    {"token_network.cl", token_network_text, sizeof token_network_text},
    {"token_weights.cl", token_weights_text, sizeof token_weights_text},
};
