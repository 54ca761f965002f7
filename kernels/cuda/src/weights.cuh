// The device layout of block-quantised weights. SPEC.md sections 3 and 5; DESIGN.md draws it.
//
// A matrix is cut into tiles of 16 rows, a tile into cells of 128 columns (superblocks: 256), cells of a tile one after the
// other. A cell holds the scales of its 16 rows, then for each segment the weights in the order in which the lanes of a warp
// want them as operand A of mma_s8: with g = lane / 4, t = lane % 4, register k (0..3) and byte i (0..3) of block b of the
// segment belong to row g + 8 (k % 2), column 32 b + 16 (k / 2) + 4 t + i of the segment. Each load of a warp is 32 times 16
// (8, 4) bytes side by side. The planes of a lane, by the width of weights in bits:
//
//	bytes    8        16 words: word 4b + k is register k of block b
//	nibbles  4, 5, 6   8 words: word 4p + k has register k of block 2p in its lower nibbles, of block 2p + 1 in its upper ones
//	                            (codebooks: in its lower and upper half, nibble i for byte i)
//	twos     2, 3, 6   4 words: byte i of word b has byte i of register k in bits 2k, 2k + 1
//	ones     3, 5      2 words: bit 8i + 2k + b of word p is for byte i of register k of block 2p + b
//
// Signed weights are kept as two's complement, and become bytes with their sign in bit 7, which multiplies them by 2^SHIFT; the sums
// are divided by it, which is exact. Blocks of 32 elements keep the planes of each pair of blocks together, so that a last
// cell of 64 columns ends after its first pair.
#pragma once
#include "device.cuh"

constexpr int TILE = 16, SEGMENT = 128, PAIR = 64;

// Where words of weights come from.
struct FromGlobal {
  template <class T> DEVICE_MEMBER static T get(const char* p) { return load_nc(reinterpret_cast<const T*>(p)); }
};
struct FromShared {
  template <class T> DEVICE_MEMBER static T get(const char* p) { return *reinterpret_cast<const T*>(p); }
};

DEVICE void put(uint32_t* to, const uint4& v) { to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w; }

// The bits of v that begin at bit `from` of each byte, moved to bit `to`; mask is in place.
template <int from, int to> DEVICE uint32_t move_bits(uint32_t v, uint32_t mask) {
  if constexpr (from > to)
    return v >> (from - to) & mask;
  else
    return v << (to - from) & mask;
}

// The bytes of the codebook for the four nibbles in half `half` of v.
template <int half> DEVICE uint32_t look_up(uint32_t v) {
  uint32_t place = (v & 0x77777777) >> (16 * half), table = ((v >> 1 & 0x44444444) | 0x32103210) >> (16 * half);
  return byte_permute(byte_permute(0xBFAD9881, 0xF6EADDCF, place), byte_permute(0x26190D01, 0x71594535, place), table);
}

// What one lane holds of a segment of 16 rows.
template <int width, bool isSigned, bool byPair, bool isBook = false> struct Weights {
  static constexpr int WIDTH = width, SHIFT = isSigned ? 8 - width : 0;
  static constexpr bool BYTES = width == 8, NIBBLES = width >= 4 && width <= 6, TWOS = width == 6 || width <= 3;
  static constexpr bool ONES = width == 5 || width == 3, BY_PAIR = byPair, BOOK = isBook;
  static constexpr int PAIR_BYTES = TILE * PAIR * width / 8, SEGMENT_BYTES = 2 * PAIR_BYTES;
  // Where the planes of a segment begin.
  static constexpr int NIBBLE_STRIDE = byPair ? PAIR_BYTES : 512, TWOS_AT = NIBBLES ? 1024 : 0;
  static constexpr int ONES_AT = byPair ? 512 : NIBBLES ? 1024 : 512;

  uint32_t byte[BYTES ? 16 : 1], nibble[NIBBLES ? 8 : 1], two[TWOS ? 4 : 1], one[ONES ? 2 : 1];

  // What lane `lane` holds of the first `pairs` pairs of blocks; the others are zero.
  template <class From> DEVICE_MEMBER void load(const char* segment, int pairs, int lane) {
    constexpr uint4 zero{0, 0, 0, 0};
    UNROLL for (int p = 0; p < 2; p++) {
      bool here = p < pairs;
      if constexpr (BYTES) {
        put(byte + 8 * p, here ? From::template get<uint4>(segment + 1024 * p + 16 * lane) : zero);
        put(byte + 8 * p + 4, here ? From::template get<uint4>(segment + 1024 * p + 512 + 16 * lane) : zero);
      }
      if constexpr (NIBBLES) put(nibble + 4 * p, here ? From::template get<uint4>(segment + NIBBLE_STRIDE * p + 16 * lane) : zero);
      if constexpr (ONES && BY_PAIR) one[p] = here ? From::template get<uint32_t>(segment + NIBBLE_STRIDE * p + ONES_AT + 4 * lane) : 0;
    }
    if constexpr (TWOS) put(two, From::template get<uint4>(segment + TWOS_AT + 16 * lane));
    if constexpr (ONES && !BY_PAIR) {
      uint2 v = From::template get<uint2>(segment + ONES_AT + 8 * lane);
      one[0] = v.x, one[1] = v.y;
    }
  }

  // Operand A of block `block`.
  template <int block> DEVICE_MEMBER void fragment(uint32_t (&a)[4]) const {
    a[0] = reg<block, 0>(), a[1] = reg<block, 1>(), a[2] = reg<block, 2>(), a[3] = reg<block, 3>();
  }

  template <int block, int k> DEVICE_MEMBER uint32_t reg() const {
    constexpr int p = block / 2, b = block % 2;
    if constexpr (BYTES) return byte[4 * block + k];
    if constexpr (BOOK) return look_up<b>(nibble[4 * p + k]);
    uint32_t v = 0;
    if constexpr (NIBBLES) v = move_bits<4 * b, SHIFT>(nibble[4 * p + k], 0x0F0F0F0Fu << SHIFT);
    constexpr int at = SHIFT + (NIBBLES ? 4 : 0);
    if constexpr (TWOS) v |= move_bits<2 * k, at>(two[block], 0x03030303u << at);
    if constexpr (ONES) v |= move_bits<2 * k + b, SHIFT + WIDTH - 1>(one[p], 0x01010101u << (SHIFT + WIDTH - 1));
    return v;
  }
};

DEVICE float low_scale(uint32_t w) { return half_to_float(static_cast<uint16_t>(w)); }
DEVICE float high_scale(uint32_t w) { return half_to_float(static_cast<uint16_t>(w >> 16)); }
DEVICE int signed_byte(uint32_t w, int i) { return static_cast<int8_t>(w >> (8 * i)); }
DEVICE int byte_of(uint32_t w, int i) { return static_cast<int>(w >> (8 * i) & 255); }

// Weight (row g + 8r, column `column`) of a segment in global memory.
template <class W> DEVICE int weight_at(const char* segment, int g, int r, int column) {
  int block = column / 32, p = block / 2, b = block % 2, k = column / 16 % 2 * 2 + r, lane = 4 * g + column / 4 % 4, i = column % 4;
  auto bits_at = [&](int byte, int shift, int mask) { return load(reinterpret_cast<const uint8_t*>(segment + byte)) >> shift & mask; };
  if constexpr (W::BYTES) return static_cast<int8_t>(bits_at(512 * block + 16 * lane + 4 * k + i, 0, 255));
  int v = 0;
  if constexpr (W::NIBBLES) {
    int word = W::NIBBLE_STRIDE * p + 16 * lane + 4 * k;
    v = W::BOOK ? bits_at(word + 2 * b + i / 2, i % 2 * 4, 15) : bits_at(word + i, 4 * b, 15);
    if constexpr (W::BOOK) return signed_byte(look_up<0>(v), 0);
  }
  if constexpr (W::TWOS) v |= bits_at(W::TWOS_AT + 16 * lane + 4 * block + i, 2 * k, 3) << (W::NIBBLES ? 4 : 0);
  if constexpr (W::ONES) {
    int word = W::BY_PAIR ? W::NIBBLE_STRIDE * p + W::ONES_AT + 4 * lane : W::ONES_AT + 8 * lane + 4 * p;
    v |= bits_at(word + i, 2 * k + b, 1) << (W::WIDTH - 1);
  }
  return W::SHIFT != 0 ? static_cast<int8_t>(v << W::SHIFT) >> W::SHIFT : v;
}

// What multiplies the sums of a segment.
enum Kind {
  BLOCK_SCALES,    // d[r][b] each block
  BLOCK_MINIMUMS,  // d[r][b] and m[r][b]
  SUB_SCALES,      // s[r][j] each sub-block, d[r] each fold
  SUB_MINIMUMS,    // and n[r][j] each sub-block, dmin[r] each segment
};

DEVICE void unpack_scales(float (&d)[2][4], const uint4& v) {
  d[0][0] = low_scale(v.x), d[0][1] = high_scale(v.x), d[0][2] = low_scale(v.y), d[0][3] = high_scale(v.y);
  d[1][0] = low_scale(v.z), d[1][1] = high_scale(v.z), d[1][2] = low_scale(v.w), d[1][3] = high_scale(v.w);
}

// The scales of a cell as rows g (r = 0) and g + 8 (r = 1) of a lane need them. load reads a lane's part for one segment of
// the cell, unpack makes numbers of it. A lane that has another segment of the cell shares what the cell has once: share
// instead of load_cell. After take(true) those of blocks 2 and 3 are in the places of blocks 0 and 1. In the drawings everything is repeated for g = 0..7; f16 numbers, then bytes.

// | d[0][0..3] d[1][0..3] |
struct BlockScales {
  static constexpr Kind KIND = BLOCK_SCALES;
  static constexpr int BYTES = 128, SEGMENTS = 1, SUM = 0, SUBS = 0, FOLD = 32;
  uint4 raw;
  float d[2][4];
  template <class From> DEVICE_MEMBER void load_cell(const char*, int) {}
  DEVICE_MEMBER void share(const BlockScales&) {}
  template <class From> DEVICE_MEMBER void load(const char* cell, int, int g) { raw = From::template get<uint4>(cell + 16 * g); }
  DEVICE_MEMBER void take(bool upper) { if (upper) raw.x = raw.y, raw.z = raw.w; }
  DEVICE_MEMBER void unpack() { unpack_scales(d, raw); }
};

// | d as above | m likewise |
struct MinimumScales {
  static constexpr Kind KIND = BLOCK_MINIMUMS;
  static constexpr int BYTES = 256, SEGMENTS = 1, SUM = 32, SUBS = 0, FOLD = 32;
  uint4 raw, rawM;
  float d[2][4], m[2][4];
  template <class From> DEVICE_MEMBER void load_cell(const char*, int) {}
  DEVICE_MEMBER void share(const MinimumScales&) {}
  template <class From> DEVICE_MEMBER void load(const char* cell, int, int g) {
    raw = From::template get<uint4>(cell + 16 * g), rawM = From::template get<uint4>(cell + 128 + 16 * g);
  }
  DEVICE_MEMBER void take(bool upper) { if (upper) raw.x = raw.y, raw.z = raw.w, rawM.x = rawM.y, rawM.z = rawM.w; }
  DEVICE_MEMBER void unpack() { unpack_scales(d, raw), unpack_scales(m, rawM); }
};

// | d[0] d[1] | segment 0: s[0][0..3] s[1][0..3] | segment 1 |: a fold is a sub-block, and s · d is exact in f32, so that it is
// the scale of a block.
struct Iq4XsScales {
  static constexpr Kind KIND = BLOCK_SCALES;
  static constexpr int BYTES = 160, SEGMENTS = 2, SUM = 0, SUBS = 1, FOLD = 32;
  uint32_t rawD;
  uint2 rawS;
  float d[2][4];
  template <class From> DEVICE_MEMBER void load_cell(const char* cell, int g) { rawD = From::template get<uint32_t>(cell + 4 * g); }
  DEVICE_MEMBER void share(const Iq4XsScales& other) { rawD = other.rawD; }
  template <class From> DEVICE_MEMBER void load(const char* cell, int segment, int g) {
    rawS = From::template get<uint2>(cell + 32 + 64 * segment + 8 * g);
  }
  DEVICE_MEMBER float super_scale(int r) const { return r ? high_scale(rawD) : low_scale(rawD); }
  DEVICE_MEMBER int sub_scale(int r, int b) const { return signed_byte(r ? rawS.y : rawS.x, b); }
  DEVICE_MEMBER void take(bool upper) { if (upper) rawS.x >>= 16, rawS.y >>= 16; }
  DEVICE_MEMBER void unpack() {
    UNROLL for (int r = 0; r < 2; r++) {
      UNROLL for (int b = 0; b < 4; b++) d[r][b] = mul(to_float(sub_scale(r, b)), super_scale(r));
    }
  }
};

// | d[0] dmin[0] d[1] dmin[1] | segment 0: s[0][0..3] s[1][0..3] n[0][0..3] n[1][0..3] | segment 1 |
template <int fold> struct SixBitScales {
  static constexpr Kind KIND = SUB_MINIMUMS;
  static constexpr int BYTES = 320, SEGMENTS = 2, SUM = 32, SUBS = 4, FOLD = fold;
  uint2 rawD;
  uint4 raw;
  float d[2], dmin[2], n[2][4];
  int s[2][4];
  template <class From> DEVICE_MEMBER void load_cell(const char* cell, int g) { rawD = From::template get<uint2>(cell + 8 * g); }
  DEVICE_MEMBER void share(const SixBitScales& other) { rawD = other.rawD; }
  template <class From> DEVICE_MEMBER void load(const char* cell, int segment, int g) {
    raw = From::template get<uint4>(cell + 64 + 128 * segment + 16 * g);
  }
  DEVICE_MEMBER void take(bool upper) { if (upper) raw.x >>= 16, raw.y >>= 16, raw.z >>= 16, raw.w >>= 16; }
  DEVICE_MEMBER void unpack() {
    d[0] = low_scale(rawD.x), dmin[0] = high_scale(rawD.x), d[1] = low_scale(rawD.y), dmin[1] = high_scale(rawD.y);
    UNROLL for (int j = 0; j < 4; j++) {
      s[0][j] = byte_of(raw.x, j), s[1][j] = byte_of(raw.y, j);
      n[0][j] = to_float(-byte_of(raw.z, j)), n[1][j] = to_float(-byte_of(raw.w, j));
    }
  }
};

// | d[0] dmin[0] d[1] dmin[1] | segment 0: 8 bytes of row 0, 8 of row 1, n above s | segment 1 |
struct Q2KScales {
  static constexpr Kind KIND = SUB_MINIMUMS;
  static constexpr int BYTES = 320, SEGMENTS = 2, SUM = 16, SUBS = 8, FOLD = 128;
  uint2 rawD;
  uint4 raw;
  float d[2], dmin[2], n[2][8];
  int s[2][8];
  template <class From> DEVICE_MEMBER void load_cell(const char* cell, int g) { rawD = From::template get<uint2>(cell + 8 * g); }
  DEVICE_MEMBER void share(const Q2KScales& other) { rawD = other.rawD; }
  template <class From> DEVICE_MEMBER void load(const char* cell, int segment, int g) {
    raw = From::template get<uint4>(cell + 64 + 128 * segment + 16 * g);
  }
  DEVICE_MEMBER void take(bool upper) { if (upper) raw.x = raw.y, raw.z = raw.w; }
  DEVICE_MEMBER void unpack() {
    d[0] = low_scale(rawD.x), dmin[0] = high_scale(rawD.x), d[1] = low_scale(rawD.y), dmin[1] = high_scale(rawD.y);
    UNROLL for (int j = 0; j < 8; j++) {
      int row0 = byte_of(j < 4 ? raw.x : raw.y, j % 4), row1 = byte_of(j < 4 ? raw.z : raw.w, j % 4);
      s[0][j] = row0 & 15, s[1][j] = row1 & 15;
      n[0][j] = to_float(-(row0 >> 4)), n[1][j] = to_float(-(row1 >> 4));
    }
  }
};

// | d[0] d[1] | segment 0: s[0][0..7] s[1][0..7] | segment 1 |
struct Q6KScales {
  static constexpr Kind KIND = SUB_SCALES;
  static constexpr int BYTES = 288, SEGMENTS = 2, SUM = 0, SUBS = 8, FOLD = 32;
  uint32_t rawD;
  uint4 raw;
  float d[2];
  int s[2][8];
  template <class From> DEVICE_MEMBER void load_cell(const char* cell, int g) { rawD = From::template get<uint32_t>(cell + 4 * g); }
  DEVICE_MEMBER void share(const Q6KScales& other) { rawD = other.rawD; }
  template <class From> DEVICE_MEMBER void load(const char* cell, int segment, int g) {
    raw = From::template get<uint4>(cell + 32 + 128 * segment + 16 * g);
  }
  DEVICE_MEMBER void take(bool upper) { if (upper) raw.x = raw.y, raw.z = raw.w; }
  DEVICE_MEMBER void unpack() {
    d[0] = low_scale(rawD), d[1] = high_scale(rawD);
    UNROLL for (int j = 0; j < 8; j++) {
      s[0][j] = signed_byte(j < 4 ? raw.x : raw.y, j % 4), s[1][j] = signed_byte(j < 4 ? raw.z : raw.w, j % 4);
    }
  }
};

// | d[0] d[1] | segment 0: lower nibbles of s + 32: 4 bytes of row 0, 4 of row 1; then | bits 4, 5: 2 bytes of each | | segment 1 |
struct Q3KScales {
  static constexpr Kind KIND = SUB_SCALES;
  static constexpr int BYTES = 224, SEGMENTS = 2, SUM = 0, SUBS = 8, FOLD = 128;
  uint32_t rawD, rawHigh;
  uint2 raw;
  float d[2];
  int s[2][8];
  template <class From> DEVICE_MEMBER void load_cell(const char* cell, int g) { rawD = From::template get<uint32_t>(cell + 4 * g); }
  DEVICE_MEMBER void share(const Q3KScales& other) { rawD = other.rawD; }
  template <class From> DEVICE_MEMBER void load(const char* cell, int segment, int g) {
    raw = From::template get<uint2>(cell + 32 + 96 * segment + 8 * g);
    rawHigh = From::template get<uint32_t>(cell + 96 + 96 * segment + 4 * g);
  }
  DEVICE_MEMBER void take(bool upper) { if (upper) raw.x >>= 16, raw.y >>= 16, rawHigh >>= 8; }
  DEVICE_MEMBER void unpack() {
    d[0] = low_scale(rawD), d[1] = high_scale(rawD);
    UNROLL for (int j = 0; j < 8; j++) {
      s[0][j] = static_cast<int>((raw.x >> (4 * j) & 15) | (rawHigh >> (2 * j) & 3) << 4) - 32;
      s[1][j] = static_cast<int>((raw.y >> (4 * j) & 15) | (rawHigh >> (16 + 2 * j) & 3) << 4) - 32;
    }
  }
};

// A format: its weights and scales. PAIRS says that columns come in pairs of blocks, not in whole cells.
template <class W, class S> struct Format {
  using Weights = W;
  using Scales = S;
  static constexpr int CELL_SEGMENTS = S::SEGMENTS, CELL_BYTES = S::BYTES + S::SEGMENTS * W::SEGMENT_BYTES;
  static constexpr bool RAGGED = S::SEGMENTS == 1;
};
using Q8_0 = Format<Weights<8, true, true>, BlockScales>;
using Q4_0 = Format<Weights<4, true, true>, BlockScales>;
using Q4_1 = Format<Weights<4, false, true>, MinimumScales>;
using Q5_0 = Format<Weights<5, true, true>, BlockScales>;
using Q5_1 = Format<Weights<5, false, true>, MinimumScales>;
using IQ4_NL = Format<Weights<4, false, true, true>, BlockScales>;
using Q2_K = Format<Weights<2, false, false>, Q2KScales>;
using Q3_K = Format<Weights<3, true, false>, Q3KScales>;
using Q4_K = Format<Weights<4, false, false>, SixBitScales<128>>;
using Q5_K = Format<Weights<5, false, false>, SixBitScales<64>>;
using Q6_K = Format<Weights<6, true, false>, Q6KScales>;
using IQ4_XS = Format<Weights<4, false, false, true>, Iq4XsScales>;

// Of a matrix with this many pairs of blocks a row.
DEVICE int segments_of(int pairs) { return (pairs + 1) / 2; }
template <class F> DEVICE int64_t tile_bytes(int pairs) {
  int64_t bytes = static_cast<int64_t>(segments_of(pairs) / F::CELL_SEGMENTS) * F::CELL_BYTES;
  return pairs % 2 ? bytes - F::Weights::PAIR_BYTES : bytes;
}
// How many pairs segment s has.
DEVICE int pairs_of(int pairs, int segment) { return min(2, pairs - 2 * segment); }
