// The Gaussian table, derived anew from the normal distribution.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/gaussian_table.h"
#include "tests/support/reference_noise.h"

namespace mu8::testing {
namespace {

TEST_CASE("gaussian table: the normal quantiles of (i + 128.5) / 256, on the odd grid of 1/32") {
  const std::array<std::int32_t, 256> derived = DeriveEpsilon();
  for (std::size_t byte = 0; byte < 256; ++byte) {
    CAPTURE(byte);
    CHECK(kernels::Epsilon(static_cast<std::uint8_t>(byte)) == derived[byte]);
  }
}

TEST_CASE("gaussian table: no quantile is so close to a step that rounding could decide") {
  double nearest = 1;
  for (int i = 0; i < 128; ++i) {
    const double scaled = 16 * NormalQuantile((i + 128.5) / 256);
    nearest = std::min(nearest, std::abs(scaled - std::round(scaled)));
  }
  CHECK(nearest > 1e-6);
}

TEST_CASE("gaussian table: odd, symmetric, sum zero, the stated variance") {
  int sum = 0;
  int squares = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const std::int32_t epsilon = kernels::Epsilon(static_cast<std::uint8_t>(byte));
    CHECK(epsilon % 2 != 0);
    CHECK(kernels::Epsilon(static_cast<std::uint8_t>(byte ^ 128)) == -epsilon);
    sum += epsilon;
    squares += epsilon * epsilon;
  }
  CHECK(sum == 0);
  CHECK(squares == kernels::kEpsilonSumOfSquares);
  CHECK(squares == 261520);
}

// What FORMAT.md, gaussian_table.h and options.h say of the tail.
TEST_CASE("gaussian table: where its tail ends, and what that costs") {
  int beyond_2 = 0, beyond_2_5 = 0, farthest = 0;
  double fourth = 0;
  for (const std::int32_t epsilon : kernels::kEpsilonMagnitude) {
    beyond_2 += epsilon > 2 * kernels::kEpsilonUnit ? 1 : 0;
    beyond_2_5 += 2 * epsilon > 5 * kernels::kEpsilonUnit ? 1 : 0;
    farthest = std::max(farthest, static_cast<int>(epsilon));
    fourth += std::pow(epsilon, 4) / 128;
  }
  CHECK(farthest == 93);
  CHECK(beyond_2 == 6);    // of 128: .0469, the normal .0455
  CHECK(beyond_2_5 == 2);  // .0156, the normal .0124
  const double variance = kernels::kEpsilonSumOfSquares / 256.0;
  CHECK(fourth / (variance * variance) == doctest::Approx(2.93).epsilon(0.002));
}

// Kolmogorov and Smirnov's distance of the table's distribution from the normal's. An atom of the
// grid holds up to 7 of 256 bytes; half of that is the least that a distribution on this grid can
// have there.
TEST_CASE(
    "gaussian table: its distribution is nowhere further from the normal's than half an atom") {
  double distance = 0;
  std::array<int, 256> counts{};
  for (int byte = 0; byte < 256; ++byte) {
    ++counts[static_cast<std::size_t>(kernels::Epsilon(static_cast<std::uint8_t>(byte)) + 128)];
  }
  const int most = *std::max_element(counts.begin(), counts.end());
  int below = 0;
  for (int value = -128; value < 128; ++value) {
    const double normal = 0.5 * std::erfc(-value / (kernels::kEpsilonUnit * std::sqrt(2.0)));
    distance = std::max(distance, std::abs(below / 256.0 - normal));
    below += counts[static_cast<std::size_t>(value + 128)];
    distance = std::max(distance, std::abs(below / 256.0 - normal));
  }
  CHECK(most == 7);
  CHECK(distance < (most / 2.0 + 0.5) / 256);
  CHECK(distance > 0.01);  // it is measured
}

}  // namespace
}  // namespace mu8::testing
