// The arithmetic of scales (FORMAT.md 5.5, 5.7, 6.5, 6.6), once. Open proves its bounds on these
// functions and the engine computes with them, so a bound holds for exactly the floats that run:
// write none of them out elsewhere. Every operation rounds by itself.
#pragma once

#include <cstdint>
#include <cstring>

#include "formats/bits.h"
#include "formats/exact_floats.h"
#include "formats/layout.h"

namespace mu8::format {

// Positive, finite and normal. Written on the bits so that no compiler flag can weaken it.
constexpr bool IsNormal(float value) {
  const auto bits = BitCast<std::uint32_t>(value);
  return bits >= 0x00800000U && bits < 0x7f800000U;
}

constexpr bool IsFinite(float value) {
  return (BitCast<std::uint32_t>(value) & 0x7fffffffU) < 0x7f800000U;
}

// The closest to `value` of the positive normal numbers up to `most`.
inline constexpr float kMostNormal = BitCast<float>(0x7f7fffffU);
constexpr float NearestNormal(float value, float most) {
  const auto bits = BitCast<std::uint32_t>(value);
  if (bits >> 31 != 0 || bits < 0x00800000U) return BitCast<float>(0x00800000U);
  return bits > BitCast<std::uint32_t>(most) ? most : value;
}

// The nearest integer, ties to even, for |value| <= 2^22: adding 1.5 * 2^23 leaves no room for
// fractions.
constexpr std::int32_t RoundToEven(float value) {
  constexpr float kRounder = 12582912.0F;
  return static_cast<std::int32_t>((value + kRounder) - kRounder);
}

// The scale of a layer's input in units of its output's; the logits (null) have no scale. A pool's
// multiplier is it divided by the area (kernels/scalar/pool.cpp).
constexpr float ScaleRatio(const TensorRecord& input, const TensorRecord* output) {
  return output == nullptr ? input.scale : input.scale / output->scale;
}

// multiply: q = Q(a * b) with `multiplier`.
struct ProductScales {
  float product, multiplier;
};
constexpr ProductScales MakeProductScales(const TensorRecord& a, const TensorRecord& b,
                                          const TensorRecord& output) {
  const float product = a.scale * b.scale;
  return {product, product / output.scale};
}

// add: the operands' scales in units of the output's.
struct SumFactors {
  float a, b;
  constexpr float largest() const { return a > b ? a : b; }
};
constexpr SumFactors MakeSumFactors(const TensorRecord& a, const TensorRecord& b,
                                    const TensorRecord& output) {
  return {ScaleRatio(a, &output), ScaleRatio(b, &output)};
}

// Sums of tensors with different scales (add, and the residual of a conv2d) are integers:
// ((q - z) * FixedPoint(factor, shift) + 2^(shift - 1)) >> shift, with one shift for all factors of
// a layer that gives the largest of them 21 bits (FORMAT.md 6.6).
inline constexpr std::int32_t kMinFixedPointShift = 1;
inline constexpr std::int32_t kMaxFixedPointShift = 30;

// 20 - floor(log2(largest)) for a positive normal `largest`.
constexpr std::int32_t FixedPointShift(float largest) {
  return 20 + 127 - static_cast<std::int32_t>(BitCast<std::uint32_t>(largest) >> 23);
}

// rint(factor * 2^shift), at most 2^21 for factors up to the largest.
constexpr std::int32_t FixedPoint(float factor, std::int32_t shift) {
  return RoundToEven(factor * static_cast<float>(std::uint32_t{1} << shift));
}

// What follows from the scales of a conv2d or dense layer, slot by slot: of the slot's
// weight_scale.
class WeightedScales {
 public:
  // Of the input, of the output (of logits, which have none, 1) and of the residual (or 0).
  WeightedScales(float input, float output, float residual)
      : ratio_(input / output), input_scale_(input), residual_scale_(residual) {}

  // m of FORMAT.md 6.5.
  float Multiplier(float weight_scale) const { return weight_scale * ratio_; }
  // One step of the accumulator, and the residual's scale in these units.
  float ResidualUnit(float weight_scale) const { return weight_scale * input_scale_; }
  float ResidualFactor(float weight_scale) const {
    return residual_scale_ / ResidualUnit(weight_scale);
  }

 private:
  float ratio_, input_scale_, residual_scale_;
};

}  // namespace mu8::format
