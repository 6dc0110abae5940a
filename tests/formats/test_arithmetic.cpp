// The arithmetic of scales that Open proves bounds on and the engine computes with.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "formats/arithmetic.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

using Limits = std::numeric_limits<float>;

format::TensorRecord Scaled(float scale) {
  format::TensorRecord tensor{};
  tensor.scale = scale;
  return tensor;
}

TEST_CASE("arithmetic: normal means positive, finite and not subnormal") {
  for (const float value : {Limits::min(), 1.0F, Limits::max()}) CHECK(format::IsNormal(value));
  for (const float value : {0.0F, -0.0F, std::nextafter(Limits::min(), 0.0F), Limits::denorm_min(),
                            -1.0F, -Limits::max(), Limits::infinity(), -Limits::infinity(),
                            Limits::quiet_NaN(), -Limits::quiet_NaN()}) {
    CAPTURE(value);
    CHECK_FALSE(format::IsNormal(value));
  }
}

TEST_CASE("arithmetic: finite is all but infinities and NaN") {
  for (const float value : {0.0F, -0.0F, Limits::denorm_min(), Limits::max(), -Limits::max()}) {
    CAPTURE(value);
    CHECK(format::IsFinite(value));
  }
  for (const float value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
    CAPTURE(value);
    CHECK_FALSE(format::IsFinite(value));
  }
}

TEST_CASE("arithmetic: the nearest normal number of those up to a bound") {
  CHECK(format::NearestNormal(1.5F, 2.0F) == 1.5F);
  CHECK(format::NearestNormal(2.0F, 2.0F) == 2.0F);
  CHECK(format::NearestNormal(2.5F, 2.0F) == 2.0F);
  CHECK(format::NearestNormal(Limits::infinity(), format::kMostNormal) == Limits::max());
  CHECK(format::NearestNormal(Limits::min(), 2.0F) == Limits::min());
  for (const float value : {0.0F, -0.0F, -1.0F, -Limits::infinity(), Limits::denorm_min()}) {
    CAPTURE(value);
    CHECK(format::NearestNormal(value, 2.0F) == Limits::min());
  }
}

TEST_CASE("arithmetic: rounds to the nearest integer, ties to even") {
  for (const float value : {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 0.49999997F, 4194303.5F, -4194304.0F}) {
    CAPTURE(value);
    CHECK(format::RoundToEven(value) == std::lrintf(value));
  }
  Random random(3);
  for (int i = 0; i < 10000; ++i) {
    const auto value = static_cast<float>((random.Unit() - 0.5) * 600.0);
    CAPTURE(value);
    REQUIRE(format::RoundToEven(value) == std::lrintf(value));
  }
}

TEST_CASE("arithmetic: the largest factor has 21 bits") {
  CHECK(format::FixedPointShift(0x1p20F) == 0);
  CHECK(format::FixedPointShift(0x1.fffffep19F) == format::kMinFixedPointShift);
  CHECK(format::FixedPointShift(0x1p-10F) == format::kMaxFixedPointShift);
  CHECK(format::FixedPointShift(0x1.fffffep-11F) == format::kMaxFixedPointShift + 1);
  Random random(4);
  for (int i = 0; i < 10000; ++i) {
    const auto factor =
        static_cast<float>(std::ldexp(1.0 + random.Unit(), random.Between(-10, 19)));
    const std::int32_t shift = format::FixedPointShift(factor);
    const std::int32_t fixed = format::FixedPoint(factor, shift);
    CAPTURE(factor);
    REQUIRE(fixed >= 1 << 20);
    REQUIRE(fixed <= 1 << 21);
    REQUIRE(fixed == std::lrint(std::ldexp(static_cast<double>(factor), shift)));
  }
}

TEST_CASE("arithmetic: ratios and products divide by the output's scale last") {
  const auto input = Scaled(0.3F);
  const auto second = Scaled(0.7F);
  const auto output = Scaled(0.9F);
  CHECK(format::ScaleRatio(input, &output) == 0.3F / 0.9F);
  CHECK(format::ScaleRatio(input, nullptr) == 0.3F);
  const format::SumFactors sum = format::MakeSumFactors(input, second, output);
  CHECK(sum.a == 0.3F / 0.9F);
  CHECK(sum.b == 0.7F / 0.9F);
  CHECK(sum.largest() == sum.b);
  CHECK(format::MakeSumFactors(second, input, output).largest() == sum.b);
  const format::ProductScales product = format::MakeProductScales(input, second, output);
  const float both = 0.3F * 0.7F;
  CHECK(product.product == both);
  CHECK(product.multiplier == both / 0.9F);
}

TEST_CASE("arithmetic: a layer's multipliers and residual factors by slot") {
  const auto input = Scaled(0.3F);
  const auto output = Scaled(0.9F);
  const auto residual = Scaled(0.07F);
  const format::WeightedScales of(input.scale, output.scale, residual.scale);
  const float ratio = 0.3F / 0.9F;
  for (std::uint32_t c = 0; c < 16; ++c) {
    CAPTURE(c);
    const float scale = 0.01F * static_cast<float>(16 - c);
    CHECK(of.Multiplier(scale) == scale * ratio);
    const float unit = scale * 0.3F;
    CHECK(of.ResidualUnit(scale) == unit);
    CHECK(of.ResidualFactor(scale) == 0.07F / unit);
  }
  const format::WeightedScales logits(input.scale, 1.0F, 0.0F);
  CHECK(logits.Multiplier(0.25F) == 0.25F * 0.3F);
}

}  // namespace
}  // namespace mu8::testing
