// The enumerated moments of the integer noise against the formula itself, written a second time in
// exact floating point, and the orders in which levels are looked up.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "converters/quantize/noise_moments.h"
#include "kernels/gaussian_table.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using testing::Random;

// n = round(level * eps / 2^s), ties up. Every term is a small multiple of 2^-16: doubles are
// exact.
double ExactNoise(int level, int shift, int byte) {
  const int epsilon = kernels::Epsilon(static_cast<std::uint8_t>(byte));
  return std::floor(std::ldexp(level * epsilon, -shift) + 0.5);
}

struct ExactMoments {
  double mean = 0, variance = 0, clipped = 0, largest = 0, along = 0;
};

// What makes the table's 256 values have unit variance.
double Unit() {
  double squares = 0;
  for (int byte = 0; byte < 256; ++byte) {
    squares += std::pow(kernels::Epsilon(static_cast<std::uint8_t>(byte)), 2);
  }
  return std::sqrt(256 / squares);
}

ExactMoments Enumerate(int mu, int level, int shift) {
  ExactMoments moments;
  std::vector<double> draws;
  const double unit = Unit();
  for (int byte = 0; byte < 256; ++byte) {
    const double noise = ExactNoise(level, shift, byte);
    const double w = std::clamp(mu + noise, -127.0, 127.0);
    draws.push_back(w);
    moments.mean += w / 256;
    moments.along += w * unit * kernels::Epsilon(static_cast<std::uint8_t>(byte)) / 256;
    moments.clipped += w != mu + noise ? 1.0 / 256 : 0.0;
    moments.largest = std::max(moments.largest, std::abs(noise));
  }
  for (const double w : draws) {
    moments.variance += (w - moments.mean) * (w - moments.mean) / 256;
  }
  return moments;
}

double VarianceOf(const LevelTable& table, int level) {
  return table.variance[static_cast<std::size_t>(level)];
}

TEST_CASE("noise moments: one draw is round(level * eps / 2^s), ties up") {
  for (int shift = kMinShift; shift <= kMaxShift; ++shift) {
    for (int level = 0; level < 256; ++level) {
      for (int byte = 0; byte < 256; ++byte) {
        const double expected = ExactNoise(level, shift, byte);
        const std::int32_t n = NoiseValue(level, shift, static_cast<std::uint8_t>(byte));
        if (n == expected) continue;
        CAPTURE(shift);
        CAPTURE(level);
        CAPTURE(byte);
        REQUIRE(n == expected);
      }
    }
  }
}

TEST_CASE("noise moments: variance and largest noise of every level of every shift") {
  for (int shift = kMinShift; shift <= kMaxShift; ++shift) {
    const LevelTable& table = Levels(shift);
    for (int level = 0; level < 256; ++level) {
      double squares = 0;
      double largest = 0;
      for (int byte = 0; byte < 256; ++byte) {
        const double noise = ExactNoise(level, shift, byte);
        squares += noise * noise;
        largest = std::max(largest, std::abs(noise));
      }
      CAPTURE(shift);
      CAPTURE(level);
      REQUIRE(VarianceOf(table, level) == squares / 256);
      REQUIRE(table.max_noise[static_cast<std::size_t>(level)] == largest);
    }
  }
}

TEST_CASE("noise moments: the mean is exactly zero for all but tie levels, and half for those") {
  int ties = 0;
  for (int shift = kMinShift; shift <= kMaxShift; ++shift) {
    for (int level = 0; level < 256; ++level) {
      double sum = 0;
      for (int byte = 0; byte < 256; ++byte) sum += ExactNoise(level, shift, byte);
      CAPTURE(shift);
      CAPTURE(level);
      ties += IsTieLevel(level, shift);
      // Every eps is odd, so at a tie level every single draw is a tie and goes up by half a step.
      REQUIRE(sum == (IsTieLevel(level, shift) ? 128.0 : 0.0));
    }
  }
  // One level in 2^s: 128 at shift 1, 64 at shift 2, ... 1 at shift 8, none above.
  CHECK(ties == 255);
}

TEST_CASE("noise moments: biases have 16-bit levels, and their ties shift the mean as well") {
  for (const int level : {256, 512, 16384, 16385, 49152, 65535}) {
    for (int shift = kMinShift; shift <= kMaxShift; ++shift) {
      double sum = 0;
      for (int byte = 0; byte < 256; ++byte) sum += ExactNoise(level, shift, byte);
      CAPTURE(shift);
      CAPTURE(level);
      CHECK((sum != 0.0) == IsTieLevel(level, shift));
    }
  }
}

TEST_CASE("noise moments: clamped weights equal the enumeration of all 256 draws") {
  Random random(1);
  int clipped = 0;
  for (int round = 0; round < 4000; ++round) {
    const int shift = random.Between(kMinShift, kMaxShift);
    const int level = random.Between(0, 255);
    const int mu =
        random.OneIn(4) ? random.OneOf({-127, -126, 126, 127}) : random.Between(-127, 127);
    const ClampedMoments found = WeightMoments(mu, level, shift);
    const ExactMoments exact = Enumerate(mu, level, shift);
    CAPTURE(mu);
    CAPTURE(level);
    CAPTURE(shift);
    REQUIRE(found.mean == exact.mean);
    REQUIRE(std::abs(found.variance - exact.variance) <= 1e-9 * (1 + exact.variance));
    REQUIRE(found.clipped == exact.clipped);
    REQUIRE(std::abs(found.along - exact.along) <= 1e-9 * (1 + std::abs(exact.along)));
    clipped += exact.clipped > 0;
  }
  CHECK(clipped > 1000);  // both branches were met
}

TEST_CASE("noise moments: admissible levels are sorted by produced variance, without ties") {
  for (int shift = kMinShift; shift <= kMaxShift; ++shift) {
    const LevelTable& table = Levels(shift);
    std::vector<int> seen(256, 0);
    for (int i = 0; i < table.count; ++i) {
      const int level = table.order[static_cast<std::size_t>(i)];
      CAPTURE(shift);
      CAPTURE(level);
      CHECK_FALSE(IsTieLevel(level, shift));
      CHECK(++seen[static_cast<std::size_t>(level)] == 1);
      if (i == 0) continue;
      const int before = table.order[static_cast<std::size_t>(i) - 1];
      CHECK(VarianceOf(table, before) <= VarianceOf(table, level));
    }
    for (int level = 0; level < 256; ++level) {
      CHECK(seen[static_cast<std::size_t>(level)] == (IsTieLevel(level, shift) ? 0 : 1));
    }
  }
}

// Targets that a search may stumble over: exact variances, their neighbours, and beyond both ends.
std::vector<double> Targets(const LevelTable& table, Random* random) {
  std::vector<double> targets = {0.0, 1e-30, 1e30, VarianceOf(table, 255)};
  for (int i = 0; i < 40; ++i) {
    const double variance = VarianceOf(table, random->Between(0, 255));
    targets.push_back(variance);
    targets.push_back(variance * (1 + 1e-12));
    targets.push_back(variance * (1 - 1e-12));
    targets.push_back(random->Unit() * VarianceOf(table, 255));
    targets.push_back(random->Unit());
  }
  return targets;
}

TEST_CASE("noise moments: Nearest, Below and Above equal a search through all admissible levels") {
  Random random(2);
  for (int shift = kMinShift; shift <= kMaxShift; ++shift) {
    const LevelTable& table = Levels(shift);
    for (const double target : Targets(table, &random)) {
      double below = 0.0;  // level 0
      double above = std::numeric_limits<double>::infinity();
      double greatest = 0.0;
      double error = std::numeric_limits<double>::infinity();
      for (int level = 0; level < 256; ++level) {
        if (IsTieLevel(level, shift)) continue;
        const double variance = VarianceOf(table, level);
        if (variance <= target) below = std::max(below, variance);
        if (variance >= target) above = std::min(above, variance);
        greatest = std::max(greatest, variance);
        error = std::min(error, std::abs(variance - target));
      }
      CAPTURE(shift);
      CAPTURE(target);
      REQUIRE_FALSE(IsTieLevel(table.Nearest(target), shift));
      REQUIRE_FALSE(IsTieLevel(table.Below(target), shift));
      REQUIRE_FALSE(IsTieLevel(table.Above(target), shift));
      REQUIRE(VarianceOf(table, table.Below(target)) == below);
      REQUIRE(VarianceOf(table, table.Above(target)) == std::min(above, greatest));
      REQUIRE(std::abs(VarianceOf(table, table.Nearest(target)) - target) == error);
    }
  }
}

TEST_CASE("noise moments: the shift is the largest at which the greatest sigma has a level") {
  Random random(3);
  CHECK(ChooseShift(0.0) == kMaxShift);
  CHECK(ChooseShift(-1.0) == kMaxShift);
  CHECK(ChooseShift(std::numeric_limits<double>::quiet_NaN()) == kMaxShift);
  for (int round = 0; round < 20000; ++round) {
    const double sigma = std::exp2(-20.0 + 40.0 * random.Unit());
    const std::int32_t shift = ChooseShift(sigma);
    CAPTURE(sigma);
    CAPTURE(shift);
    REQUIRE(shift >= kMinShift);
    REQUIRE(shift <= kMaxShift);
    // sigma = 32 level / 2^s; 250 leaves room to step past a tie.
    const double level = std::ldexp(sigma, shift) / 32;
    if (level > 250.0 * (1 + 1e-12)) {
      REQUIRE(shift == kMinShift);
      continue;  // greater than any shift can hold
    }
    // That variance or more is produced, so that smaller ones can be bracketed.
    const auto reaches = [&](int s) {
      return VarianceOf(Levels(s),
                        Levels(s).order[static_cast<std::size_t>(Levels(s).count - 1)]) >=
             sigma * sigma;
    };
    REQUIRE(reaches(shift));
    const LevelTable& table = Levels(shift);
    if (shift < kMaxShift) {
      const bool too_great = 2 * level > 250.0 * (1 - 1e-12);
      REQUIRE((too_great || !reaches(shift + 1)));
    }
    // Where noise is not a fraction of one step, the nearest level is within 6 % of the variance.
    if (sigma < 2.0 || level < 125.0) continue;
    const double nearest = VarianceOf(table, table.Nearest(sigma * sigma));
    REQUIRE(std::abs(nearest / (sigma * sigma) - 1.0) < 0.06);
  }
}

}  // namespace
}  // namespace mu8::convert
