// team: the unit of work of a row kernel.
//
// A GPU wants a work-group per row with a reduction through local memory; a CPU wants one work-item with wide vectors.
// Kernels are written once against a team of TEAM_SIZE work-items that each hold LANES consecutive floats:
//
//   GPU shape   TEAM_SIZE = a work-group (power of two), LANES = 4
//   CPU shape   TEAM_SIZE = 1,                           LANES = native vector width (4, 8 or 16)
//
// Both are -D values. A row kernel is launched with `teams * TEAM_SIZE` work-items in groups of TEAM_SIZE and walks its
// rows with TEAM_ROWS, so the host may choose any number of teams.
#ifndef TEAM_CL
#define TEAM_CL

#ifndef TEAM_SIZE
#define TEAM_SIZE 1
#endif
#ifndef LANES
#define LANES 16
#endif

// Clang warns of every call that passes a vector wider than the target's registers: code built for another target would
// look for it elsewhere. Here there is none. A program is compiled at once for one target, and a driver takes its library
// of built-in functions for the same one. A call between two targets in one program is an error of its own (not a warning),
// which stays. The pragma, unlike an option, troubles no other compiler.
#ifdef __has_warning
#if __has_warning("-Wpsabi")
#pragma clang diagnostic ignored "-Wpsabi"
#endif
#endif

// A kernel that is launched in work-groups of one team, which is how row kernels are: what is said here the compiler need not
// find out for each launch. PoCL compiles such a kernel once, for it (see ProgramCache.swift).
#define TEAM_KERNEL __kernel __attribute__((reqd_work_group_size(TEAM_SIZE, 1, 1)))

#define TEAM_PASTE_(a, b) a##b
#define TEAM_PASTE(a, b) TEAM_PASTE_(a, b)

// LANES floats, ints or uints held by one work-item.
#define floatL TEAM_PASTE(float, LANES)
#define intL TEAM_PASTE(int, LANES)
#define uintL TEAM_PASTE(uint, LANES)
#define vloadL TEAM_PASTE(vload, LANES)
#define vstoreL TEAM_PASTE(vstore, LANES)
#define convert_floatL TEAM_PASTE(convert_float, LANES)
#define convert_intL TEAM_PASTE(convert_int, LANES)
#define as_floatL TEAM_PASTE(as_float, LANES)
#define as_intL TEAM_PASTE(as_int, LANES)
#define as_uintL TEAM_PASTE(as_uint, LANES)

// A function that is called. On a CPU, PoCL compiles what it inlines into a kernel three times, once for each way to start
// it, and that is most of a first start: the large parts of CPU kernels are functions of this kind, which it compiles once.
// They take what they need of the work-item's place as arguments: only kernels know it.
#if TEAM_SIZE == 1
#define CALLED static __attribute__((noinline))
#else
#define CALLED static inline
#endif

// A tensor argument is a buffer and an offset in elements: all tensors live in a few large buffers, and an offset, unlike
// a sub-buffer, has no alignment rule of the device's own.
#define IN(T, name) __global const T *name##_buffer, const ulong name##_offset
#define OUT(T, name) __global T *name##_buffer, const ulong name##_offset
// In the CPU shape a kernel returns where a tensor is null: so it can be launched, and with that compiled, ahead of its first use.
#if TEAM_SIZE == 1
#define USE_IN(T, name)                                       \
  __global const T *name = name##_buffer + name##_offset;     \
  if (!name##_buffer) return
#define USE_OUT(T, name)                                      \
  __global T *name = name##_buffer + name##_offset;           \
  if (!name##_buffer) return
#else
#define USE_IN(T, name) __global const T *name = name##_buffer + name##_offset
#define USE_OUT(T, name) __global T *name = name##_buffer + name##_offset
#endif

#if LANES == 16
#define LANE_INDEX ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#elif LANES == 8
#define LANE_INDEX ((int8)(0, 1, 2, 3, 4, 5, 6, 7))
#elif LANES == 4
#define LANE_INDEX ((int4)(0, 1, 2, 3))
#else
#error "LANES must be 4, 8 or 16"
#endif

static inline float lanes_sum(floatL v) {
#if LANES == 16
  float8 a = v.lo + v.hi;
  float4 b = a.lo + a.hi;
#elif LANES == 8
  float4 b = v.lo + v.hi;
#else
  float4 b = v;
#endif
  float2 c = b.lo + b.hi;
  return c.x + c.y;
}

// The sums of four at a time, each in the order of lanes_sum: half the instructions.
static inline float4 lanes_sum4(floatL v0, floatL v1, floatL v2, floatL v3) {
#if LANES == 16
  const float8 w0 = v0.lo + v0.hi, w1 = v1.lo + v1.hi, w2 = v2.lo + v2.hi, w3 = v3.lo + v3.hi;
#elif LANES == 8
  const float8 w0 = v0, w1 = v1, w2 = v2, w3 = v3;
#endif
#if LANES > 4
  const float4 a = w0.lo + w0.hi, b = w1.lo + w1.hi, c = w2.lo + w2.hi, d = w3.lo + w3.hi;
#else
  const float4 a = v0, b = v1, c = v2, d = v3;
#endif
  const float4 ab = (float4)(a.lo, b.lo) + (float4)(a.hi, b.hi), cd = (float4)(c.lo, d.lo) + (float4)(c.hi, d.hi);
  return (float4)(ab.even, cd.even) + (float4)(ab.odd, cd.odd);
}

static inline float lanes_max(floatL v) {
#if LANES == 16
  float8 a = fmax(v.lo, v.hi);
  float4 b = fmax(a.lo, a.hi);
#elif LANES == 8
  float4 b = fmax(v.lo, v.hi);
#else
  float4 b = v;
#endif
  float2 c = fmax(b.lo, b.hi);
  return fmax(c.x, c.y);
}

// LANES floats at any address: for one work-item with wide vectors a single unaligned access, which vload and vstore of 16
// are not everywhere. A GPU's own vload is as good, and there alignment is not ours to promise.
#if TEAM_SIZE == 1
typedef floatL __attribute__((aligned(4))) float_packed;
#define LOAD_PACKED(p) (*(__global const float_packed *)(p))
#define STORE_PACKED(v, p) (*(__global float_packed *)(p) = (v))
#else
#define LOAD_PACKED(p) vloadL(0, p)
#define STORE_PACKED(v, p) vstoreL(v, 0, p)
#endif

// Asks for the cache line of an address that need not exist: to read it soon, to read it later (for the second-level cache),
// to write it. A GPU hides latency by other means. SPIR-V has no word for it: a driver that translates to SPIR-V may end the
// process over it. rusticl's does, and leaves but one of these names.
#if defined(__SPIR__) || defined(__SPIR32__) || defined(__SPIR64__) || defined(__SPIRV__)
#define NO_PREFETCH
#endif
#if TEAM_SIZE == 1 && defined(__has_builtin) && !defined(NO_PREFETCH)
#if __has_builtin(__builtin_prefetch)
#define PREFETCH(p) __builtin_prefetch((const void *)(size_t)(p), 0, 3)
#define PREFETCH_FAR(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#define PREFETCH_WRITE(p) __builtin_prefetch((const void *)(size_t)(p), 1, 3)
#endif
#endif
#ifndef PREFETCH
#define PREFETCH(p)
#define PREFETCH_FAR(p)
#define PREFETCH_WRITE(p)
#endif

// On a GPU an array is in registers only where constants index it.
#if TEAM_SIZE > 1
#define TAIL_UNROLL _Pragma("unroll")
#else
#define TAIL_UNROLL
#endif

// The ends of rows, lane by lane.
CALLED floatL lanes_load_tail(__global const float *p, int i, int n, float fill) {
  float tail[LANES];
  TAIL_UNROLL for (int k = 0; k < LANES; ++k) tail[k] = i + k < n ? p[i + k] : fill;
  return vloadL(0, tail);
}
CALLED void lanes_store_tail(__global float *p, int i, int n, floatL v) {
  float tail[LANES];
  vstoreL(v, 0, tail);
  TAIL_UNROLL for (int k = 0; k < LANES && i + k < n; ++k) p[i + k] = tail[k];
}

// LANES values from p[i], `fill` from index n on; never reads at or past n.
static inline floatL lanes_load_or(__global const float *p, int i, int n, float fill) {
  return i + LANES <= n ? LOAD_PACKED(p + i) : lanes_load_tail(p, i, n, fill);
}
static inline floatL lanes_load(__global const float *p, int i, int n) { return lanes_load_or(p, i, n, 0.0f); }

// Writes the lanes whose index is below n, nothing at or past n.
static inline void lanes_store(__global float *p, int i, int n, floatL v) {
  if (i + LANES <= n)
    STORE_PACKED(v, p + i);
  else
    lanes_store_tail(p, i, n, v);
}

// v where the lane's index is below n, else `fill`: for reductions that must not see the tail.
static inline floatL lanes_keep(floatL v, int i, int n, float fill) {
  return i + LANES <= n ? v : select((floatL)(fill), v, (LANE_INDEX + i) < n);
}

#if TEAM_SIZE == 1
#define TEAM_RANK 0
#else
#define TEAM_RANK ((int)get_local_id(0))
#endif
#define TEAM_INDEX ((int)get_group_id(0))
#define TEAM_COUNT ((int)get_num_groups(0))
// Rows of a kernel, dealt to teams round robin.
#define TEAM_ROWS(row, rows) for (int row = TEAM_INDEX; row < (rows); row += TEAM_COUNT)
// Columns of a row: i is the first of this work-item's LANES columns.
#define TEAM_FOR(i, n) for (int i = TEAM_RANK * LANES; i < (n); i += TEAM_SIZE * LANES)

#if TEAM_SIZE > 1
// Declares the local memory of team_sum and team_max; stands first in a kernel that uses them.
#define TEAM_LOCAL __local float team_scratch[TEAM_SIZE]
#define TEAM_BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define TEAM_GLOBAL_BARRIER barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)

// Tree reductions in a fixed order: the same bits each run. Every work-item of the team must call them.
static inline float team_reduce_sum(__local float *scratch, float v) {
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[TEAM_RANK] = v;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int half_size = TEAM_SIZE / 2; half_size > 0; half_size >>= 1) {
    if (TEAM_RANK < half_size) scratch[TEAM_RANK] += scratch[TEAM_RANK + half_size];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  return scratch[0];
}
static inline float team_reduce_max(__local float *scratch, float v) {
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[TEAM_RANK] = v;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int half_size = TEAM_SIZE / 2; half_size > 0; half_size >>= 1) {
    if (TEAM_RANK < half_size) scratch[TEAM_RANK] = fmax(scratch[TEAM_RANK], scratch[TEAM_RANK + half_size]);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  return scratch[0];
}
#define team_sum(v) team_reduce_sum(team_scratch, lanes_sum(v))
#define team_max(v) team_reduce_max(team_scratch, lanes_max(v))
#define team_sum_scalar(v) team_reduce_sum(team_scratch, (v))
#define team_max_scalar(v) team_reduce_max(team_scratch, (v))
#else
#define TEAM_LOCAL
#define TEAM_BARRIER
#define TEAM_GLOBAL_BARRIER
#define team_sum(v) lanes_sum(v)
#define team_max(v) lanes_max(v)
#define team_sum_scalar(v) (v)
#define team_max_scalar(v) (v)
#endif

#endif
