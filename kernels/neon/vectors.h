// What AArch64 and ARMv7 write in different ways: look-ups of bytes, upper halves of long
// operations, rounding. Each name means the same on both; not every file
// needs all of them.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace mu8::kernels::neon {
namespace {

#if defined(__aarch64__)

// table[index], 0 from the table's end on.
struct Table16 {
  uint8x16_t bytes;

  explicit Table16(const std::uint8_t* from) : bytes(vld1q_u8(from)) {}
  uint8x16_t At(uint8x16_t index) const { return vqtbl1q_u8(bytes, index); }
};

struct Table64 {
  uint8x16x4_t bytes;

  explicit Table64(const std::uint8_t* from)
      : bytes{{vld1q_u8(from), vld1q_u8(from + 16), vld1q_u8(from + 32), vld1q_u8(from + 48)}} {}
  uint8x16_t At(uint8x16_t index) const { return vqtbl4q_u8(bytes, index); }
  // `other` where the index is beyond the table.
  uint8x16_t At(uint8x16_t index, uint8x16_t other) const {
    return vqtbx4q_u8(other, bytes, index);
  }
};

[[maybe_unused]] int16x8_t ShiftLeftLong7High(int8x16_t a) { return vshll_high_n_s8(a, 7); }
[[maybe_unused]] int16x8_t MultiplyAddLongHigh(int16x8_t sum, int8x16_t a, int8x16_t b) {
  return vmlal_high_s8(sum, a, b);
}
[[maybe_unused]] int16x8_t MultiplyLongHigh(int8x16_t a, int8x16_t b) {
  return vmull_high_s8(a, b);
}
[[maybe_unused]] int16x8_t AddWideHigh(int16x8_t a, int8x16_t b) { return vaddw_high_s8(a, b); }
[[maybe_unused]] uint64x2_t MultiplyLongHigh(uint32x4_t a, uint32x4_t b) {
  return vmull_high_u32(a, b);
}

// Nearest integers, ties to even.
[[maybe_unused]] int32x4_t RoundToEven(float32x4_t value) { return vcvtnq_s32_f32(value); }

[[maybe_unused]] std::int32_t SumOfLanes(int32x4_t a) { return vaddvq_s32(a); }
// {a0 + a1, a2 + a3, b0 + b1, b2 + b3}
[[maybe_unused]] int32x4_t AddPairs(int32x4_t a, int32x4_t b) { return vpaddq_s32(a, b); }

#else

struct Table16 {
  uint8x8x2_t bytes;

  explicit Table16(const std::uint8_t* from) : bytes{{vld1_u8(from), vld1_u8(from + 8)}} {}
  uint8x16_t At(uint8x16_t index) const {
    return vcombine_u8(vtbl2_u8(bytes, vget_low_u8(index)), vtbl2_u8(bytes, vget_high_u8(index)));
  }
};

struct Table64 {
  uint8x8x4_t low, high;

  explicit Table64(const std::uint8_t* from)
      : low{{vld1_u8(from), vld1_u8(from + 8), vld1_u8(from + 16), vld1_u8(from + 24)}},
        high{{vld1_u8(from + 32), vld1_u8(from + 40), vld1_u8(from + 48), vld1_u8(from + 56)}} {}
  uint8x16_t At(uint8x16_t index) const { return At(index, vdupq_n_u8(0)); }
  uint8x16_t At(uint8x16_t index, uint8x16_t other) const {
    return vcombine_u8(Half(vget_low_u8(index), vget_low_u8(other)),
                       Half(vget_high_u8(index), vget_high_u8(other)));
  }

 private:
  uint8x8_t Half(uint8x8_t index, uint8x8_t other) const {
    return vtbx4_u8(vtbx4_u8(other, low, index), high, vsub_u8(index, vdup_n_u8(32)));
  }
};

[[maybe_unused]] int16x8_t ShiftLeftLong7High(int8x16_t a) {
  return vshll_n_s8(vget_high_s8(a), 7);
}
[[maybe_unused]] int16x8_t MultiplyAddLongHigh(int16x8_t sum, int8x16_t a, int8x16_t b) {
  return vmlal_s8(sum, vget_high_s8(a), vget_high_s8(b));
}
[[maybe_unused]] int16x8_t MultiplyLongHigh(int8x16_t a, int8x16_t b) {
  return vmull_s8(vget_high_s8(a), vget_high_s8(b));
}
[[maybe_unused]] int16x8_t AddWideHigh(int16x8_t a, int8x16_t b) {
  return vaddw_s8(a, vget_high_s8(b));
}
[[maybe_unused]] uint64x2_t MultiplyLongHigh(uint32x4_t a, uint32x4_t b) {
  return vmull_u32(vget_high_u32(a), vget_high_u32(b));
}

// For |value| <= 2^22: adding 1.5 * 2^23 leaves no room for fractions.
[[maybe_unused]] int32x4_t RoundToEven(float32x4_t value) {
  const float32x4_t magic = vdupq_n_f32(12582912.0F);
  return vcvtq_s32_f32(vsubq_f32(vaddq_f32(value, magic), magic));
}

[[maybe_unused]] std::int32_t SumOfLanes(int32x4_t a) {
  const int32x2_t pairs = vadd_s32(vget_low_s32(a), vget_high_s32(a));
  return vget_lane_s32(vpadd_s32(pairs, pairs), 0);
}
[[maybe_unused]] int32x4_t AddPairs(int32x4_t a, int32x4_t b) {
  return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)),
                      vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}

#endif

// sum + {sum of bytes 0 to 3, of 4 to 7, ...}
[[maybe_unused]] int32x4_t AddFours(int32x4_t sum, int8x16_t bytes) {
  return vaddq_s32(sum, vpaddlq_s16(vpaddlq_s8(bytes)));
}

}  // namespace
}  // namespace mu8::kernels::neon
