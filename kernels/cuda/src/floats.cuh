// F32, F16 and BF16 weights: SPEC.md sections 3, 5 and 9.
//
// A matrix is cut into tiles of 32 rows, a tile into groups of 16 bytes of columns; a group of a tile is 32 times 16 bytes, row by
// row, so that a warp's lanes are rows and each load is 512 bytes side by side. Columns and rows beyond the end are zero. A matrix of
// one row lies as it is (a tile of one row): norms and biases are read so by others.
#pragma once
#include "products.cuh"

constexpr int FLOAT_WARPS = 8, FLOAT_THREADS = 32 * FLOAT_WARPS, FLOAT_TILE = 32;

// The elements of a word or half of one, in order.
struct F32 {
  static constexpr int GROUP = 4;
  DEVICE_MEMBER static float value(const uint32_t (&w)[4], int i) { return from_bits(w[i]); }
};
struct F16 {
  static constexpr int GROUP = 8;
  DEVICE_MEMBER static float value(const uint32_t (&w)[4], int i) { return half_to_float(static_cast<uint16_t>(w[i / 2] >> (16 * (i % 2)))); }
};
struct BF16 {
  static constexpr int GROUP = 8;
  DEVICE_MEMBER static float value(const uint32_t (&w)[4], int i) { return from_bits(i % 2 ? w[i / 2] & 0xFFFF0000 : w[i / 2] << 16); }
};

struct FloatArgs {
  const float* x;  // (columns, cols)
  Target target[TARGETS];
  int32_t columns, cols, groups;
  int32_t tileRows;  // 32, or 1 for matrices of one row
  int32_t chunk;     // segments whose totals are kept at once
  int32_t unused;
};

// Elements i to i + 4 of a column of x; what lies beyond its end is 0.
DEVICE void read_x(float* to, const float* x, int i, int cols) {
  if (cols % 4 == 0) {
    float4 v = i < cols ? load(reinterpret_cast<const float4*>(x + i)) : float4{0, 0, 0, 0};
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  } else {
    UNROLL for (int k = 0; k < 4; k++) to[k] = i + k < cols ? load(x + i + k) : 0.0f;
  }
}

// The totals of one segment for the lane's row. Groups come AHEAD at a time, so that as many loads are under way.
template <class T, int COLUMNS> DEVICE void float_segment(float (&t)[COLUMNS], const FloatArgs& a, const char* row, int column, int columns, int segment) {
  constexpr int AHEAD = 4, GROUPS = SEGMENT / T::GROUP;
  UNROLL for (int c = 0; c < COLUMNS; c++) t[c] = 0;
  int first = segment * GROUPS, end = min(first + GROUPS, a.groups);
  for (int group = first; group < end; group += AHEAD) {
    uint4 words[AHEAD];
    UNROLL for (int k = 0; k < AHEAD; k++) {
      words[k] = uint4{0, 0, 0, 0};
      if (group + k < end && row != nullptr) words[k] = load_nc(reinterpret_cast<const uint4*>(row + static_cast<int64_t>(group + k) * a.tileRows * 16));
    }
    UNROLL for (int k = 0; k < AHEAD; k++) {
      if (group + k >= end) break;
      const uint32_t w[4] = {words[k].x, words[k].y, words[k].z, words[k].w};
      UNROLL for (int c = 0; c < COLUMNS; c++) {
        if (c >= columns) break;
        float x[T::GROUP];
        int i = (group + k) * T::GROUP;
        UNROLL for (int part = 0; part < T::GROUP; part += 4) read_x(x + part, a.x + static_cast<int64_t>(column + c) * a.cols, i + part, a.cols);
        // Beyond the end both are zero, which changes no total but the sign of a zero, and that no y: +0 plus either is +0.
        UNROLL for (int e = 0; e < T::GROUP; e++) t[c] = fma(T::value(w, e), x[e], t[c]);
      }
    }
  }
}

// A block of threads takes a tile and COLUMNS columns. Its warps take turns with the segments; each total goes to shared memory,
// and then one thread for each row and column adds them up in order.
template <class T, int COLUMNS> DEVICE void float_products(const FloatArgs& a, Target target) {
  DYNAMIC_SHARED(float, totals);
  int tile = blockIdx.x - target.first, column = COLUMNS * blockIdx.y, columns = min(COLUMNS, a.columns - column);
  int segments = (a.groups * T::GROUP + SEGMENT - 1) / SEGMENT;
  const char* row = lane() < a.tileRows ? target.weights + (static_cast<int64_t>(tile) * a.groups * a.tileRows + lane()) * 16 : nullptr;
  float y = 0;
  int item = threadIdx.x, c = item / FLOAT_TILE, r = tile * FLOAT_TILE + item % FLOAT_TILE;
  for (int first = 0; first < segments; first += a.chunk) {
    int end = min(first + a.chunk, segments);
    for (int segment = first + warp(); segment < end; segment += FLOAT_WARPS) {
      float t[COLUMNS];
      float_segment<T, COLUMNS>(t, a, row, column, columns, segment);
      UNROLL for (int k = 0; k < COLUMNS; k++) {
        if (k < columns) totals[((segment - first) * columns + k) * FLOAT_TILE + lane()] = t[k];
      }
    }
    sync_block();
    if (c < columns) {
      for (int s = 0; s < end - first; s++) y = add(y, totals[s * columns * FLOAT_TILE + item]);
    }
    sync_block();
  }
  if (c < columns && r < target.rows) store(target.y + static_cast<int64_t>(column + c) * target.rows + r, y);
}

struct PackFloatsArgs {
  const uint8_t* raw;  // (rows, rowBytes)
  char* weights;       // of the tile of the first row
  int64_t rowBytes;
  int32_t rows, groups, tileRows, unused;
};

// A thread for each 16 bytes: the grid is (groups / 8, tiles), a block of threads 8 groups of 32 rows.
DEVICE void pack_tiles(const PackFloatsArgs& a) {
  int tile = blockIdx.y + gridDim.y * blockIdx.z, r = threadIdx.x % 32, row = tile * a.tileRows + r, group = blockIdx.x * 8 + threadIdx.x / 32;
  if (tile * a.tileRows >= a.rows || r >= a.tileRows || group >= a.groups) return;
  uint32_t words[4] = {0, 0, 0, 0};
  UNROLL for (int i = 0; i < 8; i++) {
    int64_t at = static_cast<int64_t>(group) * 16 + 2 * i;
    if (row < a.rows && at < a.rowBytes)
      words[i / 2] |= static_cast<uint32_t>(load(reinterpret_cast<const uint16_t*>(a.raw + row * a.rowBytes + at))) << (16 * (i % 2));
  }
  int64_t place = (static_cast<int64_t>(tile) * a.groups + group) * a.tileRows + r;
  store(reinterpret_cast<uint4*>(a.weights + place * 16), uint4{words[0], words[1], words[2], words[3]});
}

struct EmbedFloatsArgs {
  const char* weights;
  const int32_t* tokens;
  float* dst;
  int32_t cols, groups, tileRows, unused;
};

template <class T> DEVICE void embed_floats(const EmbedFloatsArgs& a) {
  int token = load(a.tokens + blockIdx.x);
  for (int group = threadIdx.x; group < a.groups; group += blockDim.x) {
    int64_t place = (static_cast<int64_t>(token / a.tileRows) * a.groups + group) * a.tileRows + token % a.tileRows;
    uint4 words = load_nc(reinterpret_cast<const uint4*>(a.weights + place * 16));
    const uint32_t w[4] = {words.x, words.y, words.z, words.w};
    UNROLL for (int i = 0; i < T::GROUP; i++) {
      int column = group * T::GROUP + i;
      if (column < a.cols) store(a.dst + static_cast<int64_t>(blockIdx.x) * a.cols + column, T::value(w, i));
    }
  }
}

#define FLOAT_KERNELS(Type, name)                                                                                             \
  KERNEL_BOUNDS(embed_##name, EmbedFloatsArgs, 128, 4) { embed_floats<Type>(a); }                                             \
  KERNEL_BOUNDS(products_##name##_1, FloatArgs, FLOAT_THREADS, 3) { float_products<Type, 1>(a, target_of(a, blockIdx.x)); }   \
  KERNEL_BOUNDS(products_##name##_8, FloatArgs, FLOAT_THREADS, 2) { float_products<Type, 8>(a, target_of(a, blockIdx.x)); }
