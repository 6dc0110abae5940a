// What functions reach of their inputs: the rest costs no stored bytes, and no byte behind the
// function changes by it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "converters/calibrate/quantization.h"
#include "converters/lower/saturation.h"

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

  ValueStatistics Reached() const { return Reaches(network, calibration).Of(0); }
};

double Total(const ValueStatistics& statistics) {
  return std::accumulate(statistics.histogram.begin(), statistics.histogram.end(), 0.0);
}

double Tanh(double x) { return std::tanh(x); }
double Silu(double x) { return x / (1 + std::exp(-x)); }

// No byte behind the function differs for an input that is moved to the edge.
void CheckBytes(const Case& one, const ValueStatistics& reached) {
  const ValueStatistics output = Reaches(one.network, one.calibration).Of(1);
  const Quantization stored = ChooseRange(output, output.least >= 0.0F);
  const auto byte = [&](double x) {
    const double q = std::nearbyint(one.network.nodes[0].function(x) / double{stored.scale});
    return std::clamp(q + stored.zero_point, 0.0, 255.0);
  };
  const ValueStatistics& all = one.calibration.values[0];
  for (int i = 0; i <= 3000; ++i) {
    const double x = double{all.least} + (double{all.greatest} - double{all.least}) * i / 3000;
    CHECK(byte(x) == byte(std::clamp(x, double{reached.least}, double{reached.greatest})));
  }
}

TEST_CASE("saturation: bytes before a Tanh reach no further than it changes") {
  const Case tanh(-10, 12, Tanh);
  const ValueStatistics reached = tanh.Reached();
  // 1 - tanh is a step and a half of 2 / 255 at 2.56, half a step at 3.12.
  CHECK(reached.least > -3.2F);
  CHECK(reached.least < -2.56F);
  CHECK(reached.greatest > 2.56F);
  CHECK(reached.greatest < 3.2F);
  CheckBytes(tanh, reached);
  // Nothing is lost, and the edges hold what lay beyond.
  CHECK(Total(reached) == doctest::Approx(Total(tanh.calibration.values[0])));
  CHECK(reached.histogram.back() > 0.35 * kHistogramBins);
  CHECK(ChooseRange(reached, false).scale < 0.4F * ChooseRange(Even(-10, 12), false).scale);
}

TEST_CASE("saturation: one side of a SiLU, none of a line, all of a constant") {
  const Case silu(-20, 5, Silu);
  CHECK(silu.Reached().least > -8);
  CHECK(silu.Reached().greatest == 5);
  CheckBytes(silu, silu.Reached());
  for (const Function& function :
       {Function([](double x) { return 2 * x; }), Function([](double) { return 0.5; }),
        Function([](double x) { return std::tanh(x / 100); })}) {
    const ValueStatistics reached = Case(-20, 5, function).Reached();
    CHECK(reached.least == -20);
    CHECK(reached.greatest == 5);
    CHECK(reached.histogram == Even(-20, 5).histogram);
  }
}

TEST_CASE("saturation: a function whose own output is narrowed is told apart in finer steps") {
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
  const ValueStatistics reached = chain.Reached();
  CHECK(reached.least < -6);
  CHECK(reached.greatest < 2);
  CheckBytes(chain, reached);
}

TEST_CASE("saturation: readers together, through a pool, and those that need all") {
  Case two(-10, 10, Tanh);
  two.network.values.resize(4);
  two.calibration.values.push_back(Even(0, 6));
  Node clip = Reader(Op::kClip, 0, 3);
  clip.high = 6.0F;
  two.network.nodes.push_back(clip);
  CHECK(two.Reached().least < -2.56F);
  CHECK(two.Reached().least > -3.2F);
  CHECK(two.Reached().greatest > 5.8F);
  CHECK(two.Reached().greatest < 6.2F);
  two.network.nodes.back().op = Op::kAdd;
  CHECK(two.Reached().least == -10);
  CHECK(two.Reached().greatest == 10);

  Case by_channel(-10, 10, Tanh);
  by_channel.network.nodes[0].function = nullptr;
  by_channel.network.nodes[0].functions = {Tanh, [](double x) { return std::tanh(x / 2); }};
  CHECK(by_channel.Reached().greatest > 2 * 2.56F);
  CHECK(by_channel.Reached().greatest < 2 * 3.2F);

  Case pooled(-10, 10, Tanh);
  pooled.network.values.resize(4);
  pooled.calibration.values.push_back(Even(-10, 10));
  pooled.network.nodes.push_back(Reader(Op::kMaxPool, 3, 0));
  const ValueStatistics reached = Reaches(pooled.network, pooled.calibration).Of(3);
  CHECK(reached.least == pooled.Reached().least);
  CHECK(reached.greatest == pooled.Reached().greatest);
  pooled.network.output = 0;
  CHECK(Reaches(pooled.network, pooled.calibration).Of(3).least == -10);
}

}  // namespace
}  // namespace mu8::convert
