// The integer twin of f64 against the processor's own, bit by bit.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "engine/src/soft_double.h"
#include "tests/support/effort.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

std::uint64_t Bits(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
std::uint32_t Bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
double Hardware(SoftDouble value) {
  double number;
  std::memcpy(&number, &value.bits, sizeof(number));
  return number;
}

// Bits that rounding likes: random ones, few ones, long runs, ends of the range.
std::uint64_t Integer(Random* random) {
  const std::uint64_t value = random->Next() >> random->Below(64);
  switch (random->Below(5)) {
    case 0:
      return value;
    case 1:
      return std::uint64_t{1} << random->Below(64);
    case 2:
      return (std::uint64_t{1} << random->Below(64)) - 1;
    case 3:
      return value | (std::uint64_t{1} << random->Below(64)) | 1;
    default:
      return value & random->Next() & random->Next();
  }
}

// A normal number, or 0; products and quotients of two of exponents below 500 are normal, too.
SoftDouble Operand(Random* random, std::uint32_t exponents) {
  if (random->OneIn(40)) return {};
  const std::uint64_t exponent = 1023 - exponents + random->Below(2 * exponents + 1);
  const std::uint64_t fraction = Integer(random) & ((std::uint64_t{1} << 52) - 1);
  return {(random->Next() & (std::uint64_t{1} << 63)) | exponent << 52 | fraction};
}

// IEEE's zeros have signs; ours is +0.
std::uint64_t Expected(double value) { return value == 0.0 ? 0 : Bits(value); }

TEST_CASE("soft double: sums, products, quotients and order are the processor's bits") {
  Random random(41);
  std::uint64_t executed = 0, wrong = 0;
  for (int i = 0; i < Effort(3000000, 100000); ++i) {
    // Close exponents cancel; far ones round.
    const std::uint32_t exponents = random.OneOf<std::uint32_t>({1, 4, 60, 500});
    const SoftDouble a = Operand(&random, exponents), b = Operand(&random, exponents);
    const double x = Hardware(a), y = Hardware(b);
    wrong += (a + b).bits != Expected(x + y) ? 1U : 0U;
    wrong += (a - b).bits != Expected(x - y) ? 1U : 0U;
    wrong += (a * b).bits != Expected(x * y) ? 1U : 0U;
    if (y != 0.0) wrong += (a / b).bits != Expected(x / y) ? 1U : 0U;
    wrong += (a < b) != (x < y) ? 1U : 0U;
    wrong += (a < a) ? 1U : 0U;
    executed += 6;
    if (wrong == 0) continue;
    CAPTURE(x);
    CAPTURE(y);
    REQUIRE(wrong == 0);
  }
  MESSAGE("operations compared: " << executed);
  CHECK(executed > 0);
}

TEST_CASE("soft double: conversions round as the processor's do") {
  Random random(42);
  std::uint64_t executed = 0, wrong = 0, subnormal = 0, infinite = 0;
  for (int i = 0; i < Effort(3000000, 100000); ++i) {
    const std::uint64_t integer = Integer(&random);
    wrong += SoftFromInteger(integer).bits != Bits(static_cast<double>(integer)) ? 1U : 0U;
    auto bits = static_cast<std::uint32_t>(random.Next());
    if ((bits >> 23 & 0xff) == 255) bits ^= 0x40000000U;
    float number;
    std::memcpy(&number, &bits, sizeof(number));
    wrong += SoftFromFloat(number).bits != Expected(static_cast<double>(number)) ? 1U : 0U;
    // From below the smallest float to beyond the largest.
    const SoftDouble wide = Operand(&random, random.OneOf<std::uint32_t>({30, 160}));
    const float narrow = static_cast<float>(Hardware(wide));
    wrong += Bits(ToFloat(wide)) != Bits(narrow) ? 1U : 0U;
    subnormal += narrow != 0.0F && std::fabs(narrow) < 0x1p-126F ? 1U : 0U;
    infinite += std::isinf(narrow) ? 1U : 0U;
    wrong += Bits(SoftRound(integer)) != Bits(static_cast<float>(integer)) ? 1U : 0U;
    // From 2^-33 to below 2^63.
    const auto below = static_cast<std::uint32_t>(94U + random.Below(96)) << 23;
    const auto whole_bits = below | static_cast<std::uint32_t>(random.Next() & 0x7fffff);
    float whole;
    std::memcpy(&whole, &whole_bits, sizeof(whole));
    wrong += SoftFloor(whole) != static_cast<std::uint64_t>(whole) ? 1U : 0U;
    executed += 5;
    if (wrong == 0) continue;
    CAPTURE(integer);
    CAPTURE(number);
    CAPTURE(Hardware(wide));
    REQUIRE(wrong == 0);
  }
  MESSAGE("conversions compared: " << executed << ", to subnormal floats: " << subnormal
                                   << ", to infinity: " << infinite);
  CHECK(subnormal > 0);
  CHECK(infinite > 0);
}

}  // namespace
}  // namespace mu8::testing
