// Bounds that Open proves, to the unit: what it says of a file that is one too much must be the
// page's own number.
#include <doctest/doctest.h>

#include <cmath>

#include "formats/reader.h"
#include "tests/support/model_builder.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

// FORMAT.md 6.4 and 6.6 in double precision, which holds all of it exactly.
double BoundBesideBias(float factor) {
  const double shift = 20 - std::floor(std::log2(static_cast<double>(factor)));
  const double fixed_point = std::rint(static_cast<double>(factor) * std::exp2(shift));
  const double residual = std::floor((255 * fixed_point + std::exp2(shift - 1)) / std::exp2(shift));
  return 255.0 * 127 * 4 + residual;
}

TEST_CASE("reader: an accumulator's bound with a residual is the page's, to the unit") {
  constexpr double kMost = 2147483647;
  Random random(71);
  int rounded_up = 0;
  for (int round = 0; round < 200; ++round) {
    const auto factor = static_cast<float>(std::exp2(10 * random.Unit() - 5));
    const double beside = BoundBesideBias(factor);
    rounded_up += beside > 255.0 * 127 * 4 + 255 * static_cast<double>(factor) ? 1 : 0;
    const auto most = static_cast<std::int32_t>(kMost - beside);
    for (const std::int32_t bias : {most, -most, most + 1, -most - 1}) {
      CAPTURE(factor);
      CAPTURE(bias);
      format::View view;
      Diagnostic diagnostic;
      const AlignedBytes file = ResidualModel(factor, 1, bias).File();
      const Status status = format::Open(file.span(), &view, &diagnostic);
      if (std::abs(bias) == most) {
        REQUIRE(status == Status::kOk);
        continue;
      }
      REQUIRE(status == Status::kAccumulatorOverflow);
      CHECK(static_cast<double>(diagnostic.found) == kMost + 1);
    }
  }
  CHECK(rounded_up > 50);
}

}  // namespace
}  // namespace mu8::testing
