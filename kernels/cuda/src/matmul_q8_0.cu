// Products of Q8_0 weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(Q8_0, q8_0, 2)
