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

// c += a · b as mma_s8 says, where all columns of b but column n are zero.
DEVICE void multiply_column(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], [[maybe_unused]] int n) {
#if ARCH >= 80
  mma_s8(c, a, b);
#else
  int t = lane() % 4;
  int b0 = static_cast<int>(shuffle(b[0], 4 * n + t)), b1 = static_cast<int>(shuffle(b[1], 4 * n + t));
  int low = dp4a(static_cast<int>(a[2]), b1, dp4a(static_cast<int>(a[0]), b0, 0));
  int high = dp4a(static_cast<int>(a[3]), b1, dp4a(static_cast<int>(a[1]), b0, 0));
  low += shuffle_xor(low, 1), high += shuffle_xor(high, 1);
  low += shuffle_xor(low, 2), high += shuffle_xor(high, 2);
  bool even = t == n / 2 && n % 2 == 0, odd = t == n / 2 && n % 2 == 1;
  c[0] += even ? low : 0, c[1] += odd ? low : 0, c[2] += even ? high : 0, c[3] += odd ? high : 0;
#endif
}

// The same where columns from `columns` on are zero.
DEVICE void multiply(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], [[maybe_unused]] int columns) {
#if ARCH >= 80
  mma_s8(c, a, b);
#else
  for (int n = 0; n < columns; n++) multiply_column(c, a, b, n);
#endif
}

// In 1.5 * 2^23 + v the last bits are v, for |v| < 2^22: sums that start there are floats without a conversion. Started lower, they are
// floats divided by 2^shift.
template <int shift> constexpr int MAGIC = 0x4B400000 - (shift << 23);

// A superblock's scale for weights that are 2^SHIFT times too large.
template <class F> DEVICE float unshift(float d) {
  if constexpr (F::Weights::SHIFT == 0) return d;
  else return mul(d, from_bits(static_cast<uint32_t>(127 - F::Weights::SHIFT) << 23));
}

// One block of 32 columns for 8 columns of codes; fold is kept between blocks of superblocks. xsum[c] is for column 2t + c.
template <class F, int block, class S = typename F::Scales>
DEVICE void multiply_block(float (&t)[4], [[maybe_unused]] int (&fold)[4], const S& s, const uint32_t (&a)[4], const uint32_t (&b)[2],
                           [[maybe_unused]] const float (&xsum)[2], int columns) {
  if constexpr (S::KIND == BLOCK_SCALES || S::KIND == BLOCK_MINIMUMS) {
    constexpr int start = MAGIC<F::Weights::SHIFT>;
    int c[4] = {start, start, start, start};
    multiply(c, a, b, columns);
    UNROLL for (int i = 0; i < 4; i++) {
      t[i] = fma(sub(from_bits(static_cast<uint32_t>(c[i])), from_bits(static_cast<uint32_t>(start))), s.d[i / 2][block], t[i]);
      if constexpr (S::KIND == BLOCK_MINIMUMS) t[i] = fma(xsum[i % 2], s.m[i / 2][block], t[i]);
    }
  } else {
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
      UNROLL for (int i = 0; i < 4; i++) t[i] = fma(to_float(fold[i]), unshift<F>(s.d[i / 2]), t[i]);
    }
  }
}

// The fragments of a segment.
struct Fragments {
  uint32_t a[4][4];
  template <class W> DEVICE_MEMBER explicit Fragments(const W& w) {
    w.template fragment<0>(a[0]), w.template fragment<1>(a[1]), w.template fragment<2>(a[2]), w.template fragment<3>(a[3]);
  }
};

// t[i] of lane (g, t): row g + 8 (i / 2), column 2t + i % 2 of group n of 8. Blocks that a last segment lacks have scales and codes of
// zero, which adds +0 to totals that are never -0. Source gives
//
//	codes(n, p)      16 bytes of column 8n + g: place 16t of pair p
//	sums(n, c, i)    float4: sums 4i.. of column 8n + 2t + c
//	columns(n)       how many columns the group has
template <class F, class Source, class S = typename F::Scales>
DEVICE void multiply_segment(float (&t)[4], const Fragments& f, const S& s, const Source& source, int n) {
  float x[4][2] = {};
  if constexpr (S::KIND == BLOCK_MINIMUMS) {
    UNROLL for (int c = 0; c < 2; c++) {
      float4 v = source.sums(n, c, 0);
      x[0][c] = v.x, x[1][c] = v.y, x[2][c] = v.z, x[3][c] = v.w;
    }
  }
  int fold[4], columns = source.columns(n);
  t[0] = t[1] = t[2] = t[3] = 0;
  uint4 codes = source.codes(n, 0);
  multiply_block<F, 0>(t, fold, s, f.a[0], {codes.x, codes.y}, x[0], columns);
  multiply_block<F, 1>(t, fold, s, f.a[1], {codes.z, codes.w}, x[1], columns);
  codes = source.codes(n, 1);
  multiply_block<F, 2>(t, fold, s, f.a[2], {codes.x, codes.y}, x[2], columns);
  multiply_block<F, 3>(t, fold, s, f.a[3], {codes.z, codes.w}, x[3], columns);
  if constexpr (S::KIND == SUB_MINIMUMS) {
    float minimum[4] = {0, 0, 0, 0};  // the negated sum, exact in any order
    UNROLL for (int j = 0; j < S::SUBS; j += 4) {
      const float4 v[2] = {source.sums(n, 0, j / 4), source.sums(n, 1, j / 4)};
      UNROLL for (int i = 0; i < 4; i++) {
        const float* m = &s.n[i / 2][j];
        const float4& x4 = v[i % 2];
        minimum[i] = fma(m[3], x4.w, fma(m[2], x4.z, fma(m[1], x4.y, fma(m[0], x4.x, minimum[i]))));
      }
    }
    UNROLL for (int i = 0; i < 4; i++) t[i] = fma(minimum[i], s.dmin[i / 2], t[i]);
  }
}

// y of one row and column goes on over some segments. Totals are in shared memory.
template <class From> DEVICE float add_up(float y, const float* totals, int totalStride, const float* dx, int dxStride, int segments) {
  constexpr int AHEAD = 4;
  float t[AHEAD], d[AHEAD];
  auto read = [&](int i, int segment) {
    t[i] = totals[segment * totalStride];
    d[i] = From::template get<float>(reinterpret_cast<const char*>(dx + static_cast<int64_t>(segment) * dxStride));
  };
  UNROLL for (int i = 0; i < AHEAD; i++) {
    if (i < segments) read(i, i);
  }
  for (int first = 0; first < segments; first += AHEAD) {
    UNROLL for (int i = 0; i < AHEAD; i++) {
      if (first + i < segments) y = fma(t[i], d[i], y);
      if (first + AHEAD + i < segments) read(i, first + AHEAD + i);
    }
  }
  return y;
}
