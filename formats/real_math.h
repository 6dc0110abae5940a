// exp, log, square root and softplus of our own, so that the last bit of a probability is the same
// on every target: only float additions, multiplications and divisions in a fixed order, none
// fused with another. FORMAT.md section 10 has them operation by operation.
#pragma once

#include <cstdint>

#include "formats/bits.h"
#include "formats/exact_floats.h"

namespace mu8::format {

inline constexpr float kLn2High = 0.693145751953125F;  // 15 bits: k * kLn2High is exact
inline constexpr float kLn2Low = 1.42860677e-6F;

// e^x for x <= 0; relative error below 2e-7; 0 for x < -87. Reduction x = k ln 2 + r,
// |r| <= ln 2 / 2, and the Taylor polynomial of degree 7 of e^r.
constexpr float ExpNegative(float x) {
  if (!(x >= -87.0F)) return 0.0F;
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: rounds to the nearest integer
  const float k = (x * 1.44269504F + kRounder) - kRounder;
  const float r = (x - k * kLn2High) - k * kLn2Low;
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const auto exponent = static_cast<std::uint32_t>(static_cast<std::int32_t>(k) + 127);
  return p * BitCast<float>(exponent << 23);
}

// e^x; relative error below 2e-7 from -87 to 87; 0 below, infinite above.
constexpr float Exp(float x) { return x > 87.0F ? BitCast<float>(0x7f800000U) : ExpNegative(x); }

// ln x for positive normal x; absolute error below 1e-7 + 1e-7 |ln x|. x = 2^k m with m in
// [sqrt(1/2), sqrt(2)); ln m = 2 atanh(t), t = (m - 1) / (m + 1), |t| < 0.1716.
constexpr float LogPositive(float x) {
  const auto bits = BitCast<std::uint32_t>(x);
  // 0x3f3504f3 is sqrt(1/2): the exponent of x relative to it.
  const std::int32_t k = static_cast<std::int32_t>(bits - 0x3f3504f3U) >> 23;
  const float m = BitCast<float>(bits - (static_cast<std::uint32_t>(k) << 23));
  const float t = (m - 1.0F) / (m + 1.0F);
  const float s = t * t;
  float p = 2.0F / 9.0F;
  p = p * s + 2.0F / 7.0F;
  p = p * s + 2.0F / 5.0F;
  p = p * s + 2.0F / 3.0F;
  p = p * s + 2.0F;
  const auto exponent = static_cast<float>(k);
  return exponent * kLn2High + (exponent * kLn2Low + t * p);
}

// The square root of positive normal x; relative error below 2e-7. Heron's rule from a value within
// 6 %: half the exponent, and a mantissa between.
constexpr float SqrtPositive(float x) {
  float y = BitCast<float>((BitCast<std::uint32_t>(x) >> 1) + 0x1fbd1df5U);
  for (int i = 0; i < 3; ++i) y = 0.5F * (y + x / y);
  return y;
}

// ln(1 + x) for x from 0 to 1; relative error below 3e-7, so tiny x lose nothing: it is
// 2 atanh(u) with u = x / (2 + x), at most 1/3, and the sum 1 + x is never rounded.
constexpr float LogOnePlus(float x) {
  const float u = x / (2.0F + x);
  const float s = u * u;
  float p = 2.0F / 15.0F;
  p = p * s + 2.0F / 13.0F;
  p = p * s + 2.0F / 11.0F;
  p = p * s + 2.0F / 9.0F;
  p = p * s + 2.0F / 7.0F;
  p = p * s + 2.0F / 5.0F;
  p = p * s + 2.0F / 3.0F;
  p = p * s + 2.0F;
  return u * p;
}

// ln(1 + e^x); relative error below 3e-7 from -80 on.
constexpr float Softplus(float x) {
  const float less = LogOnePlus(ExpNegative(x > 0.0F ? -x : x));
  return x > 0.0F ? x + less : less;
}

}  // namespace mu8::format
