#include "converters/quantize/noise_moments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/gaussian_table.h"

namespace mu8::convert {
namespace {

// z = unit * eps has unit variance over the 256 bytes.
double Unit() { return std::sqrt(256.0 / kernels::kEpsilonSumOfSquares); }

LevelTable MakeTable(std::int32_t shift) {
  LevelTable table{};
  for (int level = 0; level < 256; ++level) {
    std::int64_t squares = 0;
    std::int64_t along = 0;
    std::int32_t largest = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const std::int32_t n = NoiseValue(level, shift, static_cast<std::uint8_t>(byte));
      squares += std::int64_t{n} * n;
      along += std::int64_t{n} * kernels::Epsilon(static_cast<std::uint8_t>(byte));
      largest = std::max(largest, std::abs(n));
    }
    const auto index = static_cast<std::size_t>(level);
    table.variance[index] = static_cast<double>(squares) / 256.0;
    table.max_noise[index] = largest;
    table.along[index] = static_cast<double>(along) / 256.0 * Unit();
  }
  for (int level = 0; level < 256; ++level) {
    if (!IsTieLevel(level, shift)) {
      table.order[static_cast<std::size_t>(table.count++)] = static_cast<std::uint8_t>(level);
    }
  }
  // Equal variances keep the lower level first.
  std::stable_sort(
      table.order.begin(), table.order.begin() + table.count,
      [&](std::uint8_t a, std::uint8_t b) { return table.variance[a] < table.variance[b]; });
  for (std::size_t i = 0; i < static_cast<std::size_t>(table.count); ++i) {
    table.rising[i] = table.variance[table.order[i]];
  }
  return table;
}

}  // namespace

std::int32_t NoiseValue(std::int32_t level, std::int32_t shift, std::uint8_t byte) {
  return (level * kernels::Epsilon(byte) + (1 << (shift - 1))) >> shift;
}

bool IsTieLevel(std::int32_t level, std::int32_t shift) {
  const std::int32_t half = 1 << (shift - 1);
  return level % (2 * half) == half;
}

namespace {

ClampedMoments Enumerate(std::int32_t mu, std::int32_t level, std::int32_t shift) {
  std::int64_t sum = 0;
  std::int64_t squares = 0;
  std::int64_t along = 0;
  int clipped = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const std::int32_t exact = mu + NoiseValue(level, shift, static_cast<std::uint8_t>(byte));
    const std::int32_t w = std::clamp(exact, -kMaxWeight, kMaxWeight);
    clipped += w != exact;
    sum += w;
    squares += std::int64_t{w} * w;
    along += std::int64_t{w} * kernels::Epsilon(static_cast<std::uint8_t>(byte));
  }
  const double mean = static_cast<double>(sum) / 256.0;
  return {mean, static_cast<double>(squares) / 256.0 - mean * mean, clipped / 256.0,
          static_cast<double>(along) / 256.0 * Unit()};
}

}  // namespace

ClampedMoments WeightMoments(std::int32_t mu, std::int32_t level, std::int32_t shift) {
  const LevelTable& table = Levels(shift);
  const auto index = static_cast<std::size_t>(level);
  if (!IsTieLevel(level, shift) && std::abs(mu) + table.max_noise[index] <= kMaxWeight) {
    return {static_cast<double>(mu), table.variance[index], 0.0, table.along[index]};
  }
  if (std::abs(mu) > kMaxWeight) return Enumerate(mu, level, shift);
  // Each case is enumerated once: searches ask for the same ones millions of times.
  constexpr double kUnknown = -1.0;
  constexpr std::size_t kMus = 2 * kMaxWeight + 1;
  thread_local std::array<std::vector<ClampedMoments>, kMaxShift + 1> known;
  std::vector<ClampedMoments>& of_shift = known[static_cast<std::size_t>(shift)];
  if (of_shift.empty()) of_shift.assign(kMus * 256, {0.0, 0.0, kUnknown, 0.0});
  ClampedMoments& moments = of_shift[static_cast<std::size_t>(mu + kMaxWeight) * 256 + index];
  if (moments.clipped == kUnknown) moments = Enumerate(mu, level, shift);
  return moments;
}

int LevelTable::Below(double target_variance) const {
  const auto* above = std::upper_bound(rising.begin(), rising.begin() + count, target_variance);
  return order[static_cast<std::size_t>(std::max(above - rising.begin() - 1, std::ptrdiff_t{0}))];
}

int LevelTable::Above(double target_variance) const {
  const auto* above = std::lower_bound(rising.begin(), rising.begin() + count, target_variance);
  return order[static_cast<std::size_t>(
      std::min(above - rising.begin(), std::ptrdiff_t{count} - 1))];
}

int LevelTable::Nearest(double target_variance) const {
  const int below = Below(target_variance);
  const int above = Above(target_variance);
  const double down = target_variance - variance[static_cast<std::size_t>(below)];
  const double up = variance[static_cast<std::size_t>(above)] - target_variance;
  return std::abs(up) < std::abs(down) ? above : below;
}

const LevelTable& Levels(std::int32_t shift) {
  static const std::vector<LevelTable> tables = [] {
    std::vector<LevelTable> all(kMaxShift + 1);
    for (std::int32_t s = kMinShift; s <= kMaxShift; ++s) {
      all[static_cast<std::size_t>(s)] = MakeTable(s);
    }
    return all;
  }();
  return tables[static_cast<std::size_t>(shift)];
}

std::int32_t ChooseShift(double max_sigma) {
  if (!(max_sigma > 0.0)) return kMaxShift;
  // 250 rather than 255 leaves room to step past a tie level.
  const double most = std::floor(5.0 + std::log2(250.0 / max_sigma));
  auto shift = static_cast<std::int32_t>(std::clamp(most, double{kMinShift}, double{kMaxShift}));
  // Below a quarter of a step rounding silences most draws, and the last level may fall short.
  const auto reaches = [&](const LevelTable& table) {
    return table.variance[table.order[static_cast<std::size_t>(table.count - 1)]] >=
           max_sigma * max_sigma;
  };
  while (shift > kMinShift && !reaches(Levels(shift))) --shift;
  return shift;
}

}  // namespace mu8::convert
