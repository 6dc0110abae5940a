// The quantized standard normal: 256 equiprobable values of eps / 32, one per random byte.
// Byte b has magnitude kEpsilonMagnitude[b & 127] and is negative if its top bit is set.
// Magnitude i is 2 * floor(16 z) + 1 with z the normal quantile of (i + 128.5) / 256, so every
// value is odd, the sum is 0 and the sum of squares over the 256 bytes is 261520: the variance of
// eps / 32 is 261520 / 262144 = 0.99762. No draw is further than 2.91 standard deviations from its
// mean: P(|n| > 2.5) is .0156 (a normal variable's .0124), the kurtosis 2.93 (3).
// tests/kernels/test_gaussian_table.cpp derives the table anew.
#pragma once

#include <array>
#include <cstdint>

namespace mu8::kernels {

inline constexpr std::int32_t kEpsilonUnit = 32;  // eps = kEpsilonUnit * z
inline constexpr std::int32_t kEpsilonSumOfSquares = 261520;

alignas(64) inline constexpr std::array<std::int8_t, 128> kEpsilonMagnitude = {
    1,  1,  1,  1,  1,  1,  3,  3,  3,  3,  3,  3,  3,  5,  5,  5,   //
    5,  5,  5,  7,  7,  7,  7,  7,  7,  9,  9,  9,  9,  9,  9,  11,  //
    11, 11, 11, 11, 11, 13, 13, 13, 13, 13, 13, 15, 15, 15, 15, 15,  //
    15, 17, 17, 17, 17, 17, 17, 19, 19, 19, 19, 19, 21, 21, 21, 21,  //
    21, 23, 23, 23, 23, 23, 25, 25, 25, 25, 25, 27, 27, 27, 27, 29,  //
    29, 29, 29, 31, 31, 31, 31, 33, 33, 33, 33, 35, 35, 35, 35, 37,  //
    37, 37, 39, 39, 39, 41, 41, 41, 43, 43, 45, 45, 45, 47, 47, 49,  //
    49, 51, 51, 53, 55, 55, 57, 59, 61, 63, 65, 67, 71, 75, 81, 93,
};

// With this shift or a larger one in every channel the noise of a weight fits a byte:
// 255 * 93 / 2^8 = 92.6.
inline constexpr std::int8_t kLeastNarrowShift = 8;

constexpr std::int32_t Epsilon(std::uint8_t byte) {
  const std::int32_t magnitude = kEpsilonMagnitude[byte & 127];
  return (byte & 128) != 0 ? -magnitude : magnitude;
}

}  // namespace mu8::kernels
