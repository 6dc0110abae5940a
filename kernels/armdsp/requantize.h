// From accumulators to stored values, 4 channels in a word.
#pragma once

#include "formats/exact_floats.h"
#include "kernels/armdsp/instructions.h"
#include "kernels/kernel_table.h"
#include "kernels/portable/kernels.h"

#if defined(__ARM_FP) && (__ARM_FP & 4) != 0
#define MU8_ARMDSP_FLOAT 1
#else
#define MU8_ARMDSP_FLOAT 0
#endif

namespace mu8::kernels::armdsp {

// q of FORMAT.md 6.5. Rounding before clamping gives the same, as both bounds are integers: the
// conversion rounds to nearest, ties to even, and saturates.
struct Requantizer {
  std::int32_t zero_out, clamp_min, clamp_max;
  std::uint32_t low, high;  // the clamps in each byte

  explicit Requantizer(const ConvolveArgs& args)
      : zero_out(args.zero_out),
        clamp_min(args.clamp_min),
        clamp_max(args.clamp_max),
        low(kOnes * static_cast<std::uint32_t>(args.clamp_min)),
        high(kOnes * static_cast<std::uint32_t>(args.clamp_max)) {}

  // 4 values of these sums, the first lowest; multiplier [4].
  std::uint32_t operator()(std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d,
                           const float* multiplier) const {
    std::uint32_t word = Byte(a, multiplier[0]) | Byte(b, multiplier[1]) << 8 |
                         Byte(c, multiplier[2]) << 16 | Byte(d, multiplier[3]) << 24;
#if MU8_ARMDSP_FLOAT
    word = Least(Most(word, low), high);
#endif
    return word;
  }

 private:
  std::uint32_t Byte(std::int32_t acc, float multiplier) const {
#if MU8_ARMDSP_FLOAT
    float value = static_cast<float>(acc) * multiplier;
    std::uint32_t byte;
    __asm__(
        "vcvtr.s32.f32 %1, %1\n\t"
        "vmov %0, %1\n\t"
        "qadd %0, %0, %2\n\t"
        "usat %0, #8, %0"
        : "=&r"(byte), "+t"(value)
        : "r"(zero_out));
    return byte;
#else
    return portable::RequantizeInIntegers(acc, multiplier, zero_out, clamp_min, clamp_max);
#endif
  }
};

}  // namespace mu8::kernels::armdsp
