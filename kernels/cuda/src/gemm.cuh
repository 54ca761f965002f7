// Products of a matrix with many columns, SPEC.md section 5: bound by arithmetic.
//
// A block of threads takes 16 MW rows and 64 NW columns, a warp 16 rows and 64 columns, whose totals and sums stay in
// registers. Weights as they lie in memory, codes, scales and sums of STAGES - 1 segments ahead come to shared memory with
// cp.async; every load from there is 16 bytes a lane, a quarter of a warp side by side.
#pragma once
#include "products.cuh"

template <class F, int mw, int nw> struct Tiles {
  static constexpr int MW = mw, NW = nw, THREADS = 32 * MW * NW, COLUMNS = 64 * NW, STAGES = 3;
  static constexpr int ROW_BYTES = F::Scales::BYTES + F::Weights::SEGMENT_BYTES;  // of a tile of 16 rows
  static constexpr int SUM_BYTES = F::Scales::SUM == 0 ? 0 : 4 * SEGMENT / (F::Scales::SUM == 0 ? 1 : F::Scales::SUM);  // of a column
  static constexpr int CODES_AT = MW * ROW_BYTES, DX_AT = CODES_AT + COLUMNS * SEGMENT, SUMS_AT = DX_AT + COLUMNS * 4;
  static constexpr int STAGE_BYTES = SUMS_AT + COLUMNS * SUM_BYTES;
};

// Codes and sums of a warp in a stage; codes are (2 pairs, columns, 64 bytes).
template <class T> struct SharedCodes {
  const char *codes_, *sums_;  // of column g at place 16t, of column 2t
  DEVICE_MEMBER bool live(int) const { return true; }
  DEVICE_MEMBER int columns(int) const { return 8; }
  DEVICE_MEMBER uint4 codes(int n, int p) const { return FromShared::get<uint4>(codes_ + (p * T::COLUMNS + 8 * n) * PAIR); }
  DEVICE_MEMBER float2 sums(int n, int c, int i) const { return FromShared::get<float2>(sums_ + (8 * n + c) * T::SUM_BYTES + 8 * i); }
};

// Where a block of threads works.
struct Place {
  const char* weights;  // of its first tile
  int tiles, column;    // tiles from there on; its first column
};

template <class F, class T> DEVICE void copy_stage(const ProductArgs& a, const Place& at, char* stage, int segment) {
  constexpr int PIECES = T::ROW_BYTES / 16, SCALE_PIECES = F::Scales::BYTES / 16;
  int64_t tile = tile_bytes<F>(a.pairs);
  int pairs = F::RAGGED ? pairs_of(a.pairs, segment) : 2;
  int pieces = SCALE_PIECES + pairs * (F::Weights::PAIR_BYTES / 16);
  const char* cell = at.weights + static_cast<int64_t>(segment / F::CELL_SEGMENTS) * F::CELL_BYTES;
  int skip = segment % F::CELL_SEGMENTS * F::Weights::SEGMENT_BYTES;
  for (int i = threadIdx.x; i < T::MW * PIECES; i += T::THREADS) {
    int m = i / PIECES, piece = i % PIECES;
    if (m < at.tiles && piece < pieces) cp_async16(stage + i * 16, cell + m * tile + piece * 16 + (piece < SCALE_PIECES ? 0 : skip));
  }
  for (int i = threadIdx.x; i < T::COLUMNS * 8; i += T::THREADS) {
    int n = i / 8, part = i % 8;
    if (at.column + n < a.columns)
      cp_async16(stage + T::CODES_AT + (part / 4 * T::COLUMNS + n) * PAIR + part % 4 * 16,
                 a.codes + static_cast<int64_t>(at.column + n) * a.stride + segment * SEGMENT + part * 16);
  }
  int64_t first = static_cast<int64_t>(segment) * a.scaleStride + at.column;
  for (int i = threadIdx.x; i < T::COLUMNS / 4; i += T::THREADS) {
    if (at.column + 4 * i < a.columns) cp_async16(stage + T::DX_AT + i * 16, a.dx + first + 4 * i);
  }
  if constexpr (T::SUM_BYTES != 0) {
    for (int i = threadIdx.x; i < T::COLUMNS * T::SUM_BYTES / 16; i += T::THREADS) {
      if (at.column + i * 16 / T::SUM_BYTES < a.columns)
        cp_async16(stage + T::SUMS_AT + i * 16, reinterpret_cast<const char*>(a.sums) + first * T::SUM_BYTES + i * 16);
    }
  }
  cp_async_commit();
}

// y of a warp goes on by one segment.
template <class F, class T> DEVICE void multiply_stage(float (&y)[8][4], const char* stage, int segment, int pairs) {
  int g = lane() / 4, t = lane() % 4, m = warp() / T::NW, column = warp() % T::NW * 64;
  const char* rows = stage + m * T::ROW_BYTES;
  typename F::Weights weights;
  typename F::Scales scales;
  weights.template load<FromShared>(rows + F::Scales::BYTES, pairs, lane());
  scales.template load<FromShared>(rows, segment % F::CELL_SEGMENTS, g);
  SharedCodes<T> codes{stage + T::CODES_AT + (column + g) * PAIR + 16 * t, stage + T::SUMS_AT + (column + 2 * t) * T::SUM_BYTES};
  float total[8][4];
  multiply_segment<F, 8>(total, weights, scales, codes, pairs);
  UNROLL for (int n = 0; n < 8; n++) {
    float2 dx = FromShared::get<float2>(stage + T::DX_AT + (column + 8 * n + 2 * t) * 4);
    dx.x = unshift<F>(dx.x), dx.y = unshift<F>(dx.y);
    UNROLL for (int i = 0; i < 4; i++) y[n][i] = fma(total[n][i], i % 2 ? dx.y : dx.x, y[n][i]);
  }
}

template <class F, class T> DEVICE void gemm(const ProductArgs& a) {
  DYNAMIC_SHARED(char, stages);
  int unit = blockIdx.x / a.columnBlocks;
  Target target = target_of(a, unit);
  int tile = (unit - target.first) * T::MW, segments = segments_of(a.pairs);
  Place at{target.weights + tile * tile_bytes<F>(a.pairs), (target.rows + TILE - 1) / TILE - tile, (blockIdx.x % a.columnBlocks) * T::COLUMNS};

  float y[8][4];
  UNROLL for (int n = 0; n < 8; n++) y[n][0] = y[n][1] = y[n][2] = y[n][3] = 0;
  UNROLL for (int i = 0; i < T::STAGES - 1; i++) {
    if (i < segments) copy_stage<F, T>(a, at, stages + i * T::STAGE_BYTES, i);
    else cp_async_commit();
  }
  int stage = 0;
  for (int segment = 0; segment < segments; segment++) {
    cp_async_wait<T::STAGES - 2>();
    sync_block();  // all have the bytes of this segment, and none reads those of the last one any more
    int later = segment + T::STAGES - 1, place = stage == 0 ? T::STAGES - 1 : stage - 1;
    if (later < segments) copy_stage<F, T>(a, at, stages + place * T::STAGE_BYTES, later);
    else cp_async_commit();
    multiply_stage<F, T>(y, stages + stage * T::STAGE_BYTES, segment, F::RAGGED ? pairs_of(a.pairs, segment) : 2);
    stage = stage == T::STAGES - 1 ? 0 : stage + 1;
  }

  int row = (tile + warp() / T::NW) * TILE + lane() / 4, column = at.column + warp() % T::NW * 64 + lane() % 4 * 2;
  UNROLL for (int n = 0; n < 8; n++) {
    UNROLL for (int i = 0; i < 4; i++) {
      int r = row + 8 * (i / 2), c = column + 8 * n + i % 2;
      if (r < target.rows && c < a.columns) store(target.y + static_cast<int64_t>(c) * target.rows + r, y[n][i]);
    }
  }
}
