// Products of Q5_K weights. SPEC.md section 5.
#include "matmul.cuh"

GEMV_1(Q5_K, q5_k)
GEMV_8(Q5_K, q5_k, 1, 2)
GEMV_32(Q5_K, q5_k, 1)
GEMM_64(Q5_K, q5_k, 4)
