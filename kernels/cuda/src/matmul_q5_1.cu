// Products of Q5_1 weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(Q5_1, q5_1, 1)
