// The rounding of the definition: nearest, ties to even, clamped before the conversion.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

using kernels::scalar::Requantize;

TEST_CASE("requantize: ties go to the even value") {
  CHECK(Requantize(1, 0.5F, 0, 0, 255) == 0);
  CHECK(Requantize(3, 0.5F, 0, 0, 255) == 2);
  CHECK(Requantize(5, 0.5F, 0, 0, 255) == 2);
  CHECK(Requantize(7, 0.5F, 0, 0, 255) == 4);
  // The zero point is added after rounding.
  CHECK(Requantize(1, 0.5F, 3, 0, 255) == 3);
  CHECK(Requantize(-1, 0.5F, 3, 0, 255) == 3);
  CHECK(Requantize(-3, 0.5F, 3, 0, 255) == 1);
}

TEST_CASE("requantize: clamps the largest accumulators") {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t kLeast = std::numeric_limits<std::int32_t>::min();
  CHECK(Requantize(kMost, 0.999F, 100, 0, 255) == 255);
  CHECK(Requantize(kLeast, 0.999F, 100, 0, 255) == 0);
  CHECK(Requantize(kMost, 0.999F, 100, 100, 180) == 180);
  CHECK(Requantize(kLeast, 0.999F, 100, 100, 180) == 100);
}

TEST_CASE("requantize: every value of every zero point comes out of its own accumulator") {
  int checked = 0;
  for (int zero_out = 0; zero_out < 256; ++zero_out) {
    for (int q = 0; q < 256; ++q) {
      checked += Requantize((q - zero_out) * 1000, 0.001F, zero_out, 0, 255) == q ? 1 : 0;
    }
  }
  CHECK(checked == 256 * 256);
}

// Accumulators of every size at multipliers of every size, and such whose products are halves or
// next to them.
TEST_CASE("requantize: in integers as in floats") {
  using kernels::portable::RequantizeInIntegers;
  Random random(11);
  int inside = 0;
  for (int i = 0; i < 1000000; ++i) {
    // 1 to 31 bits. (They once had all 32, so that nothing saw a magnitude that was 1 too large.)
    auto accumulator = static_cast<std::int32_t>(random.Next() >> (33 + random.Below(31)));
    if (random.OneIn(2)) accumulator = ~accumulator;
    const int exponent = random.OneIn(4) ? random.Between(-126, 127) : random.Between(-31, 2);
    float multiplier = std::ldexp(1.0F, exponent);
    if (!random.OneIn(3)) {
      const float fraction = static_cast<float>(random.Below(1U << 23)) * 0x1p-23F;
      multiplier *= 1 + (random.OneIn(2) ? fraction : std::ldexp(std::round(fraction * 8), -3));
    }
    if (random.OneIn(4)) {
      const float value = static_cast<float>(random.Between(-300, 300)) + 0.5F;
      accumulator = static_cast<std::int32_t>(
          std::clamp(value / multiplier, -0x1.fffffep30F, 0x1.fffffep30F));
    }
    const int zero_out = random.Between(0, 255);
    const int low = random.Between(0, 255);
    const int high = random.Between(low, 255);
    const int expected = Requantize(accumulator, multiplier, zero_out, low, high);
    inside += expected > low && expected < high ? 1 : 0;
    CAPTURE(accumulator);
    CAPTURE(multiplier);
    CAPTURE(zero_out);
    if (RequantizeInIntegers(accumulator, multiplier, zero_out, low, high) == expected) continue;
    FAIL("differs, expected " << expected);
  }
  CHECK(inside > 50000);
}

// The carry of a rounding then reaches the first bit.
TEST_CASE("requantize: in integers, accumulators that round up to a power of two") {
  using kernels::portable::RequantizeInIntegers;
  int compared = 0;
  for (int bits = 24; bits <= 31; ++bits) {
    for (const std::int64_t below : {1, 2, 3, 64, 65}) {
      const auto magnitude = static_cast<std::int32_t>((std::int64_t{1} << bits) - below);
      for (const std::int32_t accumulator : {magnitude, -magnitude}) {
        for (int exponent = -bits; exponent <= 8 - bits; ++exponent) {
          for (const float fraction : {1.0F, 1.5F, 0x1.000002p0F, 0x1.fffffep0F}) {
            const float multiplier = std::ldexp(fraction, exponent);
            CAPTURE(accumulator);
            CAPTURE(multiplier);
            REQUIRE(RequantizeInIntegers(accumulator, multiplier, 128, 0, 255) ==
                    Requantize(accumulator, multiplier, 128, 0, 255));
            ++compared;
          }
        }
      }
    }
  }
  CHECK(compared == 8 * 5 * 2 * 9 * 4);
}

}  // namespace
}  // namespace mu8::testing
