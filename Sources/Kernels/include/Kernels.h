// The text of every kernel family, embedded at build time.
#ifndef DRIFTGPU_KERNELS_H
#define DRIFTGPU_KERNELS_H

#include <stddef.h>

struct driftgpu_kernel_source {
  const char *name;  // file name, for example "team.cl"
  const char *text;  // not terminated
  size_t length;
};

// Every .cl file, and kernels.cl, which includes them all; *count receives their number.
const struct driftgpu_kernel_source *driftgpu_kernel_sources(size_t *count);

#endif
