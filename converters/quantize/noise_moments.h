// What the engine's integer noise really produces. n = (level * eps + 2^(s-1)) >> s has only 256
// equally likely values, so its moments are enumerated, never approximated: levels are chosen by
// the variance that they produce, also when sigma is a fraction of one weight step.
#pragma once

#include <array>
#include <cstdint>

#include "formats/limits.h"

namespace mu8::convert {

inline constexpr int kMinShift = format::kMinNoiseShift;
inline constexpr int kMaxShift = format::kMaxNoiseShift;
inline constexpr int kMaxWeight = 127;

// n for one random byte.
std::int32_t NoiseValue(std::int32_t level, std::int32_t shift, std::uint8_t byte);

// Levels whose rounding ties would shift the mean: level = 2^(s-1) mod 2^s. eps is odd, so for
// every other level n is symmetric and its mean exactly 0.
bool IsTieLevel(std::int32_t level, std::int32_t shift);

// Mean and variance of w = clamp(mu + n, -127, 127), in weight steps, how often the clamp acts, and
// how far w follows the Gaussian that it stands for.
struct ClampedMoments {
  double mean;
  double variance;
  double clipped;  // fraction of the 256 values
  double along;    // E[w z], with z the Gaussian table's value at unit variance
};
ClampedMoments WeightMoments(std::int32_t mu, std::int32_t level, std::int32_t shift);

// Variance of n and largest |n|, for every level of one shift.
struct LevelTable {
  std::array<double, 256> variance;
  std::array<std::int32_t, 256> max_noise;
  std::array<double, 256> along;  // E[n z]
  // Level of the nearest produced variance, ties excluded; and its neighbour from the other side of
  // the target (the same level at the ends).
  int Nearest(double target_variance) const;
  int Below(double target_variance) const;  // largest variance <= target; at least level 0
  int Above(double target_variance) const;  // smallest variance >= target; at most the last level
  std::array<std::uint8_t, 256> order;      // admissible levels by rising variance
  std::array<double, 256> rising;           // their variances
  int count;                                // how many of both are used
};
const LevelTable& Levels(std::int32_t shift);

// The largest shift at which every sigma up to `max_sigma` (in weight steps) has a level:
// sigma = 32 * level / 2^s, level <= 255.
std::int32_t ChooseShift(double max_sigma);

}  // namespace mu8::convert
