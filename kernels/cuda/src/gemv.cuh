// Products of a matrix with few columns, SPEC.md section 5: bound by the reading of weights.
//
// A block of threads takes a tile of 16 rows and 8 NT columns. Its warps take turns with the tile's cells, several cells ahead in
// registers; each total of a segment goes to shared memory, and then one thread for each row and column adds them up in order.
#pragma once
#include "products.cuh"

constexpr int GEMV_WARPS = 8, GEMV_THREADS = 32 * GEMV_WARPS;

// Codes and sums of a segment as they lie in global memory; the L1 cache keeps them for the multiprocessor's other tiles.
template <class F> struct GlobalCodes {
  const ProductArgs& a;
  int segment, column, count;  // columns from `column` on

  DEVICE_MEMBER bool live(int n) const { return n == 0 || 8 * n < count; }
  DEVICE_MEMBER int columns(int n) const { return min(8, count - 8 * n); }
  DEVICE_MEMBER uint4 codes(int n, int p) const {
    int g = lane() / 4, t = lane() % 4;
    if (8 * n + g >= count) return uint4{0, 0, 0, 0};
    const int8_t* from = a.codes + static_cast<int64_t>(column + 8 * n + g) * a.stride + segment * SEGMENT + PAIR * p + 16 * t;
    return load(reinterpret_cast<const uint4*>(from));
  }
  DEVICE_MEMBER float2 sums(int n, int c, int i) const {
    int at = 8 * n + lane() % 4 * 2 + c;
    if (at >= count) return float2{0, 0};
    const float* from = a.sums + (static_cast<int64_t>(segment) * a.scaleStride + column + at) * (SEGMENT / F::Scales::SUM) + 2 * i;
    return load(reinterpret_cast<const float2*>(from));
  }
};

// The same for up to 8 columns, with codes that were read ahead.
template <class F> struct AheadCodes : GlobalCodes<F> {
  const uint4 (&ahead)[2];
  DEVICE_MEMBER AheadCodes(const GlobalCodes<F>& codes, const uint4 (&from)[2]) : GlobalCodes<F>(codes), ahead(from) {}
  DEVICE_MEMBER uint4 codes(int, int p) const { return ahead[p]; }
};

// A cell in registers.
template <class F, int NT> struct Stage {
  typename F::Weights weights[F::CELL_SEGMENTS];
  typename F::Scales scales[F::CELL_SEGMENTS];
  uint4 ahead[F::CELL_SEGMENTS][2];

  DEVICE_MEMBER void read(const ProductArgs& a, const char* tile, int column, int columns, int cell) {
    const char* at = tile + static_cast<int64_t>(cell) * F::CELL_BYTES;
    UNROLL for (int h = 0; h < F::CELL_SEGMENTS; h++) {
      int segment = cell * F::CELL_SEGMENTS + h, pairs = F::RAGGED ? pairs_of(a.pairs, segment) : 2;
      weights[h].template load<FromGlobal>(at + F::Scales::BYTES + h * F::Weights::SEGMENT_BYTES, pairs, lane());
      scales[h].template load<FromGlobal>(at, h, lane() / 4);
      if constexpr (NT == 1) {
        GlobalCodes<F> codes{a, segment, column, columns};
        UNROLL for (int p = 0; p < 2; p++) {
          if (p < pairs) ahead[h][p] = codes.codes(0, p);
        }
      }
    }
  }

  // totals is (segments, columns, 16), from this cell's first segment on.
  DEVICE_MEMBER void multiply(const ProductArgs& a, float* totals, int column, int columns, int cell) {
    int g = lane() / 4, t = lane() % 4;
    UNROLL for (int h = 0; h < F::CELL_SEGMENTS; h++) {
      float total[NT][4];
      int segment = cell * F::CELL_SEGMENTS + h, pairs = F::RAGGED ? pairs_of(a.pairs, segment) : 2;
      GlobalCodes<F> codes{a, segment, column, columns};
      if constexpr (NT == 1)
        multiply_segment<F, NT>(total, weights[h], scales[h], AheadCodes<F>(codes, ahead[h]), pairs);
      else
        multiply_segment<F, NT>(total, weights[h], scales[h], codes, pairs);
      UNROLL for (int n = 0; n < NT; n++) {
        UNROLL for (int i = 0; i < 4; i++) {
          int c = 8 * n + 2 * t + i % 2;
          if (c < columns) totals[(h * columns + c) * TILE + g + 8 * (i / 2)] = total[n][i];
        }
      }
    }
  }
};

// y of one row and column goes on over `segments` segments; totals and dx step by their strides.
DEVICE float add_up(float y, const float* totals, int totalStride, const float* dx, int dxStride, int segments, float unshifted) {
  constexpr int AHEAD = 8;
  for (int first = 0; first < segments; first += AHEAD) {
    float t[AHEAD], d[AHEAD];
    UNROLL for (int i = 0; i < AHEAD; i++) {
      if (first + i < segments) t[i] = totals[(first + i) * totalStride], d[i] = load(dx + static_cast<int64_t>(first + i) * dxStride);
    }
    UNROLL for (int i = 0; i < AHEAD; i++) {
      if (first + i < segments) y = fma(t[i], mul(d[i], unshifted), y);
    }
  }
  return y;
}

// DEPTH cells a warp are under way.
template <class F, int NT, int DEPTH> DEVICE void gemv(const ProductArgs& a) {
  DYNAMIC_SHARED(float, totals);
  Target target = target_of(a, blockIdx.x);
  int tile = blockIdx.x - target.first, column = 8 * NT * blockIdx.y, columns = min(8 * NT, a.columns - column);
  const char* weights = target.weights + tile * tile_bytes<F>(a.pairs);
  int cells = segments_of(a.pairs) / F::CELL_SEGMENTS, chunk = a.chunk / F::CELL_SEGMENTS;

  constexpr int SHARE = (8 * NT * TILE + GEMV_THREADS - 1) / GEMV_THREADS;
  float y[SHARE];
  UNROLL for (int i = 0; i < SHARE; i++) y[i] = 0;
  for (int first = 0; first < cells; first += chunk) {
    int end = min(first + chunk, cells);
    Stage<F, NT> stages[DEPTH];
    UNROLL for (int i = 0; i < DEPTH; i++) {
      int cell = first + warp() + i * GEMV_WARPS;
      if (cell < end) stages[i].read(a, weights, column, columns, cell);
    }
    for (int next = first + warp(); next < end; next += DEPTH * GEMV_WARPS) {
      UNROLL for (int i = 0; i < DEPTH; i++) {
        int cell = next + i * GEMV_WARPS, later = cell + DEPTH * GEMV_WARPS;
        if (cell < end) stages[i].multiply(a, totals + (cell - first) * F::CELL_SEGMENTS * columns * TILE, column, columns, cell);
        if (later < end) stages[i].read(a, weights, column, columns, later);
      }
    }
    sync_block();
    UNROLL for (int i = 0; i < SHARE; i++) {
      int item = threadIdx.x + i * GEMV_THREADS, segment = first * F::CELL_SEGMENTS;
      if (item < TILE * columns)
        y[i] = add_up(y[i], totals + item, columns * TILE, a.dx + static_cast<int64_t>(segment) * a.scaleStride + column + item / TILE,
                      a.scaleStride, (end - first) * F::CELL_SEGMENTS, unshift<F>(1.0f));
    }
    sync_block();
  }
  UNROLL for (int i = 0; i < SHARE; i++) {
    int item = threadIdx.x + i * GEMV_THREADS, row = tile * TILE + item % TILE;
    if (item < TILE * columns && row < target.rows) store(target.y + static_cast<int64_t>(column + item / TILE) * target.rows + row, y[i]);
  }
}
