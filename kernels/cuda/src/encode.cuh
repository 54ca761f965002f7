// Activation codes, SPEC.md section 4: one warp codes one segment of 128 elements, four neighbours a lane.
#pragma once
#include "vector.cuh"

// Where the codes of a batch go. R = rows rounded up to a multiple of 8.
//   codes  (rows, stride): stride is cols rounded up to 128, what is beyond cols is 0. Within 64 codes they stand in the order
//          in which the lanes of mma_s8 take them: the word of columns 32b + 16h + 4t .. +3 is word 4t + 2b + h.
//   dx     (segments, R)
//   sums32 (segments, R, 4), sums16 (segments, R, 8): the sums of the codes of the 32- and 16-groups, as floats
struct Codes {
  int8_t* codes;
  float* dx;
  float* sums32;
  float* sums16;
  int stride, R;
};

// v is elements 128 segment + 4 lane .. +3 of the row; +0 beyond its end. All 32 lanes take part.
DEVICE void encode_segment(const Codes& out, const float (&v)[4], int row, int segment) {
  uint32_t largest = 0;  // of the bit patterns without their signs
  UNROLL for (int k = 0; k < 4; k++) largest = max(largest, bits(v[k]) & 0x7FFFFFFF);
  largest = max_warp(largest);

  const uint32_t infinity = 0x7F800000, tiny = 0x0F800000;  // tiny: 2^-96
  uint32_t word = 0;
  float dx = largest >= infinity ? from_bits(0x7FC00000) : 0.0f;
  if (largest < infinity && largest >= tiny) {
    float a = from_bits(largest), r = div(127.0f, a);
    dx = div(a, 127.0f);
    UNROLL for (int k = 0; k < 4; k++) word |= (static_cast<uint32_t>(rne_to_int(mul(v[k], r))) & 255) << 8 * k;
  }

  int sum = dp4a(static_cast<int>(word), 0x01010101, 0);
  sum += shuffle_xor(sum, 1);
  sum += shuffle_xor(sum, 2);
  int sum32 = sum + shuffle_xor(sum, 4);

  int l = lane(), h = l / 4 % 2, b = l / 8 % 2, t = l % 4;
  auto words = reinterpret_cast<uint32_t*>(out.codes + static_cast<int64_t>(row) * out.stride + 128 * segment);
  store(words + l / 16 * 16 + 4 * t + 2 * b + h, word);
  int64_t place = static_cast<int64_t>(segment) * out.R + row;
  if (l % 4 == 0) store(out.sums16 + place * 8 + l / 4, to_float(sum));
  if (l % 8 == 0) store(out.sums32 + place * 4 + l / 8, to_float(sum32));
  if (l == 0) store(out.dx + place, dx);
}
