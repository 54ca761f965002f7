// The product of a matrix with one column, SPEC.md section 5: bound by the reading of weights, if there are few enough instructions.
//
// A warp takes 16 rows and a unit of 256 columns, which are 8 blocks. In the product for block j all columns of operand B are zero but
// column j, which has the block's codes: so after 8 products with one accumulator, column j of operand C is the sum of block j, and
// the lanes share what follows. Lane (g, t) has blocks 2t, 2t + 1 of the unit in rows g and g + 8: segment t / 2, and there the blocks
// 0 and 1 (t even) or 2 and 3 (t odd). Totals of an even lane go to its odd neighbour, which goes on.
//
// A block of threads takes a tile of 16 rows. Its warps take turns with the units; weights of the next unit are read as soon as their
// registers are free. Totals go to shared memory, and one thread for each row adds them up in order.
#pragma once
#include "gemv.cuh"

// What else a lane needs of a unit: the scales of its segment, the codes of block g, the sums of its codes.
template <class F> struct UnitScales {
  static constexpr int SUMS = F::Scales::SUM == 16 ? 4 : 2;
  typename F::Scales scales;
  uint2 codes;
  vec<float, SUMS> sums;

  DEVICE_MEMBER void read(const ProductArgs& a, const char* tile, int unit) {
    int g = lane() / 4, t = lane() % 4, segments = segments_of(a.pairs);
    int segment = min(2 * unit + t / 2, segments - 1), ofCodes = 2 * unit + g / 4;  // an odd last segment's neighbour gives nothing
    const char* cell = tile + static_cast<int64_t>(segment / F::CELL_SEGMENTS) * F::CELL_BYTES;
    scales.template load_cell<FromGlobal>(cell, g), scales.template load<FromGlobal>(cell, segment % F::CELL_SEGMENTS, g);
    codes = uint2{0, 0};
    if (ofCodes < segments) codes = load(reinterpret_cast<const uint2*>(a.codes + ofCodes * SEGMENT + g % 4 / 2 * PAIR + g % 2 * 8 + 16 * t));
    if constexpr (F::Scales::SUM != 0)
      sums = load(reinterpret_cast<const vec<float, SUMS>*>(a.sums + static_cast<int64_t>(segment) * a.scaleStride * 2 * SUMS + t % 2 * SUMS));
  }
};

// A row's sums of one or two blocks, and its total over them.
template <class F> struct RowSums {
  using S = typename F::Scales;
  static constexpr bool FOLDS = S::KIND == SUB_SCALES || S::KIND == SUB_MINIMUMS;

  // t goes on over blocks b = 0, 1 of a lane, with the steps that they have of their own.
  DEVICE_MEMBER static float go_on(float t, const S& s, int r, const float (&v)[2], const vec<float, UnitScales<F>::SUMS>& x) {
    if constexpr (!FOLDS) {
      UNROLL for (int b = 0; b < 2; b++) {
        t = fma(v[b], s.d[r][b], t);
        if constexpr (S::KIND == BLOCK_MINIMUMS) t = fma(x[b], s.m[r][b], t);
      }
    } else if constexpr (S::FOLD == 32) {
      UNROLL for (int b = 0; b < 2; b++) t = fma(v[b], unshift<F>(s.d[r]), t);
    } else {
      t = fma(v[0], unshift<F>(s.d[r]), t);
    }
    return t;
  }
};

// Rows g (r = 0) and g + 8 of the segment that the lane has a half of: the total, in odd lanes. low and high are operand C, of the
// first and the last 16 columns of blocks where sub-blocks are so short, else low alone.
template <class F> DEVICE float finish_row(const typename F::Scales& s, int r, const int (&low)[4], [[maybe_unused]] const int (&high)[4],
                                           const vec<float, UnitScales<F>::SUMS>& x) {
  using S = typename F::Scales;
  float v[2];
  if constexpr (!RowSums<F>::FOLDS) {
    const float start = from_bits(static_cast<uint32_t>(MAGIC<F::Weights::SHIFT>));
    UNROLL for (int b = 0; b < 2; b++) v[b] = sub(from_bits(static_cast<uint32_t>(low[2 * r + b])), start);
  } else {
    int fold[2];
    UNROLL for (int b = 0; b < 2; b++) {
      if constexpr (S::SUBS == 4) fold[b] = low[2 * r + b] * s.s[r][b];
      else fold[b] = low[2 * r + b] * s.s[r][2 * b] + high[2 * r + b] * s.s[r][2 * b + 1];
    }
    if constexpr (S::FOLD >= 64) fold[0] += fold[1];
    if constexpr (S::FOLD == 128) fold[0] += shuffle_xor(fold[0], 1);
    v[0] = to_float(fold[0]), v[1] = to_float(fold[1]);
  }
  float t = RowSums<F>::go_on(0, s, r, v, x);
  if constexpr (!RowSums<F>::FOLDS || S::FOLD < 128) t = RowSums<F>::go_on(shuffle_xor(t, 1), s, r, v, x);
  if constexpr (S::KIND == SUB_MINIMUMS) {
    float minimum = 0;
    UNROLL for (int j = 0; j < S::SUBS / 2; j++) minimum = fma(s.n[r][j], x[j], minimum);
    minimum = add(minimum, shuffle_xor(minimum, 1));
    t = fma(minimum, s.dmin[r], t);
  }
  return t;
}

// The products of blocks 4h to 4h + 3 of a unit.
template <class F, int h, int b> DEVICE void multiply_one(int (&low)[4], int (&high)[4], const typename F::Weights& w, const uint2& codes) {
  if constexpr (b < 4) {
    uint32_t a[4];
    w.template fragment<b>(a);
    constexpr int column = 4 * h + b;
    bool mine = lane() / 4 == column;
    const uint32_t code[2] = {mine ? codes.x : 0, mine ? codes.y : 0};
    if constexpr (RowSums<F>::FOLDS && F::Scales::SUBS == 8) {
      const uint32_t aLow[4] = {a[0], a[1], 0, 0}, aHigh[4] = {0, 0, a[2], a[3]};
      multiply_column(low, aLow, code, column), multiply_column(high, aHigh, code, column);
    } else {
      multiply_column(low, a, code, column);
    }
    multiply_one<F, h, b + 1>(low, high, w, codes);
  }
}

template <class F> DEVICE void gemv_one(const ProductArgs& a) {
  DYNAMIC_SHARED(float, totals);  // (segments, 16), and dx (segments)
  Target target = target_of(a, blockIdx.x);
  int tile = blockIdx.x - target.first, segments = segments_of(a.pairs), units = (segments + 1) / 2;
  const char* weights = target.weights + tile * tile_bytes<F>(a.pairs);
  typename F::Weights w[2];
  auto read = [&](int unit, int h) {
    int segment = 2 * unit + h;
    const char* cell = weights + static_cast<int64_t>(segment / F::CELL_SEGMENTS) * F::CELL_BYTES;
    w[h].template load<FromGlobal>(cell + F::Scales::BYTES + segment % F::CELL_SEGMENTS * F::Weights::SEGMENT_BYTES, pairs_of(a.pairs, segment), lane());
  };
  UnitScales<F> scales;
  int unit = warp();
  if (unit < units) read(unit, 0), read(unit, 1), scales.read(a, weights, unit);
  float* dx = totals + segments * TILE;
  for (int i = threadIdx.x; i < segments; i += GEMV_THREADS) dx[i] = load(a.dx + static_cast<int64_t>(i) * a.scaleStride);

  for (; unit < units; unit += GEMV_WARPS) {
    int later = unit + GEMV_WARPS;
    constexpr int start = RowSums<F>::FOLDS ? 0 : MAGIC<F::Weights::SHIFT>;
    int low[4] = {start, start, start, start}, high[4] = {0, 0, 0, 0};
    multiply_one<F, 0, 0>(low, high, w[0], scales.codes);
    if (later < units) read(later, 0);
    multiply_one<F, 1, 0>(low, high, w[1], scales.codes);
    if (later < units) read(later, 1);

    int t = lane() % 4, segment = 2 * unit + t / 2;
    scales.scales.take(t % 2 == 1);
    scales.scales.unpack();
    float t0 = finish_row<F>(scales.scales, 0, low, high, scales.sums), t1 = finish_row<F>(scales.scales, 1, low, high, scales.sums);
    if (t % 2 == 1 && segment < segments) {
      totals[segment * TILE + lane() / 4] = t0, totals[segment * TILE + lane() / 4 + 8] = t1;
    }
    if (later < units) scales.read(a, weights, later);  // here long before the weights
  }
  sync_block();
  int row = tile * TILE + threadIdx.x;
  if (threadIdx.x < TILE && row < target.rows) store(target.y + row, add_up<FromShared>(0, totals + threadIdx.x, TILE, dx, 1, segments));
}
