// From the blocks of a GGUF file to the layout of weights.cuh. kernels/quant draws the blocks.
#pragma once
#include "weights.cuh"

DEVICE uint32_t byte_at(const uint8_t* p) { return load(p); }
DEVICE uint32_t nibble_at(const uint8_t* p, int upper) { return load(p) >> (4 * upper) & 15; }
DEVICE uint32_t half_at(const uint8_t* p) { return byte_at(p) | byte_at(p + 1) << 8; }
DEVICE void put_byte(char* p, uint32_t v) { store(reinterpret_cast<uint8_t*>(p), static_cast<uint8_t>(v)); }
DEVICE void put_half(char* p, uint32_t v) { store(reinterpret_cast<uint16_t*>(p), static_cast<uint16_t>(v)); }

// A file's format: code(block, i) is element i as weights.cuh keeps it; scales writes those of row g + 8r in a cell, of which
// block b is blocks + b * BYTES, for b < count.

template <int at, int fives, bool hasMinimums, uint32_t flip> struct FileNibbles {  // Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL
  static constexpr int BYTES = at + 16, ELEMENTS = 32;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) {
    uint32_t q = nibble_at(block + at + i % 16, i / 16);
    if constexpr (fives != 0) q |= (byte_at(block + fives + i / 8) >> (i % 8) & 1) << 4;
    return q ^ flip;
  }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* blocks, int count) {
    for (int b = 0; b < 4; b++) {
      put_half(cell + 16 * g + 8 * r + 2 * b, b < count ? half_at(blocks + b * BYTES) : 0);
      if constexpr (hasMinimums) put_half(cell + 128 + 16 * g + 8 * r + 2 * b, b < count ? half_at(blocks + b * BYTES + 2) : 0);
    }
  }
};

struct FileQ8_0 {
  static constexpr int BYTES = 34, ELEMENTS = 32;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) { return byte_at(block + 2 + i); }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* blocks, int count) {
    for (int b = 0; b < 4; b++) put_half(cell + 16 * g + 8 * r + 2 * b, b < count ? half_at(blocks + b * BYTES) : 0);
  }
};

// Two bits of element i.
DEVICE uint32_t two_at(const uint8_t* q, int i) { return byte_at(q + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3; }

struct FileQ2_K {
  static constexpr int BYTES = 84, ELEMENTS = 256;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) { return two_at(block + 16, i); }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* block, int count) {
    put_half(cell + 8 * g + 4 * r, count ? half_at(block + 80) : 0), put_half(cell + 8 * g + 4 * r + 2, count ? half_at(block + 82) : 0);
    for (int j = 0; j < 16; j++) put_byte(cell + 64 + j / 8 * 128 + 16 * g + 8 * r + j % 8, count ? byte_at(block + j) : 0);
  }
};

struct FileQ3_K {
  static constexpr int BYTES = 110, ELEMENTS = 256;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) {
    return (two_at(block + 32, i) | (byte_at(block + i % 32) >> (i / 32) & 1) << 2) ^ 4;
  }
  // Bits 0..3, and 4 and 5, of scale j.
  DEVICE_MEMBER static uint32_t low(const uint8_t* block, int j) { return nibble_at(block + 96 + j % 8, j / 8); }
  DEVICE_MEMBER static uint32_t high(const uint8_t* block, int j) { return byte_at(block + 104 + j % 4) >> (j / 4 * 2) & 3; }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* block, int count) {
    put_half(cell + 4 * g + 2 * r, count ? half_at(block + 108) : 0);
    for (int j = 0; j < 16; j += 2) {
      uint32_t v = count ? low(block, j) | low(block, j + 1) << 4 : 0;
      put_byte(cell + 32 + j / 8 * 96 + 8 * g + 4 * r + j % 8 / 2, v);
    }
    for (int j = 0; j < 16; j += 4) {
      uint32_t v = 0;
      for (int k = 0; k < 4; k++) v |= (count ? high(block, j + k) : 0) << (2 * k);
      put_byte(cell + 96 + j / 8 * 96 + 4 * g + 2 * r + j % 8 / 4, v);
    }
  }
};

template <int at, int fives> struct FileSixBits {  // Q4_K, Q5_K
  static constexpr int BYTES = at + 128, ELEMENTS = 256;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) {
    uint32_t q = nibble_at(block + at + i / 64 * 32 + i % 32, i / 32 % 2);
    if constexpr (fives != 0) q |= (byte_at(block + fives + i % 32) >> (i / 32) & 1) << 4;
    return q;
  }
  DEVICE_MEMBER static uint32_t scale(const uint8_t* sm, int j) {
    return j < 4 ? byte_at(sm + j) & 63 : (byte_at(sm + j + 4) & 15) | byte_at(sm + j - 4) >> 6 << 4;
  }
  DEVICE_MEMBER static uint32_t minimum(const uint8_t* sm, int j) {
    return j < 4 ? byte_at(sm + j + 4) & 63 : byte_at(sm + j + 4) >> 4 | byte_at(sm + j) >> 6 << 4;
  }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* block, int count) {
    put_half(cell + 8 * g + 4 * r, count ? half_at(block) : 0), put_half(cell + 8 * g + 4 * r + 2, count ? half_at(block + 2) : 0);
    for (int j = 0; j < 8; j++) {
      char* to = cell + 64 + j / 4 * 128 + 16 * g + 4 * r + j % 4;
      put_byte(to, count ? scale(block + 4, j) : 0), put_byte(to + 8, count ? minimum(block + 4, j) : 0);
    }
  }
};

struct FileQ6_K {
  static constexpr int BYTES = 210, ELEMENTS = 256;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) {
    return (nibble_at(block + i / 128 * 64 + i % 64, i % 128 / 64) | two_at(block + 128, i) << 4) ^ 32;
  }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* block, int count) {
    put_half(cell + 4 * g + 2 * r, count ? half_at(block + 208) : 0);
    for (int j = 0; j < 16; j++) put_byte(cell + 32 + j / 8 * 128 + 16 * g + 8 * r + j % 8, count ? byte_at(block + 192 + j) : 0);
  }
};

struct FileIQ4_XS {
  static constexpr int BYTES = 136, ELEMENTS = 256;
  DEVICE_MEMBER static uint32_t code(const uint8_t* block, int i) { return nibble_at(block + 8 + i / 32 * 16 + i % 16, i % 32 / 16); }
  DEVICE_MEMBER static void scales(char* cell, int g, int r, const uint8_t* block, int count) {
    put_half(cell + 4 * g + 2 * r, count ? half_at(block) : 0);
    for (int j = 0; j < 8; j++) {
      uint32_t s = count ? (nibble_at(block + 4 + j / 2, j % 2) | (half_at(block + 2) >> (2 * j) & 3) << 4) - 32 : 0;
      put_byte(cell + 32 + j / 4 * 64 + 8 * g + 4 * r + j % 4, s);
    }
  }
};

template <class F> struct FileOf;
template <> struct FileOf<Q8_0> { using type = FileQ8_0; };
template <> struct FileOf<Q4_0> { using type = FileNibbles<2, 0, false, 8>; };
template <> struct FileOf<Q4_1> { using type = FileNibbles<4, 0, true, 0>; };
template <> struct FileOf<Q5_0> { using type = FileNibbles<6, 2, false, 16>; };
template <> struct FileOf<Q5_1> { using type = FileNibbles<8, 4, true, 0>; };
template <> struct FileOf<IQ4_NL> { using type = FileNibbles<2, 0, false, 0>; };
template <> struct FileOf<Q2_K> { using type = FileQ2_K; };
template <> struct FileOf<Q3_K> { using type = FileQ3_K; };
template <> struct FileOf<Q4_K> { using type = FileSixBits<16, 0>; };
template <> struct FileOf<Q5_K> { using type = FileSixBits<48, 16>; };
template <> struct FileOf<Q6_K> { using type = FileQ6_K; };
template <> struct FileOf<IQ4_XS> { using type = FileIQ4_XS; };

struct PackArgs {
  const uint8_t* raw;  // (rows, rowBytes)
  char* weights;       // of the tile of the first row
  int64_t rowBytes;
  int32_t rows, pairs;
};

// The elements of a segment as one lane wants them. Those of rows and blocks that there are not are zero.
template <class File> struct LaneCodes {
  const uint8_t* row[2];  // null: there is none
  int blocks, segment;
  DEVICE_MEMBER uint32_t operator()(int block, int k, int i) const {
    int element = segment * SEGMENT + 32 * block + 16 * (k / 2) + 4 * (lane() % 4) + i;
    const uint8_t* from = k % 2 ? row[1] : row[0];
    if (from == nullptr || element / File::ELEMENTS >= blocks) return 0;
    return File::code(from + element / File::ELEMENTS * File::BYTES, element % File::ELEMENTS);
  }
};

DEVICE void put_word(char* p, uint32_t v) { store(reinterpret_cast<uint32_t*>(p), v); }

template <class W, class Codes> DEVICE void pack_segment(char* to, const Codes& code, int pairs) {
  for (int word = 0; W::BYTES && word < 8 * pairs; word++) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) v |= code(word / 4, word % 4, i) << (8 * i);
    put_word(to + word / 4 * 512 + 16 * lane() + word % 4 * 4, v);
  }
  for (int word = 0; W::NIBBLES && word < 4 * pairs; word++) {
    uint32_t v = 0;
    for (int i = 0; i < 8; i++) {
      int b = i / 4;
      v |= (code(word / 4 * 2 + b, word % 4, i % 4) & 15) << (W::BOOK ? 4 * i : i % 4 * 8 + 4 * b);
    }
    put_word(to + word / 4 * W::NIBBLE_STRIDE + 16 * lane() + word % 4 * 4, v);
  }
  for (int b = 0; W::TWOS && b < 4; b++) {
    uint32_t v = 0;
    for (int i = 0; i < 16; i++) v |= (code(b, i / 4, i % 4) >> (W::NIBBLES ? 4 : 0) & 3) << (i % 4 * 8 + i / 4 * 2);
    put_word(to + W::TWOS_AT + 16 * lane() + 4 * b, v);
  }
  for (int p = 0; W::ONES && p < pairs; p++) {
    uint32_t v = 0;
    for (int i = 0; i < 32; i++) {
      int b = i / 16, k = i / 4 % 4;
      v |= (code(2 * p + b, k, i % 4) >> (W::NIBBLES ? 4 : 2) & 1) << (i % 4 * 8 + 2 * k + b);
    }
    put_word(to + (W::BY_PAIR ? W::NIBBLE_STRIDE * p + W::ONES_AT + 4 * lane() : W::ONES_AT + 8 * lane() + 4 * p), v);
  }
}

// One warp a cell; the grid is (cells, tiles).
template <class F> DEVICE void pack(const PackArgs& a) {
  using File = typename FileOf<F>::type;
  int tile = blockIdx.y + gridDim.y * blockIdx.z, cell = blockIdx.x, g = lane() / 4;
  if (tile * TILE >= a.rows) return;
  char* to = a.weights + tile * tile_bytes<F>(a.pairs) + static_cast<int64_t>(cell) * F::CELL_BYTES;
  int blocks = static_cast<int>(a.rowBytes / File::BYTES);
  auto row = [&](int r) -> const uint8_t* { return tile * TILE + r < a.rows ? a.raw + (tile * TILE + r) * a.rowBytes : nullptr; };
  if (lane() < TILE) {
    constexpr int each = F::CELL_SEGMENTS * SEGMENT / File::ELEMENTS;
    const uint8_t* from = row(lane());
    int count = from == nullptr ? 0 : min(each, blocks - cell * each);
    File::scales(to, lane() % 8, lane() / 8, count ? from + static_cast<int64_t>(cell) * each * File::BYTES : nullptr, count);
  }
  for (int h = 0; h < F::CELL_SEGMENTS; h++) {
    int segment = cell * F::CELL_SEGMENTS + h;
    LaneCodes<File> code{{row(g), row(g + 8)}, blocks, segment};
    pack_segment<typename F::Weights>(to + F::Scales::BYTES + h * F::Weights::SEGMENT_BYTES, code, F::RAGGED ? pairs_of(a.pairs, segment) : 2);
  }
}
