// Products of a matrix with few columns, SPEC.md section 5: bound by the reading of weights.
//
// A block of threads takes a tile of 16 rows and COLUMNS columns. Its warps take turns with the tile's cells, with the next ones in
// registers; each total of a segment goes to shared memory, and then one thread for each row and column adds them up in order.
#pragma once
#include "products.cuh"

constexpr int GEMV_WARPS = 8, GEMV_THREADS = 32 * GEMV_WARPS;

// Codes and sums of a block's columns as they lie in global memory; the L1 cache keeps them for the multiprocessor's other tiles.
template <class F> struct GlobalCodes {
  const int8_t* firstCodes;  // of column g, place 16t
  const float* firstSums;    // of column 2t
  int stride, scaleStride, count;
  static constexpr int SUMS = F::Scales::SUM == 0 ? 1 : SEGMENT / (F::Scales::SUM == 0 ? 1 : F::Scales::SUM);  // of a column and segment

  DEVICE_MEMBER GlobalCodes(const ProductArgs& a, int column, int columns) : stride(a.stride), scaleStride(a.scaleStride), count(columns) {
    int g = lane() / 4, t = lane() % 4;
    firstCodes = a.codes + static_cast<int64_t>(column + g) * stride + 16 * t;
    firstSums = a.sums + (column + 2 * t) * SUMS;
  }
  DEVICE_MEMBER uint4 codes(int segment, int n, int p) const {
    if (8 * n + lane() / 4 >= count) return uint4{0, 0, 0, 0};
    return load(reinterpret_cast<const uint4*>(firstCodes + static_cast<int64_t>(8 * n) * stride + segment * SEGMENT + PAIR * p));
  }
  DEVICE_MEMBER float4 sums(int segment, int n, int c, int i) const {
    if (8 * n + lane() % 4 * 2 + c >= count) return float4{0, 0, 0, 0};
    return load(reinterpret_cast<const float4*>(firstSums + (static_cast<int64_t>(segment) * scaleStride + 8 * n + c) * SUMS + 4 * i));
  }
};

// Those of a segment and 8 columns, with the codes read already.
template <class F> struct AheadCodes {
  const GlobalCodes<F>& all;
  uint4 first, second;
  int segment;
  DEVICE_MEMBER int columns(int n) const { return min(8, all.count - 8 * n); }
  DEVICE_MEMBER uint4 codes(int, int p) const { return p ? second : first; }
  DEVICE_MEMBER float4 sums(int n, int c, int i) const { return all.sums(segment, n, c, i); }
};

// A segment in registers, with the codes of the first 8 columns.
template <class F> struct Stage {
  typename F::Weights weights;
  typename F::Scales scales;
  uint4 ahead[2];

  // before: the stage with the cell's segment before this one, if there is one.
  DEVICE_MEMBER void read(const ProductArgs& a, const char* tile, const GlobalCodes<F>& codes, int segment, const Stage* before) {
    int g = lane() / 4, part = segment % F::CELL_SEGMENTS;
    const char* cell = tile + static_cast<int64_t>(segment / F::CELL_SEGMENTS) * F::CELL_BYTES;
    weights.template load<FromGlobal>(cell + F::Scales::BYTES + part * F::Weights::SEGMENT_BYTES, F::RAGGED ? pairs_of(a.pairs, segment) : 2, lane());
    if (before == nullptr)
      scales.template load_cell<FromGlobal>(cell, g);
    else
      scales.share(before->scales);
    scales.template load<FromGlobal>(cell, part, g);
    ahead[0] = codes.codes(segment, 0, 0), ahead[1] = codes.codes(segment, 0, 1);
  }

  // totals is (columns, 16), of this segment.
  DEVICE_MEMBER void multiply(float* totals, const GlobalCodes<F>& codes, int segment, bool many) {
    int g = lane() / 4, t = lane() % 4;
    scales.unpack();
    Fragments fragments(weights);
    int n = 0;
    do {
      constexpr bool early = F::Scales::SUM == 0;  // else it costs registers that there are not
      uint4 next[2] = {};
      bool more = many && 8 * n + 8 < codes.count;
      if (early && more) next[0] = codes.codes(segment, n + 1, 0), next[1] = codes.codes(segment, n + 1, 1);
      float total[4];
      multiply_segment<F>(total, fragments, scales, AheadCodes<F>{codes, ahead[0], ahead[1], segment}, n);
      UNROLL for (int i = 0; i < 4; i++) {
        int c = 8 * n + 2 * t + i % 2;
        if (c < codes.count) totals[c * TILE + g + 8 * (i / 2)] = total[i];
      }
      if (!early && more) next[0] = codes.codes(segment, n + 1, 0), next[1] = codes.codes(segment, n + 1, 1);
      if (many) ahead[0] = next[0], ahead[1] = next[1];
      n++;
    } while (many && 8 * n < codes.count);
  }
};

// Each warp has DEPTH cells (with many columns: segments) in stages, which are read while others are multiplied.
template <class F, int COLUMNS, int DEPTH> DEVICE void gemv(const ProductArgs& a) {
  DYNAMIC_SHARED(float, totals);
  Target target = target_of(a, blockIdx.x);
  int tile = blockIdx.x - target.first, column = COLUMNS * blockIdx.y, columns = min(COLUMNS, a.columns - column);
  const char* weights = target.weights + tile * tile_bytes<F>(a.pairs);
  int segments = segments_of(a.pairs);
  GlobalCodes<F> codes(a, column, columns);

  constexpr int SHARE = (COLUMNS * TILE + GEMV_THREADS - 1) / GEMV_THREADS;
  float y[SHARE];
  UNROLL for (int i = 0; i < SHARE; i++) y[i] = 0;
  for (int first = 0; first < segments; first += a.chunk) {
    constexpr int EACH = COLUMNS > 8 ? 1 : F::CELL_SEGMENTS, STEP = EACH * GEMV_WARPS, STAGES = EACH * DEPTH;
    int end = min(first + a.chunk, segments), begin = first + warp() * EACH;
    Stage<F> stages[STAGES];
    UNROLL for (int i = 0; i < STAGES; i++) {
      int segment = begin + i / EACH * STEP + i % EACH;
      if (segment < end) stages[i].read(a, weights, codes, segment, i % EACH ? &stages[i - 1] : nullptr);
    }
    for (int next = begin; next < end; next += DEPTH * STEP) {
      UNROLL for (int i = 0; i < STAGES; i++) {
        int segment = next + i / EACH * STEP + i % EACH, later = segment + DEPTH * STEP;
        if (segment < end) stages[i].multiply(totals + (segment - first) * columns * TILE, codes, segment, COLUMNS > 8);
        if (later < end) stages[i].read(a, weights, codes, later, i % EACH ? &stages[i - 1] : nullptr);
      }
    }
    sync_block();
    UNROLL for (int i = 0; i < SHARE; i++) {
      int item = threadIdx.x + i * GEMV_THREADS;
      if (item < TILE * columns)
        y[i] = add_up<FromGlobal>(y[i], totals + item, columns * TILE, a.dx + static_cast<int64_t>(first) * a.scaleStride + column + item / TILE,
                                  a.scaleStride, end - first);
    }
    sync_block();
  }
  UNROLL for (int i = 0; i < SHARE; i++) {
    int item = threadIdx.x + i * GEMV_THREADS, row = tile * TILE + item % TILE;
    if (item < TILE * columns && row < target.rows) store(target.y + static_cast<int64_t>(column + item / TILE) * target.rows + row, y[i]);
  }
}
