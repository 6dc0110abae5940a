// Bytes before a function lie where they change what it gives.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "converters/calibrate/quantization.h"
#include "converters/lower/function_ranges.h"

namespace mu8::convert {
namespace {

using Function = std::function<double(double)>;

// As many of each value between `low` and `high`.
ValueStatistics Even(double low, double high) {
  ValueStatistics statistics;
  statistics.least = static_cast<float>(low);
  statistics.greatest = static_cast<float>(high);
  statistics.histogram.assign(kHistogramBins, 1.0);
  return statistics;
}

// What a function makes of them.
ValueStatistics Behind(double low, double high, const Function& function) {
  std::vector<double> values;
  for (int i = 0; i <= 10000; ++i) values.push_back(function(low + (high - low) * i / 10000));
  const auto [least, greatest] = std::ranges::minmax(values);
  ValueStatistics statistics = Even(least, greatest);
  std::ranges::fill(statistics.histogram, 0.0);
  for (const double y : values) {
    const double place = greatest > least ? (y - least) / (greatest - least) : 0.0;
    statistics.histogram[std::min(static_cast<std::size_t>(place * kHistogramBins),
                                  kHistogramBins - 1)] += 1.0;
  }
  return statistics;
}

Node Reader(Op op, int input, int output) {
  Node node{.op = op};
  node.inputs = {input};
  node.output = output;
  return node;
}

struct Case {
  Network network;
  Calibration calibration;

  // Value 0 between `low` and `high`, and value 1, `function` of it, which a dense layer reads.
  Case(double low, double high, const Function& function) {
    network.values.resize(3);
    network.nodes = {Reader(Op::kLookup, 0, 1), Reader(Op::kDense, 1, 2)};
    network.nodes[0].function = function;
    network.output = 2;
    calibration.values = {Even(low, high), Behind(low, high, function), Even(0, 1)};
  }

  Quantization Chosen(int value = 0) const {
    return FunctionRanges(network, calibration).Of(value);
  }
};

double Low(const Quantization& q) { return -q.zero_point * double{q.scale}; }
double High(const Quantization& q) { return (255 - q.zero_point) * double{q.scale}; }

double Tanh(double x) { return std::tanh(x); }
double Silu(double x) { return x / (1 + std::exp(-x)); }

double Stored(double x, const Quantization& q) {
  const double byte = std::nearbyint(x / double{q.scale}) + q.zero_point;
  return (std::clamp(byte, 0.0, 255.0) - q.zero_point) * double{q.scale};
}

// Mean squared error behind the function, which is stored as `result`, of values stored as `q`;
// what clamps add counts 16 times.
double ErrorBehind(const ValueStatistics& seen, const Function& function, const Quantization& q,
                   const Quantization& result) {
  double error = 0.0, count = 0.0;
  for (std::size_t bin = 0; bin < kHistogramBins; ++bin) {
    for (int i = 0; i < 10; ++i) {
      const double x = double{seen.least} + (static_cast<double>(bin) + (i + 0.5) / 10) *
                                                (double{seen.greatest} - double{seen.least}) /
                                                kHistogramBins;
      const double y = function(x);
      const double of_result = std::pow(Stored(y, result) - y, 2);
      const double all = std::pow(Stored(function(Stored(x, q)), result) - y, 2);
      const double weight = x < Low(q) || x > High(q) ? 16.0 : 1.0;
      error += seen.histogram[bin] * (of_result + weight * (all - of_result));
      count += seen.histogram[bin];
    }
  }
  return error / count;
}

Quantization Between(double low, double high) {
  const double scale = (high - low) / 255;
  return {static_cast<float>(scale), static_cast<std::uint8_t>(std::nearbyint(-low / scale))};
}

TEST_CASE("function ranges: what a Tanh hardly tells apart has no bytes") {
  const Case tanh(-10, 12, Tanh);
  const Quantization chosen = tanh.Chosen();
  CHECK(Low(chosen) < -1.5);
  CHECK(Low(chosen) > -3.2);
  CHECK(High(chosen) > 1.5);
  CHECK(High(chosen) < 3.2);
  const ValueStatistics& seen = tanh.calibration.values[0];
  const double error = ErrorBehind(seen, Tanh, chosen, tanh.Chosen(1));
  for (double low = 0.5; low < 8; low += 0.25) {
    for (double high = 0.5; high < 8; high += 0.25) {
      CAPTURE(low);
      CAPTURE(high);
      CHECK(error < 1.02 * ErrorBehind(seen, Tanh, Between(-low, high), tanh.Chosen(1)));
    }
  }
}

TEST_CASE("function ranges: a byte that a Tanh reaches far out alone is given up") {
  // Most of what calibration sees lies within -1 and 1, little far out. Stored from -1 to 1 the
  // greatest rounds up to a code of its own, which begins where the Tanh is that far.
  Case tanh(-6, 6, Tanh);
  ValueStatistics& seen = tanh.calibration.values[0];
  for (std::size_t bin = 0; bin < kHistogramBins; ++bin) {
    const double x = -6 + 12 * (static_cast<double>(bin) + 0.5) / kHistogramBins;
    seen.histogram[bin] = std::exp(-x * x / 2);
  }
  const Quantization chosen = tanh.Chosen(), result = tanh.Chosen(1);
  CHECK(High(chosen) < 3);
  CHECK(Low(chosen) > -3);
  const auto behind = [&](const Quantization& q) { return ErrorBehind(seen, Tanh, q, result); };
  CHECK(behind(chosen) < 0.6 * behind(Between(-3.2, 5.5)));
  CHECK(result.scale == doctest::Approx(2.0 / 255).epsilon(0.02));
}

TEST_CASE("function ranges: one side of a SiLU, none of a line, all of a constant") {
  const Quantization silu = Case(-20, 5, Silu).Chosen();
  CHECK(Low(silu) > -8);
  CHECK(Low(silu) < -2);
  CHECK(High(silu) == doctest::Approx(5).epsilon(0.02));
  for (const Function& function :
       {Function([](double x) { return 2 * x; }), Function([](double) { return 0.5; }),
        Function([](double x) { return std::tanh(x / 100); })}) {
    const Quantization chosen = Case(-20, 5, function).Chosen();
    CHECK(Low(chosen) == doctest::Approx(-20).epsilon(0.02));
    CHECK(High(chosen) == doctest::Approx(5).epsilon(0.02));
  }
}

TEST_CASE("function ranges: results without a number, and values without a width") {
  const Case reciprocal(-1, 1, [](double x) { return 1 / std::sqrt(x); });
  CHECK(std::isfinite(reciprocal.Chosen().scale));
  CHECK(High(reciprocal.Chosen()) > 0.0);
  const Case zero(0, 0, Tanh);
  CHECK(zero.Chosen().scale == 1.0F);
  CHECK(zero.Chosen().zero_point == 0);
  const Case above(3, 5, Silu), below(-5, -3, Tanh);
  CHECK(above.Chosen().zero_point == 0);
  CHECK(below.Chosen().zero_point == 255);
}

TEST_CASE("function ranges: a function whose own range ends earlier needs no bytes beyond") {
  // x -> SiLU -> clip to [-1, 1] -> dense: SiLU's bytes are spread over -0.3 to 1 alone.
  Case chain(-12, 20, Silu);
  chain.network.values.resize(4);
  chain.network.nodes.back().inputs = {2};
  chain.network.nodes.back().output = 3;
  chain.network.output = 3;
  Node clip = Reader(Op::kClip, 1, 2);
  clip.low = -1.0F;
  clip.high = 1.0F;
  chain.network.nodes.insert(chain.network.nodes.begin() + 1, clip);
  chain.calibration.values.push_back(Even(0, 1));
  chain.calibration.values[2] = Behind(-12, 20, [](double x) { return std::min(Silu(x), 1.0); });
  CHECK(High(chain.Chosen(1)) > 0.99);
  CHECK(High(chain.Chosen(1)) < 1.1);
  CHECK(Low(chain.Chosen()) < -4);
  CHECK(High(chain.Chosen()) < 2);
}

TEST_CASE("function ranges: readers together, through a pool, and those that need all") {
  Case two(-10, 10, Tanh);
  two.network.values.resize(4);
  two.calibration.values.push_back(Even(0, 6));
  Node clip = Reader(Op::kClip, 0, 3);
  clip.high = 6.0F;
  two.network.nodes.push_back(clip);
  CHECK(Low(two.Chosen()) > -3.2);
  CHECK(High(two.Chosen()) > 5.5);
  CHECK(High(two.Chosen()) < 6.2);
  two.network.nodes.back().op = Op::kAdd;
  CHECK(Low(two.Chosen()) == doctest::Approx(-10).epsilon(0.01));
  CHECK(High(two.Chosen()) == doctest::Approx(10).epsilon(0.01));

  Case by_channel(-10, 10, Tanh);
  const double narrow = High(by_channel.Chosen());
  by_channel.network.nodes[0].function = nullptr;
  by_channel.network.nodes[0].functions = {Tanh, [](double x) { return std::tanh(x / 2); }};
  CHECK(High(by_channel.Chosen()) > 1.2 * narrow);
  CHECK(High(by_channel.Chosen()) < 2.1 * narrow);

  Case pooled(-10, 10, Tanh);
  pooled.network.values.resize(4);
  pooled.calibration.values.push_back(Even(-10, 10));
  pooled.network.nodes.push_back(Reader(Op::kMaxPool, 3, 0));
  CHECK(pooled.Chosen(3).scale == pooled.Chosen().scale);
  pooled.network.output = 0;
  CHECK(Low(pooled.Chosen(3)) == doctest::Approx(-10).epsilon(0.01));
}

TEST_CASE("function ranges: what is above a range saturates where a function tells it apart") {
  const Case tanh(-10, 10, Tanh), silu(-10, 10, Silu);
  const Quantization narrow = Between(-2.8, 2.8);
  CHECK(FunctionRanges(tanh.network, tanh.calibration).Saturation(0, narrow) == 0.0);
  CHECK(FunctionRanges(silu.network, silu.calibration).Saturation(0, narrow) ==
        doctest::Approx(0.36).epsilon(0.02));
  CHECK(FunctionRanges(tanh.network, tanh.calibration).Saturation(0, Between(-1, 1)) ==
        doctest::Approx(0.45).epsilon(0.02));
  // A dense layer tells all values apart.
  CHECK(FunctionRanges(tanh.network, tanh.calibration).Saturation(1, Between(-0.5, 0.5)) > 0.45);
}

}  // namespace
}  // namespace mu8::convert
