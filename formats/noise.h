// The variance of an observation's noise, as the head kGaussian has it (FORMAT.md 10.4), and how it
// becomes an integer. Open proves the bounds on these functions and the engine adds with them.
#pragma once

#include <cstdint>

#include "formats/bits.h"
#include "formats/layout.h"
#include "formats/limits.h"
#include "formats/real_math.h"

namespace mu8::format {

// From a clamped output.
constexpr float VarianceOf(ScaleForm form, float r) {
  if (form == ScaleForm::kLogVariance) return Exp(r);
  const float deviation = Softplus(r);
  return deviation * deviation;
}

// By how many powers of two the binade of `value` lies above that of `least`; both normal.
constexpr std::uint32_t NoiseShift(float least, float value) {
  return (BitCast<std::uint32_t>(value) >> 23) - (BitCast<std::uint32_t>(least) >> 23);
}

// One output's variances: of `least` to `most`, each an integer in units of the last bit of
// `least`.
class NoiseScale {
 public:
  constexpr NoiseScale(ScaleForm form, const ScaleBounds& bounds)
      : form_(form),
        bounds_(bounds),
        least_(VarianceOf(form, bounds.low)),
        most_(VarianceOf(form, bounds.high)) {}

  constexpr bool clamps(float r) const { return r < bounds_.low || r > bounds_.high; }
  // Clamped once more behind the function: rounding does not keep its order.
  constexpr float variance(float r) const {
    const float inside = r < bounds_.low ? bounds_.low : r > bounds_.high ? bounds_.high : r;
    const float value = VarianceOf(form_, inside);
    return value < least_ ? least_ : value > most_ ? most_ : value;
  }
  // Of a variance: its 24 bits, to be shifted left by `shift`, at most kMaxVarianceShift.
  static constexpr std::uint32_t significand(float variance) {
    return (BitCast<std::uint32_t>(variance) & 0x7fffffU) | 0x800000U;
  }
  constexpr std::uint32_t shift(float variance) const { return NoiseShift(least_, variance); }
  // 2^(exponent of least - 23), as the bits of an f64: floats have none as small.
  constexpr std::uint64_t unit_bits() const {
    const std::uint64_t exponent = (BitCast<std::uint32_t>(least_) >> 23) + 1023 - 127 - 23;
    return exponent << 52;
  }

 private:
  ScaleForm form_;
  ScaleBounds bounds_;
  float least_, most_;
};

}  // namespace mu8::format
