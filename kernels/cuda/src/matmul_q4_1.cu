// Products of Q4_1 weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(Q4_1, q4_1, 1)
