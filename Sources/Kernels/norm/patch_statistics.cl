// patch_statistics: mean and deviation of each channel over the pixels of a patch, of images [B, H, W, C] in patches of h x w:
// m = sum x / N, s = sqrt(sum (x - m)^2 / N + epsilon), with N = h w.
#include "flat.cl"

// mean, deviation [batch, height / down, width / across, n] from x [batch, height, width, n]. The second pass over a patch reads what the
// first has brought near. Traffic: 4 B H W C (1 + 2 / N) bytes; 4 B H W C FLOPs.
TEAM_KERNEL void patch_statistics_forward(IN(float, x), OUT(float, mean), OUT(float, deviation), const int batch, const int height,
                                          const int width, const int n, const int down, const int across, const float epsilon) {
  USE_IN(float, x);
  USE_OUT(float, mean);
  USE_OUT(float, deviation);
  const int columns = width / across, rows = height / down;
  const float share = 1.0f / (float)(down * across);
  TEAM_ROWS(row, batch * rows * columns) {
    const size_t first = ((size_t)(row / columns) * down * width + (size_t)(row % columns) * across) * n;
    TEAM_FOR(i, n) {
      floatL sum = 0.0f, squares = 0.0f;
      for (int y = 0; y < down; ++y)
        for (int u = 0; u < across; ++u) sum += lanes_load(x + first + ((size_t)y * width + u) * n, i, n);
      const floatL m = sum * share;
      for (int y = 0; y < down; ++y)
        for (int u = 0; u < across; ++u) {
          const floatL d = lanes_load(x + first + ((size_t)y * width + u) * n, i, n) - m;
          squares += d * d;
        }
      lanes_store(mean + (size_t)row * n, i, n, m);
      lanes_store(deviation + (size_t)row * n, i, n, sqrt(squares * share + epsilon));
    }
  }
}

// dx = (dm + ds (x - m) / s) / N, [batch, height, width, n]. Traffic: 4 B H W C (2 + 4 / N) bytes; 5 B H W C FLOPs.
TEAM_KERNEL void patch_statistics_backward(IN(float, x), IN(float, mean), IN(float, deviation), IN(float, dmean), IN(float, ddeviation),
                                           OUT(float, dx), const int batch, const int height, const int width, const int n,
                                           const int down, const int across) {
  USE_IN(float, x);
  USE_IN(float, mean);
  USE_IN(float, deviation);
  USE_IN(float, dmean);
  USE_IN(float, ddeviation);
  USE_OUT(float, dx);
  const int columns = width / across;
  const float share = 1.0f / (float)(down * across);
  TEAM_ROWS(row, batch * height * width) {
    // Patches divide the height, so lines of patches count on from image to image.
    const size_t patch = ((size_t)(row / width / down) * columns + row % width / across) * n, own = (size_t)row * n;
    TEAM_FOR(i, n) {
      const floatL d = lanes_load(x + own, i, n) - lanes_load(mean + patch, i, n);
      const floatL slope = lanes_load(ddeviation + patch, i, n) / lanes_load(deviation + patch, i, n);
      lanes_store(dx + own, i, n, (lanes_load(dmean + patch, i, n) + slope * d) * share);
    }
  }
}
