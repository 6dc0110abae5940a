// Moments of normal variables (FORMAT.md 13.1, whose names these are), operation by operation, f32:
// what an activation's mean and variance become where functions are not linear.
#pragma once

#include <array>
#include <cstdint>

#include "formats/bits.h"
#include "formats/exact_floats.h"

namespace mu8::kernels {

// A mean in codes and a variance in squared codes.
struct Moments {
  float mean, variance;
};

constexpr float Bound(float x) { return !(x >= 0x1p-126F) ? 0.0F : x > 0x1p64F ? 0x1p64F : x; }

// Variances below it count as none.
inline constexpr float kLeastVariance = 0x1p-24F;

// About 1 / sqrt(x), relative error below .016, for kLeastVariance <= x < 2^127.
inline constexpr std::array<std::uint32_t, 32> kInverseRoots = {
    0x5f32416a, 0x5f2d166c, 0x5f285835, 0x5f23f8a2, 0x5f1fec04, 0x5f1c2896, 0x5f18a61f, 0x5f155da2,
    0x5f124925, 0x5f0f6381, 0x5f0ca83f, 0x5f0a137d, 0x5f07a1d2, 0x5f05503e, 0x5f031c1a, 0x5f01030a,
    0x5efc1764, 0x5ef4c867, 0x5eee133e, 0x5ee7e3ed, 0x5ee229ed, 0x5edcd76e, 0x5ed7e0cf, 0x5ed33c2e,
    0x5ecee116, 0x5ecac83f, 0x5ec6eb5a, 0x5ec344e6, 0x5ebfd012, 0x5ebc889f, 0x5eb96ace, 0x5eb6734a,
};
constexpr float InverseRoot(float x) {
  const auto bits = format::BitCast<std::uint32_t>(x);
  return format::BitCast<float>(kInverseRoots[(bits >> 19) & 31] - ((bits >> 24) << 23));
}

// The 33 knots of U, G and P, in units of 2^-15.
inline constexpr std::uint32_t kShapeKnots = 33;
using ShapeTable = std::array<std::uint16_t, kShapeKnots>;
inline constexpr ShapeTable kShapeU = {
    0,    1,    2,    5,    12,   28,  63,  133, 269, 515, 938, 1626, 2689, 4247, 6421, 9317, 13004,
    9317, 6421, 4247, 2689, 1626, 938, 515, 269, 133, 63,  28,  12,   5,    2,    1,    0,
};
inline constexpr ShapeTable kShapeG = {
    0,     0,     1,     2,     6,     16,    37,    84,    179,   364,   701,
    1277,  2203,  3592,  5538,  8073,  11138, 14575, 18146, 21586, 24656, 27199,
    29157, 30558, 31493, 32075, 32413, 32597, 32690, 32735, 32755, 32762, 32768,
};
inline constexpr ShapeTable kShapeP = {
    0,     3,     7,     18,    42,    93,    196,   388,   727,   1287,  2156,
    3423,  5157,  7387,  10080, 13133, 16384, 19635, 22688, 25381, 27611, 29345,
    30612, 31481, 32041, 32380, 32572, 32675, 32726, 32750, 32761, 32765, 32768,
};

// Where z lies between two knots.
struct ShapePlace {
  std::uint32_t knot;  // below kShapeKnots - 1
  float fraction;

  constexpr explicit ShapePlace(float z) {
    float t = (z + 4.0F) * 4.0F;
    t = !(t >= 0.0F) ? 0.0F : t;
    t = t > 0x1.fffffep4F ? 0x1.fffffep4F : t;
    knot = static_cast<std::uint32_t>(t);
    fraction = t - static_cast<float>(knot);
  }
  constexpr float operator()(const ShapeTable& table) const {
    const auto low = static_cast<float>(table[knot]);
    const auto rise = static_cast<float>(table[knot + 1] - table[knot]);
    return (low + fraction * rise) * 0x1p-15F;
  }
};

// The larger of two independent normal variables (Clark 1961).
constexpr Moments Larger(Moments a, Moments b) {
  const float variance = a.variance + b.variance;
  if (variance < kLeastVariance) return a.mean >= b.mean ? a : b;
  const float root = InverseRoot(variance);
  const float s = variance * root;
  const ShapePlace place((a.mean - b.mean) * root);
  const float p = place(kShapeP);
  const float found = variance * place(kShapeG) + b.variance * (1.0F - (p + p));
  return {(a.mean > b.mean ? a.mean : b.mean) + s * place(kShapeU), found < 0.0F ? 0.0F : found};
}

// An entry of u8 [256] between two codes.
constexpr float Between(const std::uint8_t* table, float x) {
  const auto whole = static_cast<std::uint32_t>(x);
  const std::uint32_t j = whole < 254 ? whole : 254;
  const auto low = static_cast<float>(table[j]);
  const auto rise = static_cast<float>(table[j + 1] - table[j]);
  return low + (x - static_cast<float>(j)) * rise;
}

inline constexpr float kRootOfThree = 0x1.bb67aep0F;  // 3fddb3d7
inline constexpr float kSixth = 0x1.555556p-3F;       // 3e2aaaab

// A table's value where the code is normal, by three points.
constexpr Moments Through(const std::uint8_t* table, std::uint8_t code, float variance) {
  const auto middle = static_cast<float>(table[code]);
  if (variance < kLeastVariance) return {middle, 0.0F};
  const float width = (variance * InverseRoot(variance)) * kRootOfThree;
  const float below = static_cast<float>(code) - width, above = static_cast<float>(code) + width;
  float a = Between(table, below > 0.0F ? below : 0.0F);
  float b = Between(table, above < 255.0F ? above : 255.0F);
  const float mean = ((a + b) + 4.0F * middle) * kSixth;
  a -= mean;
  b -= mean;
  const float c = middle - mean;
  return {mean, ((a * a + b * b) + (4.0F * c) * c) * kSixth};
}

// The output tensor's codes.
struct MomentsCodes {
  std::int32_t zero_point;
  float low, high;  // of codes less zero_point
  float inverse_step;
};

struct CodePair {
  std::uint8_t mean, variance;
};

// The nearest integer, ties to even, of a float up to 255.
constexpr std::int32_t NearestCode(float value) {
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23
  return static_cast<std::int32_t>((value + kRounder) - kRounder);
}

constexpr CodePair StoreMoments(const MomentsCodes& codes, float x, float variance) {
  x = !(x >= codes.low) ? codes.low : x;
  x = x > codes.high ? codes.high : x;
  const float scaled = variance * codes.inverse_step;
  return {static_cast<std::uint8_t>(codes.zero_point + NearestCode(x)),
          static_cast<std::uint8_t>(NearestCode(scaled < 255.0F ? scaled : 255.0F))};
}

// Of a normal variable that is clamped to the codes' range.
constexpr CodePair ClipMoments(const MomentsCodes& codes, float x, float variance) {
  if (variance < kLeastVariance) return StoreMoments(codes, x, 0.0F);
  const float root = InverseRoot(variance);
  const float s = variance * root;
  const float d = x - codes.low;
  const ShapePlace place(d * root);
  float mean = (d > 0.0F ? d : 0.0F) + s * place(kShapeU);
  float found = variance * place(kShapeG);
  if (x + 4.0F * s > codes.high) {
    const float e = x - codes.high;
    const ShapePlace upper(e * root);
    const float beyond = (e > 0.0F ? e : 0.0F) + s * upper(kShapeU);
    found = (found - variance * upper(kShapeG)) -
            (2.0F * beyond) * (((codes.high - codes.low) + beyond) - mean);
    found = found < 0.0F ? 0.0F : found;
    mean = mean - beyond;
  }
  return StoreMoments(codes, codes.low + mean, found);
}

}  // namespace mu8::kernels
