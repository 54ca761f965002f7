// The products of 16 rows of weights with columns of codes over one segment, which is t of SPEC.md section 5; shared by gemv.cuh
// and gemm.cuh. Columns are the rows of the batch: a warp takes NT groups of 8.
#pragma once
#include "weights.cuh"

// Matrices that share their input, and what they are multiplied with. Rows of the arrays of scales and sums are columns here.
struct Target {
  const char* weights;
  float* y;  // (columns, rows)
  int32_t rows;
  int32_t first;  // of the grid's units of rows (tiles, or blocks of them)
};
constexpr int TARGETS = 4;
struct ProductArgs {
  const int8_t* codes;  // struct Codes of encode.cuh, whose rows are columns here; sums are those that the format needs
  const float* dx;
  const float* sums;
  Target target[TARGETS];  // unused ones begin behind the grid
  int32_t columns, stride, scaleStride, pairs;
  int32_t chunk;  // gemv: segments whose totals are kept at once
  int32_t columnBlocks;  // gemm: blocks of columns, which are the faster index of the grid
};

template <class Args> DEVICE Target target_of(const Args& a, int unit) {
  Target target = a.target[0];
  UNROLL for (int i = 1; i < TARGETS; i++) {
    Target next = a.target[i];
    bool here = unit >= next.first;
    target.weights = here ? next.weights : target.weights, target.y = here ? next.y : target.y;
    target.rows = here ? next.rows : target.rows, target.first = here ? next.first : target.first;
  }
  return target;
}

// c += a · b as mma_s8 says; columns from `columns` on have codes of zero.
DEVICE void multiply(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], [[maybe_unused]] int columns) {
#if ARCH >= 80
  mma_s8(c, a, b);
#else
  int t = lane() % 4;
  for (int n = 0; n < columns; n++) {
    int b0 = static_cast<int>(shuffle(b[0], 4 * n + t)), b1 = static_cast<int>(shuffle(b[1], 4 * n + t));
    int low = dp4a(static_cast<int>(a[2]), b1, dp4a(static_cast<int>(a[0]), b0, 0));
    int high = dp4a(static_cast<int>(a[3]), b1, dp4a(static_cast<int>(a[1]), b0, 0));
    low += shuffle_xor(low, 1), high += shuffle_xor(high, 1);
    low += shuffle_xor(low, 2), high += shuffle_xor(high, 2);
    bool even = t == n / 2 && n % 2 == 0, odd = t == n / 2 && n % 2 == 1;
    c[0] += even ? low : 0, c[1] += odd ? low : 0, c[2] += even ? high : 0, c[3] += odd ? high : 0;
  }
#endif
}

// In 1.5 * 2^23 + v the last bits are v, for |v| < 2^22: sums that start here are floats without a conversion.
constexpr int MAGIC = 0x4B400000;
constexpr float MAGIC_FLOAT = 12582912.0f;

// One block of 32 columns for 8 columns of codes. fold is kept between blocks for superblocks. xsum[c] is for column 2t + c.
template <class F, int block> struct Block {
  using S = typename F::Scales;

  DEVICE_MEMBER static void blocks(float (&t)[4], const S& s, const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&xsum)[2],
                                   int columns) {
    int c[4] = {MAGIC, MAGIC, MAGIC, MAGIC};
    multiply(c, a, b, columns);
    UNROLL for (int i = 0; i < 4; i++) {
      t[i] = fma(sub(from_bits(static_cast<uint32_t>(c[i])), MAGIC_FLOAT), s.d[i / 2][block], t[i]);
      if constexpr (S::KIND == BLOCK_MINIMUMS) t[i] = fma(xsum[i % 2], s.m[i / 2][block], t[i]);
    }
  }

  DEVICE_MEMBER static void subs(float (&t)[4], int (&fold)[4], const S& s, const uint32_t (&a)[4], const uint32_t (&b)[2], int columns) {
    constexpr int FOLDED = S::FOLD / 32;
    if constexpr (block % FOLDED == 0) fold[0] = fold[1] = fold[2] = fold[3] = 0;
    if constexpr (S::SUBS == 4) {
      int c[4] = {0, 0, 0, 0};
      multiply(c, a, b, columns);
      UNROLL for (int i = 0; i < 4; i++) fold[i] += c[i] * s.s[i / 2][block];
    } else {
      int low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
      const uint32_t aLow[4] = {a[0], a[1], 0, 0}, aHigh[4] = {0, 0, a[2], a[3]};
      multiply(low, aLow, b, columns), multiply(high, aHigh, b, columns);
      UNROLL for (int i = 0; i < 4; i++) fold[i] += low[i] * s.s[i / 2][2 * block] + high[i] * s.s[i / 2][2 * block + 1];
    }
    if constexpr ((block + 1) % FOLDED == 0) {
      UNROLL for (int i = 0; i < 4; i++) t[i] = fma(to_float(fold[i]), s.d[i / 2], t[i]);
    }
  }
};

// t[n][i] of lane (g, t): row g + 8 (i / 2), column 8n + 2t + i % 2. times 2^SHIFT of the weights. Source gives
//
//	live(n)          whether group n has columns (the same in all lanes), columns(n) how many
//	codes(n, p)      16 bytes of column 8n + g: place 16t of pair p
//	sums(n, c, i)    float2: sums 2i, 2i + 1 of column 8n + 2t + c
template <class F, int NT, int pair, class Source>
DEVICE void multiply_pair(float (&t)[NT][4], int (&fold)[NT][4], const typename F::Weights& w, const typename F::Scales& s, const Source& source) {
  uint32_t a0[4], a1[4];
  w.template fragment<2 * pair>(a0), w.template fragment<2 * pair + 1>(a1);
  UNROLL for (int n = 0; n < NT; n++) {
    if (!source.live(n)) continue;
    uint4 codes = source.codes(n, pair);
    const uint32_t b0[2] = {codes.x, codes.y}, b1[2] = {codes.z, codes.w};
    int columns = source.columns(n);
    if constexpr (F::Scales::KIND == SUB_SCALES || F::Scales::KIND == SUB_MINIMUMS) {
      Block<F, 2 * pair>::subs(t[n], fold[n], s, a0, b0, columns);
      Block<F, 2 * pair + 1>::subs(t[n], fold[n], s, a1, b1, columns);
    } else {
      float2 left{0, 0}, right{0, 0};
      if constexpr (F::Scales::KIND == BLOCK_MINIMUMS) left = source.sums(n, 0, pair), right = source.sums(n, 1, pair);
      const float x0[2] = {left.x, right.x}, x1[2] = {left.y, right.y};
      Block<F, 2 * pair>::blocks(t[n], s, a0, b0, x0, columns);
      Block<F, 2 * pair + 1>::blocks(t[n], s, a1, b1, x1, columns);
    }
  }
}

template <class F, int NT, class Source>
DEVICE void multiply_segment(float (&t)[NT][4], const typename F::Weights& w, typename F::Scales& s, const Source& source, int pairs) {
  s.unpack();
  int fold[NT][4];
  UNROLL for (int n = 0; n < NT; n++) t[n][0] = t[n][1] = t[n][2] = t[n][3] = 0;
  multiply_pair<F, NT, 0>(t, fold, w, s, source);
  if (!F::RAGGED || pairs > 1) multiply_pair<F, NT, 1>(t, fold, w, s, source);
  if constexpr (F::Scales::KIND == SUB_MINIMUMS) {
    UNROLL for (int n = 0; n < NT; n++) {
      if (!source.live(n)) continue;
      float minimum[4] = {0, 0, 0, 0};  // the negated sum, exact in any order
      UNROLL for (int j = 0; j < F::Scales::SUBS; j += 2) {
        float2 x[2] = {source.sums(n, 0, j / 2), source.sums(n, 1, j / 2)};
        UNROLL for (int i = 0; i < 4; i++) {
          minimum[i] = fma(s.n[i / 2][j], x[i % 2].x, minimum[i]);
          minimum[i] = fma(s.n[i / 2][j + 1], x[i % 2].y, minimum[i]);
        }
      }
      UNROLL for (int i = 0; i < 4; i++) t[n][i] = fma(minimum[i], s.dmin[i / 2], t[n][i]);
    }
  }
}

// What dx is multiplied with because weights are 2^SHIFT times too large.
template <class F> DEVICE float unshift(float dx) {
  if constexpr (F::Weights::SHIFT == 0) return dx;
  return mul(dx, from_bits(static_cast<uint32_t>(127 - F::Weights::SHIFT) << 23));
}
