// Products of Q2_K weights. SPEC.md section 5. Sub-blocks of 16 need more registers than others.
#include "matmul.cuh"

GEMV_1(Q2_K, q2_k)
GEMV_8(Q2_K, q2_k, 1, 1)
GEMV_32(Q2_K, q2_k, 1)
GEMM_64(Q2_K, q2_k, 3)
