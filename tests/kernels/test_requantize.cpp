// The rounding of the definition: nearest, ties to even, clamped before the conversion.
#include <doctest/doctest.h>

#include <limits>

#include "kernels/scalar/kernels.h"

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

}  // namespace
}  // namespace mu8::testing
