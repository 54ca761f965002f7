// Products of Q5_0 weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(Q5_0, q5_0, 2)
