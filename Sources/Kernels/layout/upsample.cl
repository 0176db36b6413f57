// upsample: images of pixels [B, H, W, C] enlarged by repeating every pixel `factor` x `factor` times (nearest), and the sum
// over those copies, which is its gradient.
#include "flat.cl"

// y [batch, height factor, width factor, n] from x [batch, height, width, n]. Traffic: 4 (1 + factor^2) B H W C bytes.
TEAM_KERNEL void upsample_forward(IN(float, x), OUT(float, y), const int batch, const int height, const int width,
                               const int n, const int factor) {
  USE_IN(float, x);
  USE_OUT(float, y);
  const int across = width * factor, down = height * factor;
  TEAM_ROWS(row, batch * down * across) {
    const int ox = row % across, oy = row / across % down, b = row / across / down;
    const size_t from = (((size_t)b * height + oy / factor) * width + ox / factor) * n;
    TEAM_FOR(i, n) lanes_store(y + (size_t)row * n, i, n, lanes_load(x + from, i, n));
  }
}

// dx [batch, height, width, n] from dy [batch, height factor, width factor, n]. Traffic: as forward; factor^2 B H W C FLOPs.
TEAM_KERNEL void upsample_backward(IN(float, dy), OUT(float, dx), const int batch, const int height, const int width,
                                const int n, const int factor) {
  USE_IN(float, dy);
  USE_OUT(float, dx);
  const int across = width * factor;
  TEAM_ROWS(row, batch * height * width) {
    // Rows of dy before this pixel's first: whole lines of pixels, then those left of it.
    const size_t first = ((size_t)(row / width) * factor * across + (size_t)(row % width) * factor) * n;
    TEAM_FOR(i, n) {
      floatL sum = 0.0f;
      for (int y = 0; y < factor; ++y)
        for (int x = 0; x < factor; ++x) sum += lanes_load(dy + first + ((size_t)y * across + x) * n, i, n);
      lanes_store(dx + (size_t)row * n, i, n, sum);
    }
  }
}
