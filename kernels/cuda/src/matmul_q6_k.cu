// Products of Q6_K weights. SPEC.md section 5. Sub-blocks of 16 need more registers than others.
#include "matmul.cuh"

GEMV_1(Q6_K, q6_k)
GEMV_8(Q6_K, q6_k, 1, 2)
GEMV_32(Q6_K, q6_k, 1)
GEMM_64(Q6_K, q6_k, 3)
