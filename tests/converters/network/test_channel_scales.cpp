// Channels scaled by powers of two: the network computes the same floats.
#include <doctest/doctest.h>

#include "converters/host/error.h"
#include "converters/network/channel_scales.h"
#include "tests/converters/convert_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

// Everything that hands factors on: ReLU, pools, a shortcut, a sum, a concatenation; groups, too.
SmallNet Mixed() {
  SmallNet net(3, 12, 12, 4, 0.1);
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().Pool("MaxPool", {2, 2}, {2, 2}).Fork();
  net.Conv(8, {.pads = {1, 1, 1, 1}, .groups = 4}).Join("Add").Relu().Fork();
  net.Conv(4, {.pads = {1, 1, 1, 1}}).Function("LeakyRelu").Join("Concat").Fork();
  net.Shortcut(2, 2).Swap();
  net.Conv(16, {.strides = {2, 2}, .pads = {1, 1, 1, 1}}).BatchNorm().Join("Add").Relu();
  net.Pool("AveragePool", {3, 3}, {1, 1}).Flatten().Gemm(9).Relu().Gemm(5);
  return net;
}

struct Loaded {
  Folder folder;
  ConvertOptions options;
  Network network;
  host::Dataset data;

  explicit Loaded(SmallNet net) : options(net.Write(folder, 16)) {
    network = ReferenceNetwork(options);
    PrepareNetwork(&network);
    data = host::LoadDataset(options.calibration_path, 16);
  }
};

std::vector<int> RandomExponents(std::size_t count) {
  Random random(11);
  std::vector<int> exponents;
  for (std::size_t i = 0; i < count; ++i) exponents.push_back(random.Between(-9, 9));
  return exponents;
}

TEST_CASE("channel scales: powers of two leave every output's bytes") {
  const Loaded loaded{Mixed()};
  const ChannelGroups groups(loaded.network);
  CHECK(groups.count() >= 8 + 4 + 9);
  Network scaled = loaded.network;
  ScaleChannels(groups, RandomExponents(groups.count()), &scaled);
  int changed = 0;
  for (std::size_t n = 0; n < scaled.nodes.size(); ++n) {
    changed += scaled.nodes[n].weights.mu != loaded.network.nodes[n].weights.mu;
  }
  CHECK(changed == 6);
  for (const int passes : {0, 2}) {
    CAPTURE(passes);
    CHECK(ReferenceLogits(scaled, loaded.data, passes).mean ==
          ReferenceLogits(loaded.network, loaded.data, passes).mean);
  }
}

TEST_CASE("channel scales: input, output and what other functions read keep theirs") {
  SmallNet net(3, 8, 8, 5, 0.1);
  net.Conv(4, {}).Function("Sigmoid").Conv(5, {}).Relu().Flatten().Gemm(3);
  const Loaded loaded{std::move(net)};
  const ChannelGroups groups(loaded.network);
  CHECK(groups.count() == 5);
  CHECK(groups.Of(loaded.network.input, 0) == -1);
  CHECK(groups.Of(loaded.network.output, 2) == -1);
  CHECK(groups.Of(loaded.network.nodes[0].output, 1) == -1);
}

TEST_CASE("channel scales: a file's text scales the network as it was") {
  const Loaded loaded{Mixed()};
  const std::vector<Step> steps = MakeSteps(loaded.network);
  const ChannelGroups groups(loaded.network);
  const std::vector<int> exponents = RandomExponents(groups.count());
  Network scaled = loaded.network, by_text = loaded.network;
  ScaleChannels(groups, exponents, &scaled);
  const std::string text = EqualizationText(loaded.network, steps, exponents);
  EqualizeLikeText(text, steps, &by_text);
  for (std::size_t n = 0; n < scaled.nodes.size(); ++n) {
    CHECK(scaled.nodes[n].weights.mu == by_text.nodes[n].weights.mu);
    CHECK(scaled.nodes[n].bias.sigma == by_text.nodes[n].bias.sigma);
  }
  CHECK(EqualizationText(loaded.network, steps, {}).empty());
  const std::string first = text.substr(0, text.find('\n'));
  const std::vector<std::string> bads = {
      "99: 0", "-1: 0", first + ",1", first.substr(0, first.size() - 3), "0: 400,0,0,0,0,0,0,0",
      "0 1",   "x"};
  for (const std::string& bad : bads) {
    CAPTURE(bad);
    Network other = loaded.network;
    CHECK_THROWS_WITH_AS(EqualizeLikeText(bad, steps, &other),
                         doctest::Contains("does not fit the given network"), host::Error);
  }
}

}  // namespace
}  // namespace mu8::convert
