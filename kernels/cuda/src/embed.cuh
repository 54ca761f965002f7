// Rows of the embedding matrix as values, SPEC.md sections 3 and 9.
#pragma once
#include "weights.cuh"

struct EmbedArgs {
  const char* weights;
  const int32_t* tokens;  // (gridDim.x)
  float* dst;             // (gridDim.x, cols)
  int32_t cols, pairs;
};

// x[r][j] without an array in memory.
template <class T, int n> DEVICE T pick(const T (&x)[2][n], int r, int j) {
  T v = x[0][0];
  UNROLL for (int i = 1; i < 2 * n; i++) v = i == r * n + j ? x[i / n][i % n] : v;
  return v;
}

// w (row g + 8r, column `column` of a segment) as its value.
template <class S> DEVICE float value_of(const S& s, int r, int column, int w) {
  if constexpr (S::SUBS == 1) return mul(to_float(s.sub_scale(r, column / 32) * w), s.super_scale(r));
  else if constexpr (S::KIND == BLOCK_SCALES) return mul(to_float(w), pick(s.d, r, column / 32));
  else if constexpr (S::KIND == BLOCK_MINIMUMS) return add(mul(to_float(w), pick(s.d, r, column / 32)), pick(s.m, r, column / 32));
  else {
    int j = column * S::SUBS / SEGMENT;
    float v = mul(to_float(pick(s.s, r, j) * w), r ? s.d[1] : s.d[0]);
    if constexpr (S::KIND == SUB_MINIMUMS) v = sub(v, mul(sub(0.0f, pick(s.n, r, j)), r ? s.dmin[1] : s.dmin[0]));
    return v;
  }
}

// One block of threads a token.
template <class F> DEVICE void embed(const EmbedArgs& a) {
  int token = load(a.tokens + blockIdx.x), g = token % 8, r = token / 8 % 2;
  const char* tile = a.weights + token / TILE * tile_bytes<F>(a.pairs);
  for (int i = threadIdx.x; i < a.cols; i += blockDim.x) {
    int segment = i / SEGMENT, part = segment % F::CELL_SEGMENTS;
    const char* cell = tile + static_cast<int64_t>(segment / F::CELL_SEGMENTS) * F::CELL_BYTES;
    typename F::Scales scales;
    scales.template load_cell<FromGlobal>(cell, g), scales.template load<FromGlobal>(cell, part, g);
    scales.unpack();
    int w = weight_at<typename F::Weights>(cell + F::Scales::BYTES + part * F::Weights::SEGMENT_BYTES, g, r, i % SEGMENT);
    store(a.dst + static_cast<int64_t>(blockIdx.x) * a.cols + i, value_of(scales, r, i % SEGMENT, w));
  }
}
