// Products of Q4_K weights. SPEC.md section 5.
#include "matmul.cuh"

GEMV_1(Q4_K, q4_k)
GEMV_8(Q4_K, q4_k, 1, 2)
GEMV_32(Q4_K, q4_k, 1)
GEMM_64(Q4_K, q4_k, 4)
GEMM_128(Q4_K, q4_k)
