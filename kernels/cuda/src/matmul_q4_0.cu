// Products of Q4_0 weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(Q4_0, q4_0, 2)
