// The standard normal distribution against tabulated values.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "converters/host/normal.h"

namespace mu8::host {
namespace {

doctest::Approx Near(double value) { return doctest::Approx(value).epsilon(1e-14); }

TEST_CASE("normal: density") {
  CHECK(NormalDensity(0) == Near(1 / std::sqrt(2 * std::numbers::pi)));
  CHECK(NormalDensity(1) == Near(0.24197072451914337));
  CHECK(NormalDensity(-1) == NormalDensity(1));
}

TEST_CASE("normal: cdf, in the far lower tail too") {
  CHECK(NormalCdf(0) == 0.5);
  CHECK(NormalCdf(1) == Near(0.8413447460685429));
  CHECK(NormalCdf(1.96) == Near(0.9750021048517795));
  // doctest's Approx is relative to values of about 1.
  CHECK(NormalCdf(-6) / 9.865876450376946e-10 == Near(1));
  CHECK(NormalCdf(-30) / 4.906713927147908e-198 == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("normal: quantiles that tables have") {
  CHECK(NormalQuantile(0.5) == doctest::Approx(0));
  CHECK(NormalQuantile(0.75) == Near(0.6744897501960817));
  CHECK(NormalQuantile(0.95) == Near(1.6448536269514722));
  CHECK(NormalQuantile(0.975) == Near(1.959963984540054));
  CHECK(NormalQuantile(0.995) == Near(2.5758293035489004));
  CHECK(NormalQuantile(1e-10) == Near(-6.361340902404056));
  CHECK(NormalQuantile(1e-300) == Near(-37.0470962993612));
}

TEST_CASE("normal: the quantile is the inverse of the cdf, and odd about one half") {
  for (int i = 1; i < 100; ++i) {
    const double probability = i / 100.0;
    CHECK(NormalCdf(NormalQuantile(probability)) == Near(probability));
    CHECK(NormalQuantile(1 - probability) == Near(-NormalQuantile(probability)));
  }
}

}  // namespace
}  // namespace mu8::host
