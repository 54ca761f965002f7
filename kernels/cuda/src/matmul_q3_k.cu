// Products of Q3_K weights. SPEC.md section 5. Sub-blocks of 16 need more registers than others.
#include "matmul.cuh"

GEMV_1(Q3_K, q3_k)
GEMV_8(Q3_K, q3_k, 1, 2)
GEMV_32(Q3_K, q3_k, 1)
GEMM_64(Q3_K, q3_k, 3)
