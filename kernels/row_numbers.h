// The numbers in place of random ones that a prediction by moments draws its logits with (FORMAT.md
// 13.6). As rows of a table their columns are at right angles to each other, so the rows' own
// covariance is exactly the one asked for; their fourth moments are nearly a normal variable's.
#pragma once

#include <array>
#include <cstdint>

namespace mu8::kernels {

// X: the Walsh-Hadamard transform of N signs, chosen for its fourth and sixth moments. That of any
// signs has X[n ^ a] and X[n ^ b] at right angles.
inline constexpr std::uint32_t kFewRowNumbers = 32, kManyRowNumbers = 64;
inline constexpr std::array<std::int8_t, kFewRowNumbers> kRowNumbers32 = {
    2,  10, 10, 2, -6, -6, 2, 2, -2, -2, -10, 6,  -2, 6, -10, -2,
    -6, 2,  10, 2, 2,  2,  2, 2, -2, -2, 14,  -2, -2, 6, -2,  6,
};
inline constexpr std::array<std::int8_t, kManyRowNumbers> kRowNumbers64 = {
    0, 12, 12,  0, 8,  -4, -4, -8, 0,  -4, -4, -16, -8, 12, -4, 8,  -4, -8, 8,  12,  4,  -8,
    8, 4,  -4,  8, -8, -4, 4,  -8, -8, 4,  -8, -4,  -4, 8,  -8, 20, 4,  8,  -8, -20, -4, 8,
    8, 4,  -12, 8, 4,  -8, 8,  4,  4,  0,  0,  4,   4,  8,  8,  4,  4,  0,  0,  20,
};

// N, half as many as there are rows: a row and the next differ in the sign of their numbers.
constexpr std::uint32_t RowNumbers(std::uint32_t classes) {
  return classes <= kFewRowNumbers ? kFewRowNumbers : kManyRowNumbers;
}

// The number of class `c` in rows 2 n and, negated, 2 n + 1.
constexpr float RowNumber(std::uint32_t classes, std::uint32_t n, std::uint32_t c) {
  const std::uint32_t at = (n * (2 * (c / kManyRowNumbers) + 1)) ^ c;
  if (classes <= kFewRowNumbers) {
    return static_cast<float>(kRowNumbers32[at % kFewRowNumbers]) * 0x1.6a09e6p-3F;
  }
  return static_cast<float>(kRowNumbers64[at % kManyRowNumbers]) * 0.125F;
}

}  // namespace mu8::kernels
