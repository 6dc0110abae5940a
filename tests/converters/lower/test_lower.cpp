// Lowering end to end: the engine's logits against the FP32 reference of the same files. A wrong
// padding, stride, group, flatten order, clamp or pool area costs tens of decibels here.
#include <doctest/doctest.h>

#include <functional>

#include "converters/lower/lower.h"
#include "tests/converters/convert_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

struct Example {
  const char* name;
  double decibels;  // deterministic; quantization to 8 bits is all that is lost
  std::function<SmallNet(double spread)> make;
};

const std::vector<Example>& Examples() {
  static const std::vector<Example> examples = {
      {"BatchNorm, strides, padding, max-pool, flatten", 30.0,
       [](double spread) {
         SmallNet net(1, 13, 12, 1, spread);
         net.Conv(10, {.kernel = {3, 3}, .strides = {2, 1}, .pads = {1, 2, 0, 1}});
         net.BatchNorm().Relu().Pool("MaxPool", {2, 2}, {2, 2}).Flatten().Gemm(24).Relu().Gemm(7);
         return net;
       }},
      {"convolution, then pool, then ReLU", 33.0,
       [](double spread) {
         SmallNet net(3, 10, 10, 2, spread);
         net.Conv(18, {}).Pool("MaxPool", {2, 2}, {2, 2}).Relu();
         net.Conv(9, {.kernel = {2, 2}, .bias = false}).Pool("AveragePool", {3, 2}, {1, 1}).Relu();
         net.Flatten().Gemm(5);
         return net;
       }},
      {"groups, depthwise and dilation", 27.0,
       [](double spread) {
         SmallNet net(4, 11, 9, 3, spread);
         net.Conv(8, {.pads = {1, 1, 1, 1}, .groups = 2}).Relu();
         net.Conv(8, {.strides = {2, 2}, .pads = {1, 1, 1, 1}, .groups = 8}).Relu();
         net.Conv(20, {.kernel = {1, 1}}).Relu();
         net.Conv(6, {.kernel = {2, 2}, .pads = {2, 1, 1, 2}, .dilations = {2, 3}}).Relu();
         net.Flatten().Gemm(6);
         return net;
       }},
      {"standalone ReLU on the input and ReLU twice", 35.0,
       [](double spread) {
         SmallNet net(2, 6, 7, 4, spread);
         net.Relu().Conv(12, {.pads = {1, 1, 1, 1}}).Relu().Relu().Flatten().Gemm(9);
         return net;
       }},
      {"padded pools, of both ways to count", 35.0,
       [](double spread) {
         SmallNet net(3, 9, 9, 5, spread);
         net.Pool("AveragePool", {3, 3}, {2, 2}, {1, 1, 1, 1}, true);
         net.Conv(16, {.pads = {1, 1, 1, 1}}).Relu();
         net.Pool("AveragePool", {2, 2}, {1, 1}, {1, 0, 0, 1}, false);
         net.Pool("MaxPool", {3, 3}, {2, 2}, {1, 1, 1, 1}).Flatten().Gemm(4);
         return net;
       }},
      {"dense layers only, flattening the image", 33.0,
       [](double spread) {
         SmallNet net(3, 5, 4, 6, spread);
         net.Flatten().Gemm(33).Relu().Gemm(17).Relu().Gemm(10);
         return net;
       }},
      {"logits straight from a convolution over the whole map", 40.0,
       [](double spread) {
         SmallNet net(2, 6, 6, 7, spread);
         net.Conv(12, {.pads = {0, 1, 1, 0}}).Relu().Conv(5, {.kernel = {5, 5}}).Flatten();
         return net;
       }},
      {"residual blocks, one that grows by a shortcut of zeros", 27.0,
       [](double spread) {
         SmallNet net(3, 12, 12, 14, spread);
         net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().Fork();
         net.Conv(8, {.pads = {1, 1, 1, 1}}).BatchNorm().Relu();
         net.Conv(8, {.pads = {1, 1, 1, 1}}).BatchNorm().Join("Add").Relu().Fork().Fork();
         net.Conv(16, {.strides = {2, 2}, .pads = {1, 1, 1, 1}}).Relu();
         net.Conv(16, {.pads = {1, 1, 1, 1}}).Swap().Shortcut(4, 4).Join("Add").Relu();
         net.GlobalAverage().Flatten().Gemm(5);
         return net;
       }},
      {"sums of what is no convolution, with a pre-activation BatchNorm", 27.0,
       [](double spread) {
         SmallNet net(2, 9, 8, 15, spread);
         net.Conv(12, {.pads = {1, 1, 1, 1}}).Fork().BatchNorm().Relu().Join("Add").Fork();
         net.Function("Tanh").Join("Add").Relu().Flatten().Gemm(6);
         return net;
       }},
      {"squeeze and excitation: one pixel gates all", 27.0,
       [](double spread) {
         SmallNet net(3, 8, 8, 16, spread);
         net.Conv(12, {.pads = {1, 1, 1, 1}}).Relu().Fork().GlobalAverage();
         net.Conv(4, {.kernel = {1, 1}}).Relu().Conv(12, {.kernel = {1, 1}}).Function("Sigmoid");
         net.Join("Mul").Conv(9, {}).Relu().Flatten().Gemm(4);
         return net;
       }},
      {"concatenation of different ranges, and functions by table", 27.0,
       [](double spread) {
         SmallNet net(2, 8, 8, 17, spread);
         net.Conv(6, {.pads = {1, 1, 1, 1}}).Fork().Function("Sigmoid").Join("Concat").Fork();
         net.Conv(5, {.pads = {1, 1, 1, 1}}).Function("HardSwish").Join("Concat");
         net.Conv(8, {}).Function("LeakyRelu").Flatten().Gemm(4);
         return net;
       }},
      {"transposed convolutions, in phases and with zeros in between", 27.0,
       [](double spread) {
         SmallNet net(2, 5, 4, 18, spread);
         net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().Up(8, 4, 2, false).Relu();
         net.Up(8, 3, 2).Relu().Conv(6, {.strides = {2, 2}}).Relu().Flatten().Gemm(4);
         return net;
       }},
      {"resizing to nearest neighbours and between them", 27.0,
       [](double spread) {
         SmallNet net(2, 6, 5, 19, spread);
         net.Conv(6, {}).Relu().Doubled("linear").Conv(7, {}).Relu().Doubled("nearest");
         net.Conv(5, {.strides = {3, 3}}).Relu().Flatten().Gemm(4);
         return net;
       }},
      {"slopes by channel, a constant for each element, the greater of two", 27.0,
       [](double spread) {
         SmallNet net(2, 6, 5, 20, spread);
         net.Conv(6, {}).WithConstant("PRelu", true).Fork().WithConstant("Add", false).Join("Max");
         net.Conv(6, {.kernel = {2, 2}}).Flatten().Gemm(4);
         return net;
       }},
      {"factors and slopes for each element, the lesser of two, bounds by channel", 25.0,
       [](double spread) {
         SmallNet net(2, 6, 5, 21, spread);
         net.Conv(6, {}).Fork().WithConstant("Mul", false).Join("Min");
         net.WithConstant("PRelu", false).Conv(6, {.kernel = {2, 2}}).WithConstant("Max", true);
         net.Flatten().Gemm(4);
         return net;
       }},
  };
  return examples;
}

TEST_CASE("lower: a deterministic network's logits are the FP32 reference's") {
  for (const Example& example : Examples()) {
    const Folder folder;
    ConvertOptions options = example.make(0.0).Write(folder);
    const ConvertResult result = Convert(options);
    const host::Dataset data = host::LoadDataset(options.calibration_path);
    const Logits found = EngineLogits(result.file, data, 1);
    const double snr = SnrDb(ReferenceLogits(ReferenceNetwork(options), data, 0), found);
    INFO(std::string(example.name) << ": " << snr << " dB");
    CHECK(snr > example.decibels);
    for (const LayerReport& layer : result.layers) CHECK_FALSE(layer.bayesian);
  }
}

TEST_CASE("lower: narrow posteriors average to the mean network's logits, at every sigma width") {
  for (const Example& example : Examples()) {
    for (const int bits : {8, 4, 2, 1, 0}) {
      const Folder folder;
      ConvertOptions options = example.make(0.03).Write(folder);
      options.sigma_bits = bits;
      options.sigma_importance = SigmaImportance::kFisher;  // to choose one would take long
      const ConvertResult result = Convert(options);
      const host::Dataset data = host::LoadDataset(options.calibration_path);
      const Logits found = EngineLogits(result.file, data, 100);
      const double snr = SnrDb(ReferenceLogits(ReferenceNetwork(options), data, 0), found);
      INFO(std::string(example.name) << ", " << bits << " bits: " << snr << " dB");
      CHECK(snr > example.decibels - 2.0);
    }
  }
}

TEST_CASE("lower: wide posteriors scatter the logits as FP32 sampling does") {
  constexpr int kPasses = 400;
  for (const Example& example : Examples()) {
    for (const int bits : {8, 4}) {
      const Folder folder;
      ConvertOptions options = example.make(0.3).Write(folder);
      options.sigma_bits = bits;
      const ConvertResult result = Convert(options);
      const host::Dataset data = host::LoadDataset(options.calibration_path, 10);
      const Logits found = EngineLogits(result.file, data, kPasses);
      const Logits expected = ReferenceLogits(ReferenceNetwork(options), data, kPasses);
      double wanted = 0, produced = 0, distance = 0;
      for (std::size_t i = 0; i < expected.mean.size(); ++i) {
        wanted += expected.variance[i];
        produced += found.variance[i];
        distance += std::pow(expected.mean[i] - found.mean[i], 2);
      }
      INFO(std::string(example.name) << ", " << bits << " bits: variance " << produced / wanted
                                     << ", mean off by " << std::sqrt(distance / wanted));
      // All images share a pass's weights: the estimate has few degrees of freedom.
      CHECK(std::abs(produced / wanted - 1.0) < 0.2);
      CHECK(std::sqrt(distance / wanted) < 0.2);  // in standard deviations of one pass
    }
  }
}

TEST_CASE("lower: one dense layer's logit variance is sum x^2 sigma^2 + sigma_b^2") {
  for (const int bits : {8, 4, 2, 1, 0}) {
    const Folder folder;
    SmallNet net(1, 6, 6, 8, 0.2);
    net.Flatten().Gemm(16);
    ConvertOptions options = net.Write(folder);
    options.sigma_bits = bits;
    const ConvertResult result = Convert(options);
    const host::Dataset data = host::LoadDataset(options.calibration_path, 8);
    const Logits found = EngineLogits(result.file, data, 2000);
    const Network network = ReferenceNetwork(options);
    const std::vector<float> x = Normalize(network, data, 0, data.count);
    const Node& dense = network.nodes[0];
    double wanted = 0, produced = 0;
    for (std::size_t i = 0; i < found.variance.size(); ++i) {
      const std::size_t o = i % 16;
      wanted += std::pow(double{dense.bias.sigma[o]}, 2);
      for (std::size_t k = 0; k < 36; ++k) {
        wanted += std::pow(double{x[i / 16 * 36 + k]} * double{dense.weights.sigma[o * 36 + k]}, 2);
      }
      produced += found.variance[i];
    }
    CAPTURE(bits);
    // Few levels keep less of the variance; how much, the report says for the calibration images.
    const double kept = result.layers[0].variance_kept_weighted;
    CAPTURE(kept);
    CHECK(std::abs(produced / wanted / kept - 1.0) < 0.06);
  }
}

TEST_CASE("lower: Bayesian and deterministic layers mix, also within a layer") {
  const Folder folder;
  SmallNet net(1, 8, 8, 9, 0.0);
  net.Conv(6, {}).Relu().Flatten().Spread(0.2).Gemm(12).Relu().Spread(0.0).Gemm(4);
  ConvertOptions options = net.Write(folder);
  // Of the last layer only the bias is Bayesian; of the middle one only the weights.
  Posterior posterior = ReadPosterior(options.posterior_path, 1 << 20);
  REQUIRE(posterior.size() == 2);
  const std::string weights = posterior.begin()->first.ends_with('w') ? posterior.begin()->first
                                                                      : posterior.rbegin()->first;
  std::vector<std::pair<std::string, std::string>> members = {
      {weights + ".sigma.npy", Npy("<f4", "(12, 216)", Float32Bytes(posterior[weights].values))},
      {"p5b.sigma.npy", Npy("<f4", "(4,)", Float32Bytes({0.5F, 0.5F, 0.5F, 0.5F}))}};
  const std::string npz = Zip(members);
  folder.Write("posterior.npz", Bytes(npz.begin(), npz.end()));
  options.sigma_bits = 2;
  const ConvertResult result = Convert(options);
  REQUIRE(result.layers.size() == 3);
  CHECK_FALSE(result.layers[0].bayesian);
  CHECK(result.layers[1].bayesian);
  CHECK(result.layers[1].sigma_bits == 2);
  CHECK(result.layers[2].bayesian);
  const host::Dataset data = host::LoadDataset(options.calibration_path, 10);
  const Logits found = EngineLogits(result.file, data, 400);
  const Logits expected = ReferenceLogits(ReferenceNetwork(options), data, 400);
  double wanted = 0, produced = 0;
  for (std::size_t i = 0; i < found.variance.size(); ++i) {
    wanted += expected.variance[i];
    produced += found.variance[i];
  }
  CAPTURE(produced / wanted);
  CHECK(std::abs(produced / wanted - 1.0) < 0.2);
}

// ---- What no chain of nodes reaches: a value with a second reader ----

host::Dataset NoiseImages(int height, int width, int channels) {
  const Folder folder;
  return host::LoadDataset(
      WriteImages(folder, "images-idx4-ubyte", 70, height, width, channels, 5));
}

double LoweredSnr(const Network& network, const std::vector<Step>& steps,
                  const host::Dataset& data) {
  const Calibration calibration = Calibrate(network, data, 1, 1, {});
  Lowered lowered = Lower(network, steps, calibration, QuantizeInput(network, data),
                          {8, SigmaQuantizer::kWeighted}, {});
  lowered.content.metadata["name"] = "test";
  return SnrDb(ReferenceLogits(network, data, 0),
               EngineLogits(format::Write(std::move(lowered.content)), data, 1));
}

// A folded network from a SmallNet, with the normalization of all tests here.
Network Imported(SmallNet net) {
  const Folder folder;
  return ReferenceNetwork(net.Write(folder));
}

// Adds a padded convolution that reads `value` and that nothing reads.
void AddReader(Network* network, int value) {
  const Value read = network->values[static_cast<std::size_t>(value)];
  Node conv{};
  conv.op = Op::kConv2d;
  conv.name = "reader";
  conv.inputs = {value};
  conv.output = static_cast<int>(network->values.size());
  conv.window = {
      .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 2, .pad_bottom = 1, .pad_right = 0};
  conv.weights.mu.assign(static_cast<std::size_t>(9 * read.channels), 0.1F);
  network->values.push_back({"unread", read.height, read.width, 1});
  network->nodes.push_back(conv);
}

TEST_CASE("lower: a dense layer that reads a padded tensor runs as a convolution over all of it") {
  SmallNet net(2, 6, 5, 10, 0.0);
  net.Conv(7, {}).Relu().Flatten().Gemm(6);
  Network network = Imported(net);
  AddReader(&network, network.nodes[1].output);
  const std::vector<Step> steps = {{.node = 0, .clip = 1, .input = 0, .output = 2},
                                   {.node = 2, .spatial = true, .input = 2, .output = 3}};
  CHECK(LoweredSnr(network, steps, NoiseImages(6, 5, 2)) > 38.0);
}

TEST_CASE("lower: a ReLU whose input has a second reader is a look-up of its own") {
  SmallNet net(2, 6, 5, 11, 0.0);
  net.Conv(7, {}).Relu().Flatten().Gemm(6);
  Network network = Imported(net);
  AddReader(&network, network.nodes[0].output);
  const std::vector<Step> steps = {{.node = 0, .input = 0, .output = 1},
                                   {.node = 1, .input = 1, .output = 2},
                                   {.node = 2, .input = 2, .output = 3}};
  CHECK(LoweredSnr(network, steps, NoiseImages(6, 5, 2)) > 35.0);
}

TEST_CASE("lower: steps fuse a ReLU into the layer that it alone reads") {
  SmallNet net(1, 12, 12, 12, 0.0);
  net.Relu().Conv(4, {}).Pool("MaxPool", {2, 2}, {2, 2}).Relu().Flatten().Gemm(5).Relu().Gemm(3);
  const std::vector<Step> steps = MakeSteps(Imported(net));
  REQUIRE(steps.size() == 5);
  const int clip[] = {-1, -1, 3, 5, -1};
  const int node[] = {0, 1, 2, 4, 6};
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(steps[i].node == node[i]);
    CHECK(steps[i].clip == clip[i]);
    CHECK_FALSE(steps[i].spatial);
    if (i > 0) CHECK(steps[i].input == steps[i - 1].output);
  }
}

TEST_CASE("lower: a network without a layer order is refused, naming each node") {
  SmallNet net(1, 6, 6, 13, 0.0);
  net.Conv(4, {}).Relu().Flatten().Gemm(3);
  const Network network = Imported(net);
  Network unread = network;
  AddReader(&unread, network.nodes[0].output);
  CheckOneProblem(ProblemsOf([&] {
                    Network early = network;
                    early.nodes.resize(2);
                    early.output = early.nodes[1].output;
                    MakeSteps(early);
                  }),
                  {"node 'Conv1' (Conv2d) is the last", "must come from a convolution or dense"});
  CHECK(ProblemsOf([&] { MakeSteps(unread); }).size() == 2);
  const std::vector<std::string> problems = ProblemsOf([&] { MakeSteps(unread); });
  CHECK(problems[0].find("node 'Gemm4' writes the output, but other nodes follow it") == 0);
  CHECK(problems[1].find("node 'reader' (Conv2d) is the last") == 0);
  CheckOneProblem(ProblemsOf([] { MakeSteps(Network{}); }), {"the network has no layers"});
  Network swapped = unread;  // the dead branch first
  std::swap(swapped.nodes[2], swapped.nodes[3]);
  CheckOneProblem(ProblemsOf([&] { MakeSteps(swapped); }),
                  {"node 'reader'", "nothing reads its output"});
}

}  // namespace
}  // namespace mu8::convert
