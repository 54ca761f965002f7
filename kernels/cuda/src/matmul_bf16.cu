// BF16: embedding and products. SPEC.md sections 3, 5 and 9.
#include "floats.cuh"

FLOAT_KERNELS(BF16, bf16)
