// mu8 diff's figures on small networks whose differences are known.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "converters/convert.h"
#include "converters/host/output_file.h"
#include "converters/judge/difference.h"
#include "tests/converters/convert_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

SmallNet ResidualNet(int seed, double spread) {
  SmallNet net(3, 10, 10, static_cast<std::uint64_t>(seed), spread);
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().Fork();
  net.Conv(8, {.pads = {1, 1, 1, 1}}).BatchNorm().Relu();
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Join("Add").Relu().GlobalAverage().Flatten().Gemm(5);
  return net;
}

struct Converted {
  Folder folder;
  ConvertOptions options;
  host::ModelFile file;
  Network network;
  host::Dataset data;

  explicit Converted(SmallNet net, int sigma_bits = 8) : options(net.Write(folder)) {
    options.sigma_bits = sigma_bits;
    const ConvertResult result = Convert(options);
    const std::string path = folder.path("net.mu8");
    host::WriteFileAtomically(path, result.file.data(), result.file.size());
    file = host::OpenModel(path);
    network = ReferenceNetwork(options);
    data = host::LoadDataset(options.calibration_path, 21);  // no multiple of the batch
  }
};

TEST_CASE("difference: every layer of a residual network is near its FP32 value") {
  const Converted net(ResidualNet(1, 0.05));
  const Difference difference = Compare(net.file, net.network, net.data, {.samples = 4});
  CHECK(difference.images == 21);
  REQUIRE(difference.layers.size() == 5);
  CHECK(difference.layers[2].op == "Conv2d + Add + ReLU");
  CHECK(difference.divergence < 1e-3);
  for (const LayerDifference& layer : difference.layers) {
    CAPTURE(layer.name);
    CHECK(layer.sqnr > 20.0);
    CHECK(layer.sqnr_of_mean > layer.sqnr);  // the error of the noise averages out
    CHECK(layer.variance_kept > 0.8);
    CHECK(layer.variance_kept < 1.2);
    CHECK(layer.saturation < 0.02);
    CHECK(layer.divergence_of_weights < 1e-3);
  }
  CHECK(difference.layers[3].divergence_of_weights == 0.0);          // a pool has none
  CHECK(difference.layers.back().divergence_of_activations == 0.0);  // logits are not stored
}

TEST_CASE("difference: it does not depend on the batch") {
  const Converted net(ResidualNet(2, 0.1));
  const Difference one = Compare(net.file, net.network, net.data, {.samples = 2, .batch = 1});
  const Difference many = Compare(net.file, net.network, net.data, {.samples = 2, .batch = 8});
  CHECK(one.divergence == doctest::Approx(many.divergence).epsilon(1e-3));
  for (std::size_t i = 0; i < one.layers.size(); ++i) {
    CAPTURE(i);
    CHECK(one.layers[i].sqnr == doctest::Approx(many.layers[i].sqnr).epsilon(1e-3));
    CHECK(one.layers[i].variance_kept ==
          doctest::Approx(many.layers[i].variance_kept).epsilon(1e-3));
  }
}

TEST_CASE("difference: a spoilt layer is the one that costs most") {
  Converted net(ResidualNet(3, 0.05));
  // The file keeps the weights it was made from; the network's third convolution is another now.
  std::size_t convolutions = 0;
  std::string spoilt;
  for (Node& node : net.network.nodes) {
    if (node.op != Op::kConv2d || ++convolutions != 3) continue;
    spoilt = node.name;
    std::reverse(node.weights.mu.begin(), node.weights.mu.end());
  }
  REQUIRE(convolutions == 3);
  const Difference difference = Compare(net.file, net.network, net.data, {.samples = 2});
  const auto costliest = std::max_element(
      difference.layers.begin(), difference.layers.end(), [](const auto& a, const auto& b) {
        return a.divergence_of_weights < b.divergence_of_weights;
      });
  CHECK(costliest->name == spoilt);
  CHECK(difference.layers[1].sqnr > 20.0);
  CHECK(difference.layers[2].sqnr < 10.0);
  CHECK(difference.divergence > 10 * difference.layers[0].divergence_of_weights);
}

TEST_CASE("difference: a file of another network is refused") {
  const Converted net(ResidualNet(4, 0.05));
  SmallNet other(3, 10, 10, 5, 0.05);
  other.Conv(8, {}).Relu().Flatten().Gemm(5);
  const Converted wrong(std::move(other));
  CHECK_THROWS_WITH_AS(Compare(net.file, wrong.network, net.data, {.samples = 1}),
                       doctest::Contains("layers that are not"), host::Error);
}

}  // namespace
}  // namespace mu8::convert
