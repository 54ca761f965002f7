// Four neighbours of a row of n floats at once. A row of a length that 4 divides begins at a multiple of 16 bytes.
#pragma once
#include "device.cuh"

// Elements i..i+3 of row, i a multiple of 4; +0 from n on.
DEVICE void load4(float (&v)[4], const float* row, int64_t i, int64_t n) {
  if (n % 4 == 0) {
    float4 f = i < n ? load(reinterpret_cast<const float4*>(row + i)) : float4{0, 0, 0, 0};
    v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
    return;
  }
  UNROLL for (int k = 0; k < 4; k++) v[k] = i + k < n ? load(row + i + k) : 0.0f;
}

DEVICE void store4(float* row, int64_t i, int64_t n, const float (&v)[4]) {
  if (n % 4 == 0) {
    if (i < n) store(reinterpret_cast<float4*>(row + i), float4{v[0], v[1], v[2], v[3]});
    return;
  }
  UNROLL for (int k = 0; k < 4; k++)
    if (i + k < n) store(row + i + k, v[k]);
}
