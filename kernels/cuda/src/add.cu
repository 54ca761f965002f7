// Residual: dst[i] = dst[i] + src[i], i < elements. SPEC.md section 9.
#include "device.cuh"

struct AddArgs {
  float* dst;
  const float* src;
  int64_t elements;
};

KERNEL_BOUNDS(add_elements, AddArgs, 256, 1) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= a.elements) return;
  store(a.dst + i, add(load(a.dst + i), load(a.src + i)));
}
