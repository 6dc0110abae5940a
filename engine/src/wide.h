// Sums of 128 bits: exact in any order, whatever a compiler knows of such integers.
#pragma once

#include <cstdint>

#include "formats/exact_floats.h"

namespace mu8 {

// An unsigned integer of 128 bits, for targets whose compilers have none.
struct Wide {
  std::uint64_t low = 0, high = 0;
};

inline Wide Product(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kLow = 0xffffffff;
  const std::uint64_t low = (a & kLow) * (b & kLow);
  const std::uint64_t cross1 = (a >> 32) * (b & kLow) + (low >> 32);
  const std::uint64_t cross2 = (a & kLow) * (b >> 32) + (cross1 & kLow);
  return {(cross2 << 32) | (low & kLow), (a >> 32) * (b >> 32) + (cross1 >> 32) + (cross2 >> 32)};
}

// a - b where a >= b.
inline Wide Difference(const Wide& a, const Wide& b) {
  return {a.low - b.low, a.high - b.high - (a.low < b.low ? 1U : 0U)};
}

// value * 2^shift, below 2^128; shift below 128.
inline Wide Shifted(std::uint64_t value, std::uint32_t shift) {
  if (shift == 0) return {value, 0};
  if (shift >= 64) return {0, value << (shift - 64)};
  return {value << shift, value >> (64 - shift)};
}

// Sums lie in the arena as two u64, the low half first.
inline Wide LoadWide(const std::uint64_t* halves) { return {halves[0], halves[1]}; }
inline void AddTo(const Wide& value, std::uint64_t* halves) {
  halves[0] += value.low;
  halves[1] += value.high + (halves[0] < value.low ? 1U : 0U);
}

// T * Q - S^2 of T values: |S|, of their sum, is at most 2^63, Q, of their squares, below 2^111.
inline Wide Spread(std::uint64_t magnitude, const Wide& square, std::uint32_t count) {
  Wide scaled = Product(square.low, count);
  scaled.high += square.high * count;
  return Difference(scaled, Product(magnitude, magnitude));
}

}  // namespace mu8
