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
  DEVICE_MEMBER int columns(int) const { return 8; }
  DEVICE_MEMBER uint4 codes(int n, int p) const { return FromShared::get<uint4>(codes_ + (p * T::COLUMNS + 8 * n) * PAIR); }
  DEVICE_MEMBER float4 sums(int n, int c, int i) const { return FromShared::get<float4>(sums_ + (8 * n + c) * T::SUM_BYTES + 16 * i); }
};

// What a thread copies of every segment: pieces of 16 bytes of weights and codes, perhaps one of dx and two of sums. Offsets have 32 bits
// and are those of segment 0. Rows and columns that there are not are copies of the last ones; the pair that a last cell may lack is the
// next tile's, or behind the last tile the slack that pack.go leaves: its codes are zero.
template <class F, class T> struct Copies {
  static constexpr int PIECES = T::ROW_BYTES / 16, SCALE_PIECES = F::Scales::BYTES / 16;
  static constexpr int ROW_COPIES = (T::MW * PIECES + T::THREADS - 1) / T::THREADS, CODE_COPIES = T::COLUMNS * 8 / T::THREADS;
  static constexpr int SUM_PIECES = T::SUM_BYTES / 16, SUM_COPIES = (T::COLUMNS * SUM_PIECES + T::THREADS - 1) / T::THREADS;
  const ProductArgs& a;
  const char* weights;
  int row[ROW_COPIES], column;
  uint32_t code[CODE_COPIES];

  DEVICE_MEMBER Copies(const ProductArgs& args, const Target& target, int tile, int first) : a(args), column(first) {
    int64_t bytes = tile_bytes<F>(a.pairs);
    int lastTile = (target.rows + TILE - 1) / TILE - tile - 1;
    weights = target.weights + tile * bytes;
    UNROLL for (int i = 0; i < ROW_COPIES; i++) {
      int piece = threadIdx.x + i * T::THREADS;
      row[i] = min(piece / PIECES, lastTile) * static_cast<int>(bytes) + piece % PIECES * 16;
    }
    UNROLL for (int i = 0; i < CODE_COPIES; i++) {
      int n = min(column + code_column() + i * (T::THREADS / 8), a.columns - 1);
      code[i] = static_cast<uint32_t>(n) * static_cast<uint32_t>(a.stride) + code_part() * 16;
    }
  }

  // Eight threads copy one pair of two columns, which is 128 bytes of shared memory side by side; the next eight the other pair.
  DEVICE_MEMBER static int code_column() { return threadIdx.x / 16 * 2 + threadIdx.x / 4 % 2; }
  DEVICE_MEMBER static int code_part() { return threadIdx.x / 8 % 2 * 4 + threadIdx.x % 4; }

  DEVICE_MEMBER void start(char* stage, int segment) const {
    const char* cell = weights + segment / F::CELL_SEGMENTS * F::CELL_BYTES;
    int skip = segment % F::CELL_SEGMENTS * F::Weights::SEGMENT_BYTES, thread = threadIdx.x;
    UNROLL for (int i = 0; i < ROW_COPIES; i++) {
      int piece = thread + i * T::THREADS;
      if (piece < T::MW * PIECES) cp_async16(stage + piece * 16, cell + row[i] + (F::CELL_SEGMENTS > 1 && piece % PIECES >= SCALE_PIECES ? skip : 0));
    }
    int part = code_part();
    char* to = stage + T::CODES_AT + (part / 4 * T::COLUMNS + code_column()) * PAIR + part % 4 * 16;
    UNROLL for (int i = 0; i < CODE_COPIES; i++) cp_async16(to + i * (T::THREADS / 8) * PAIR, a.codes + (code[i] + segment * SEGMENT));
    int first = segment * a.scaleStride;
    if (thread < T::COLUMNS / 4) cp_async16(stage + T::DX_AT + thread * 16, a.dx + (first + min(column + thread * 4, (a.columns - 1) & -4)));
    if constexpr (SUM_PIECES != 0) {
      UNROLL for (int i = 0; i < SUM_COPIES; i++) {
        int piece = thread + i * T::THREADS, c = min(column + piece / SUM_PIECES, a.columns - 1);
        if (piece < T::COLUMNS * SUM_PIECES)
          cp_async16(stage + T::SUMS_AT + piece * 16, a.sums + ((first + c) * (T::SUM_BYTES / 4) + piece % SUM_PIECES * 4));
      }
    }
    cp_async_commit();
  }
};

// y of a warp goes on by one segment.
template <class F, class T> DEVICE void multiply_stage(float (&y)[8][4], const char* stage, int part) {
  int g = lane() / 4, t = lane() % 4, m = warp() / T::NW, column = warp() % T::NW * 64;
  const char* rows = stage + m * T::ROW_BYTES;
  typename F::Weights weights;
  typename F::Scales scales;
  weights.template load<FromShared>(rows + F::Scales::BYTES, 2, lane());
  scales.template load_cell<FromShared>(rows, g), scales.template load<FromShared>(rows, part, g);
  SharedCodes<T> codes{stage + T::CODES_AT + (column + g) * PAIR + 16 * t, stage + T::SUMS_AT + (column + 2 * t) * T::SUM_BYTES};
  scales.unpack();
  Fragments fragments(weights);
  UNROLL for (int n = 0; n < 8; n++) {
    float total[4];
    multiply_segment<F>(total, fragments, scales, codes, n);
    float2 dx = FromShared::get<float2>(stage + T::DX_AT + (column + 8 * n + 2 * t) * 4);
    UNROLL for (int i = 0; i < 4; i++) y[n][i] = fma(total[i], i % 2 ? dx.y : dx.x, y[n][i]);
  }
}

template <class F, class T> DEVICE void gemm(const ProductArgs& a) {
  DYNAMIC_SHARED(char, stages);
  int unit = blockIdx.x / a.columnBlocks, first = blockIdx.x % a.columnBlocks * T::COLUMNS;
  Target target = target_of(a, unit);
  int tile = (unit - target.first) * T::MW, segments = segments_of(a.pairs);
  Copies<F, T> copies(a, target, tile, first);

  float y[8][4];
  UNROLL for (int n = 0; n < 8; n++) y[n][0] = y[n][1] = y[n][2] = y[n][3] = 0;
  UNROLL for (int i = 0; i < T::STAGES - 1; i++) {
    if (i < segments) copies.start(stages + i * T::STAGE_BYTES, i);
    else cp_async_commit();
  }
  char *stage = stages, *end = stages + T::STAGES * T::STAGE_BYTES, *later = stages + (T::STAGES - 1) * T::STAGE_BYTES;
  for (int segment = 0; segment < segments; segment++) {
    cp_async_wait<T::STAGES - 2>();
    sync_block();  // all have the bytes of this segment, and none reads those of the last one any more
    if (segment + T::STAGES - 1 < segments) copies.start(later, segment + T::STAGES - 1);
    else cp_async_commit();
    multiply_stage<F, T>(y, stage, segment % F::CELL_SEGMENTS);
    later = stage;
    stage += T::STAGE_BYTES;
    if (stage == end) stage = stages;
  }

  int row = (tile + warp() / T::NW) * TILE + lane() / 4, column = first + warp() % T::NW * 64 + lane() % 4 * 2;
  UNROLL for (int n = 0; n < 8; n++) {
    UNROLL for (int i = 0; i < 4; i++) {
      int r = row + 8 * (i / 2), c = column + 8 * n + i % 2;
      if (r < target.rows && c < a.columns) store(target.y + static_cast<int64_t>(c) * target.rows + r, y[n][i]);
    }
  }
}
