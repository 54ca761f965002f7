// Products of Q4_K weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(Q4_K, q4_k, 1)
