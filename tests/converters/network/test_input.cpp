#include <doctest/doctest.h>

#include "converters/fp32/executor.h"
#include "converters/network/input.h"
#include "tests/converters/convert_fixture.h"

namespace mu8::convert {
namespace {

host::Dataset Numbers(int channels, std::vector<float> values) {
  const auto count = values.size() / static_cast<std::size_t>(channels);
  return {
      .height = 1, .width = 1, .channels = channels, .count = count, .values = std::move(values)};
}

// y = W x on `channels` numbers.
Network Linear(int channels, std::vector<float> weights) {
  Network network;
  network.values = {{.name = "x", .channels = channels}, {.name = "y", .channels = 1}};
  network.nodes.push_back({.op = Op::kDense, .name = "fc", .inputs = {0}, .output = 1});
  network.nodes[0].weights.mu = std::move(weights);
  network.nodes[0].weights.sigma = {0.5F, 0.25F};
  network.output = 1;
  return network;
}

float Output(const Network& network, const host::Dataset& data) {
  SampledWeights weights;
  MeanWeights(network, &weights);
  Fp32Executor executor(network, 1);
  executor.SetWeights(weights);
  executor.Run(Normalize(network, data, 0, 1).data());
  return executor.value(network.output)[0];
}

TEST_CASE("input: numbers of any size are brought to one range, and the network stays the same") {
  Network network = Linear(2, {3.0F, 0.002F});
  const host::Dataset data = Numbers(2, {0.5F, -1000.0F, -2.0F, 4000.0F});
  std::vector<std::string> notices, problems;
  ResolveNormalization({{0.5F}, {2.0F}}, data, &network, &notices, &problems);
  CHECK(problems.empty());
  CHECK(notices.empty());
  const float before = Output(network, data);
  const std::vector<float> scales = InputScales(network, data);
  CHECK(scales[1] == 1.0F);  // the largest stays
  CHECK(scales[0] == doctest::Approx(1.25 / 1999.75));
  ScaleInput(scales, &network);
  CHECK(Output(network, data) == doctest::Approx(before).epsilon(1e-6));
  CHECK(network.nodes[0].weights.sigma[0] == doctest::Approx(0.5F * scales[0]));
  const std::vector<float> x = Normalize(network, data, 1, 1);
  CHECK(x[0] == doctest::Approx(-1999.75));
  CHECK(x[1] == doctest::Approx(1999.75));
}

TEST_CASE("input: what is said of pixels does not count for numbers, and that is said") {
  Network network = Linear(2, {1.0F, 1.0F});
  network.mean = {0.5F};
  network.std = {0.25F};
  std::vector<std::string> notices, problems;
  ResolveNormalization({}, Numbers(2, {1.0F, 2.0F}), &network, &notices, &problems);
  CHECK(network.mean == std::vector<float>{0.0F, 0.0F});
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].find("in the network's own input units") != std::string::npos);
  ResolveNormalization({{0.0F, 1.0F, 2.0F}, {}}, Numbers(2, {1.0F, 2.0F}), &network, &notices,
                       &problems);
  CHECK(problems.size() == 1);
}

TEST_CASE("input: a flat input takes the shape of pictures, and numbers a channel each") {
  Network network = Linear(4, {1.0F, 2.0F, 3.0F, 4.0F});
  network.nodes[0].weights.sigma.clear();
  network.mean = {0.5F, 0.5F, 0.5F, 0.5F};
  std::vector<std::string> problems;
  host::Dataset pictures{.height = 2, .width = 2, .channels = 1, .count = 1};
  pictures.pixels = {0, 51, 102, 255};
  FitInput(pictures, &network, &problems);
  CHECK(problems.empty());
  CHECK(ShapeText(network.values[0]) == "2x2x1");
  CHECK(network.mean == std::vector<float>{0.5F});
  FitInput(Numbers(4, {1, 2, 3, 4}), &network, &problems);
  CHECK(ShapeText(network.values[0]) == "1x1x4");

  network.mean = {0.5F, 0.25F, 0.5F, 0.5F};  // of a flat input: no picture has it
  FitInput(pictures, &network, &problems);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("the network's input is flat") != std::string::npos);
}

}  // namespace
}  // namespace mu8::convert
