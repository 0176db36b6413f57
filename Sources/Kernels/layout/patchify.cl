// patchify: images [B, C, H, W] to tokens [B, (H/p)(W/p), C p p] and back. A token's vector runs over (channel, row in the
// patch, column in the patch), the order of the published weights.
#include "flat.cl"

// Both kernels give a token to a work-item, which walks its vector in order.
#define PATCHIFY_FOR(image_at, token_at)                                                     \
  int across = width / patch, down = height / patch, size = channels * patch * patch;        \
  ITEM_FOR(row, (size_t)batch * down * across) {                                             \
    int w = (int)(row % across) * patch, h = (int)(row / across % down) * patch;             \
    size_t token_at = row * size, image = row / across / down * channels;                    \
    for (int c = 0; c < channels; ++c)                                                       \
      for (int dy = 0; dy < patch; ++dy) {                                                   \
        size_t image_at = ((image + c) * height + h + dy) * width + w;                       \
        for (int dx = 0; dx < patch; ++dx, ++image_at, ++token_at) PATCHIFY_MOVE;            \
      }                                                                                      \
  }

// tokens [batch, (height/patch)(width/patch), channels patch patch] from images [batch, channels, height, width]; height
// and width are multiples of patch. The gradient is unpatchify. Traffic: 8 bytes an element, gathered.
TEAM_KERNEL void patchify_forward(IN(float, images), OUT(float, tokens), int batch, int channels, int height, int width,
                               int patch) {
  USE_IN(float, images);
  USE_OUT(float, tokens);
#define PATCHIFY_MOVE tokens[t] = images[i]
  PATCHIFY_FOR(i, t)
#undef PATCHIFY_MOVE
}

// The inverse, and the gradient of patchify. Traffic: 8 bytes an element, scattered.
TEAM_KERNEL void unpatchify_forward(IN(float, tokens), OUT(float, images), int batch, int channels, int height, int width,
                                 int patch) {
  USE_IN(float, tokens);
  USE_OUT(float, images);
#define PATCHIFY_MOVE images[i] = tokens[t]
  PATCHIFY_FOR(i, t)
#undef PATCHIFY_MOVE
}
