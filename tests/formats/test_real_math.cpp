// exp and log of formats/real_math.h against the C library in double precision, over a sweep of
// floats by their bits.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "formats/real_math.h"
#include "tests/support/effort.h"

namespace mu8::testing {
namespace {

using format::ExpNegative;
using format::LogPositive;

TEST_CASE("exp: relative error below 2e-7 from -87 to 0") {
  double worst = 0;
  std::size_t executed = 0;
  const auto step = static_cast<std::uint32_t>(Effort(997, 19997));
  const auto least = std::bit_cast<std::uint32_t>(87.0F);
  for (std::uint32_t bits = 0; bits <= least; bits += step, ++executed) {
    const float x = -std::bit_cast<float>(bits);
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(ExpNegative(x)) - exact) / exact);
  }
  MESSAGE("exp: worst relative error " << worst << " of " << executed);
  CHECK(worst < 2e-7);
}

TEST_CASE("exp: ends of the range") {
  CHECK(ExpNegative(0.0F) == 1.0F);
  CHECK(ExpNegative(-0.0F) == 1.0F);
  CHECK(ExpNegative(-87.0F) > 0.0F);
  CHECK(ExpNegative(std::nextafter(-87.0F, -100.0F)) == 0.0F);
  CHECK(ExpNegative(-INFINITY) == 0.0F);
  CHECK(ExpNegative(NAN) == 0.0F);
}

TEST_CASE("log: absolute error below 1e-7 + 1e-7 |ln x| for positive normal floats") {
  double worst = 0;
  std::size_t executed = 0;
  const auto step = static_cast<std::uint32_t>(Effort(1499, 29989));
  for (std::uint32_t bits = 0x00800000; bits < 0x7f800000; bits += step, ++executed) {
    const auto x = std::bit_cast<float>(bits);
    const double exact = std::log(static_cast<double>(x));
    const double error = std::abs(static_cast<double>(LogPositive(x)) - exact);
    worst = std::max(worst, error / (1e-7 + 1e-7 * std::abs(exact)));
  }
  MESSAGE("log: worst error, of the one allowed " << worst << " of " << executed);
  CHECK(worst < 1);
}

TEST_CASE("log: relative error below 4e-7 from 1/2 to 1") {
  double worst = 0;
  for (std::uint32_t bits = 0x3f000000; bits < 0x3f800000;
       bits += static_cast<std::uint32_t>(Effort(7, 97))) {
    const auto x = std::bit_cast<float>(bits);
    const double exact = std::log(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(LogPositive(x)) / exact - 1));
  }
  const float below_one = std::bit_cast<float>(0x3f7fffffU);
  const double last = std::log(static_cast<double>(below_one));
  worst = std::max(worst, std::abs(static_cast<double>(LogPositive(below_one)) / last - 1));
  MESSAGE("log: worst relative error " << worst);
  CHECK(worst < 4e-7);
}

TEST_CASE("square root: relative error below 2e-7 for positive normal floats") {
  double worst = 0;
  const auto step = static_cast<std::uint32_t>(Effort(1499, 29989));
  for (std::uint32_t bits = 0x00800000; bits < 0x7f800000; bits += step) {
    const auto x = std::bit_cast<float>(bits);
    const double exact = std::sqrt(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(format::SqrtPositive(x)) / exact - 1));
  }
  MESSAGE("square root: worst relative error " << worst);
  CHECK(worst < 2e-7);
}

TEST_CASE("log: near one, where it loses digits most easily") {
  CHECK(LogPositive(1.0F) == 0.0F);
  double worst = 0;
  for (int i = -200000; i <= 200000; i += Effort(1, 17)) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(0x3f800000 + i));
    const double exact = std::log(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(LogPositive(x)) - exact));
  }
  CHECK(worst < 1e-8);
  CHECK(LogPositive(std::nextafter(1.0F, 2.0F)) > 0.0F);
}

// The worst relative error of f against its exact twin over floats from `low` to `high`.
template <typename F, typename Exact>
double WorstError(float low, float high, const F& f, const Exact& exact) {
  double worst = 0;
  const auto check = [&](float x) {
    if (x < low || x > high) return;
    const double wanted = exact(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(f(x)) - wanted) / wanted);
  };
  const auto step = static_cast<std::uint32_t>(Effort(997, 19997));
  const auto most = std::bit_cast<std::uint32_t>(std::max(-low, high));
  for (std::uint32_t bits = 0; bits <= most; bits += step) {
    check(std::bit_cast<float>(bits));
    check(-std::bit_cast<float>(bits));
  }
  return worst;
}

TEST_CASE("exp: relative error below 2e-7 up to 87, on both sides") {
  const double worst = WorstError(-87.0F, 87.0F, format::Exp, [](double x) { return std::exp(x); });
  MESSAGE("exp: worst relative error " << worst);
  CHECK(worst < 2e-7);
  CHECK(format::Exp(87.0F) > 6e37F);
  CHECK(format::Exp(std::nextafter(87.0F, 100.0F)) == INFINITY);
  CHECK(format::Exp(std::nextafter(-87.0F, -100.0F)) == 0.0F);
  CHECK(format::Exp(0.0F) == 1.0F);
}

TEST_CASE("softplus: relative errors, also where it is far below 1") {
  const double one_plus =
      WorstError(1e-37F, 1.0F, format::LogOnePlus, [](double x) { return std::log1p(x); });
  MESSAGE("log(1 + x): worst relative error " << one_plus);
  CHECK(one_plus < 3e-7);
  const double worst = WorstError(-80.0F, 1e30F, format::Softplus, [](double x) {
    return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  });
  MESSAGE("softplus: worst relative error " << worst);
  CHECK(worst < 3e-7);
  CHECK(format::Softplus(-100.0F) == 0.0F);
  CHECK(format::Softplus(1e30F) == 1e30F);
  CHECK(format::Softplus(0.0F) == doctest::Approx(std::log(2.0)).epsilon(1e-7));
}

}  // namespace
}  // namespace mu8::testing
