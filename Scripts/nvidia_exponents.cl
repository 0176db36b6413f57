// exp2 and exp as NVIDIA's compiler has them, by an instruction: libclc's take 40 and a table, which would be most of some
// kernels. For check-gpu-compilers, in front of a kernel's source.
#define BUILTIN __attribute__((overloadable, const, always_inline))
#define EXPONENT(name, factor)                                             \
  float BUILTIN name(float x) {                                            \
    float y;                                                               \
    __asm__("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x * factor));         \
    return y;                                                              \
  }                                                                        \
  float2 BUILTIN name(float2 x) { return (float2)(name(x.x), name(x.y)); } \
  float4 BUILTIN name(float4 x) { return (float4)(name(x.lo), name(x.hi)); }
EXPONENT(exp2, 1.0f)
EXPONENT(exp, 1.44269504f)
