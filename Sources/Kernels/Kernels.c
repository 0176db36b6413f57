#include "Kernels.h"

#include "table.h"

const struct driftgpu_kernel_source *driftgpu_kernel_sources(size_t *count) {
  *count = sizeof sources / sizeof sources[0];
  return sources;
}
