// Rows of the embedding matrix as values, SPEC.md sections 3 and 9.
#pragma once
#include "weights.cuh"

struct EmbedArgs {
  const char* weights;
  const int32_t* tokens;  // (gridDim.x)
  float* dst;             // (gridDim.x, cols)
  int32_t cols, pairs;    // floats: pairs is groups of 16 bytes
};

// Element i of register k of block b, 2^SHIFT times too large, as its value.
template <class S> DEVICE float value_of(const S& s, int r, int b, int half, int w) {
  if constexpr (S::SUBS == 1) return mul(to_float(s.sub_scale(r, b) * w), s.super_scale(r));
  else if constexpr (S::KIND == BLOCK_SCALES) return mul(to_float(w), s.d[r][b]);
  else if constexpr (S::KIND == BLOCK_MINIMUMS) return add(mul(to_float(w), s.d[r][b]), s.m[r][b]);
  else {
    int j = S::SUBS == 4 ? b : 2 * b + half;
    float v = mul(to_float(s.s[r][j] * w), s.d[r]);
    if constexpr (S::KIND == SUB_MINIMUMS) v = sub(v, mul(sub(0.0f, s.n[r][j]), s.dmin[r]));
    return v;
  }
}

template <class F, int block> DEVICE void embed_block(const typename F::Weights& w, const typename F::Scales& s, int row, int t, float* dst, int columns) {
  uint32_t a[4];
  w.template fragment<block>(a);
  UNROLL for (int k = 0; k < 4; k++) {
    UNROLL for (int i = 0; i < 4; i++) {
      int column = 32 * block + 16 * (k / 2) + 4 * t + i;
      if (row == k % 2 && column < columns) store(dst + column, value_of(s, k % 2, block, k / 2, signed_byte(a[k], i) >> F::Weights::SHIFT));
    }
  }
}

// One block of threads a token; a thread has what a lane of products has of a segment, but for one row.
template <class F> DEVICE void embed(const EmbedArgs& a) {
  int token = load(a.tokens + blockIdx.x), g = token % 8, r = token / 8 % 2, segments = segments_of(a.pairs);
  const char* tile = a.weights + token / TILE * tile_bytes<F>(a.pairs);
  for (int item = threadIdx.x; item < 4 * segments; item += blockDim.x) {
    int segment = item / 4, t = item % 4, h = segment % F::CELL_SEGMENTS, pairs = F::RAGGED ? pairs_of(a.pairs, segment) : 2;
    const char* cell = tile + static_cast<int64_t>(segment / F::CELL_SEGMENTS) * F::CELL_BYTES;
    typename F::Weights weights;
    typename F::Scales scales;
    weights.template load<FromGlobal>(cell + F::Scales::BYTES + h * F::Weights::SEGMENT_BYTES, pairs, 4 * g + t);
    scales.template load<FromGlobal>(cell, h, g);
    scales.unpack();
    float* dst = a.dst + static_cast<int64_t>(blockIdx.x) * a.cols + segment * SEGMENT;
    int columns = a.cols - segment * SEGMENT;
    embed_block<F, 0>(weights, scales, r, t, dst, columns), embed_block<F, 1>(weights, scales, r, t, dst, columns);
    if (pairs > 1) embed_block<F, 2>(weights, scales, r, t, dst, columns), embed_block<F, 3>(weights, scales, r, t, dst, columns);
  }
}
