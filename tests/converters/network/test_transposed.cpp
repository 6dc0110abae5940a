// Transposed convolutions become gathers and convolutions that give the same sums.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "converters/fp32/executor.h"
#include "converters/network/transposed.h"
#include "tests/converters/random_floats.h"

namespace mu8::convert {
namespace {

// One kConvTranspose of an image, and perhaps a ReLU behind it.
struct Case {
  Window window;
  int groups = 1;
  int height = 4, width = 5, in = 2, out_height = 1, out_width = 1, out = 3;
  bool random_bias = false, relu = false, last = true;
};

std::vector<float> Positive(std::size_t count, unsigned seed) {
  std::vector<float> values = Random(count, seed);
  for (float& value : values) value = std::fabs(value);
  return values;
}

std::size_t Size(int a, int b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

Network NetworkOf(const Case& c) {
  Network network;
  network.values = {{"x", c.height, c.width, c.in}, {"y", c.out_height, c.out_width, c.out}};
  Node node{.op = Op::kConvTranspose, .name = "up", .inputs = {0}, .output = 1};
  node.window = c.window;
  node.groups = c.groups;
  const std::size_t weights =
      Size(c.out, c.in / c.groups) * Size(c.window.kernel_h, c.window.kernel_w);
  node.weights = {Random(weights, 1), Positive(weights, 2)};
  node.bias.mu = Random(static_cast<std::size_t>(c.out), 3);
  if (c.random_bias) node.bias.sigma = Positive(static_cast<std::size_t>(c.out), 4);
  network.nodes.push_back(node);
  network.output = 1;
  if (c.relu) {
    network.values.push_back({"r", c.out_height, c.out_width, c.out});
    network.nodes.push_back({.op = Op::kClip, .name = "relu", .inputs = {1}, .output = 2});
    network.output = 2;
  }
  if (c.last) return network;
  const int before = network.output;
  network.values.push_back({"z", c.out_height, c.out_width, 1});
  network.output = before + 1;
  Node last{.op = Op::kConv2d, .name = "last", .inputs = {before}, .output = network.output};
  last.weights.mu = Random(static_cast<std::size_t>(c.out), 5);
  network.nodes.push_back(last);
  return network;
}

// What the operator defines: each input element times each weight, where the two lead.
std::vector<double> Reference(const Case& c, const std::vector<float>& x,
                              const std::vector<float>& weights, const std::vector<float>& bias) {
  const Window& w = c.window;
  const int in_group = c.in / c.groups, out_group = c.out / c.groups;
  std::vector<double> y;
  for (std::size_t i = 0; i < Size(c.out_height, c.out_width); ++i) {
    for (const float b : bias) y.push_back(static_cast<double>(b));
  }
  for (int iy = 0; iy < c.height; ++iy) {
    for (int ix = 0; ix < c.width; ++ix) {
      for (int ky = 0; ky < w.kernel_h; ++ky) {
        for (int kx = 0; kx < w.kernel_w; ++kx) {
          const int oy = iy * w.stride_h + ky * w.dilation_h - w.pad_top;
          const int ox = ix * w.stride_w + kx * w.dilation_w - w.pad_left;
          if (oy < 0 || oy >= c.out_height || ox < 0 || ox >= c.out_width) continue;
          for (int o = 0; o < c.out; ++o) {
            for (int i = 0; i < in_group; ++i) {
              const std::size_t from = Size(iy * c.width + ix, c.in) +
                                       static_cast<std::size_t>(o / out_group * in_group + i);
              const std::size_t weight = Size((o * w.kernel_h + ky) * w.kernel_w + kx, in_group) +
                                         static_cast<std::size_t>(i);
              const std::size_t to =
                  Size(oy * c.out_width + ox, c.out) + static_cast<std::size_t>(o);
              y[to] += static_cast<double>(x[from]) * static_cast<double>(weights[weight]);
            }
          }
        }
      }
    }
  }
  return y;
}

// The greatest difference of the executor's value `index` from the reference, with the means or
// with the sigmas as weights.
double Difference(const Case& c, const Network& network, int index, bool sigmas) {
  const Network original = NetworkOf(c);
  const Node& node = original.nodes[0];
  const std::vector<float> x = Random(original.values[0].size(), 9);
  SampledWeights weights;
  MeanWeights(network, &weights);
  for (std::size_t i = 0; sigmas && i < network.nodes.size(); ++i) {
    if (!network.nodes[i].weights.sigma.empty()) {
      weights.weights[i] = network.nodes[i].weights.sigma;
    }
    if (!network.nodes[i].bias.sigma.empty()) weights.biases[i] = network.nodes[i].bias.sigma;
  }
  Fp32Executor executor(network, 1);
  executor.SetWeights(weights);
  executor.Run(x.data());
  std::vector<double> expected =
      Reference(c, x, sigmas ? node.weights.sigma : node.weights.mu,
                sigmas && c.random_bias ? node.bias.sigma : node.bias.mu);
  double difference = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (c.relu) expected[i] = std::max(expected[i], 0.0);
    difference = std::max(difference,
                          std::fabs(expected[i] - static_cast<double>(executor.value(index)[i])));
  }
  return difference;
}

int Extent(std::mt19937* random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(*random);
}

// A window along one axis, and an output that it has or a part of that.
void Draw(std::mt19937* random, int in, int* kernel, int* stride, int* dilation, int* pad,
          int* out) {
  *kernel = Extent(random, 1, 6);
  *stride = Extent(random, 1, 4);
  *dilation = Extent(random, 1, 3) == 3 ? 2 : 1;
  if (Extent(random, 1, 2) == 1) *kernel = *stride * Extent(random, 1, 3), *dilation = 1;
  const int full = (in - 1) * *stride + (*kernel - 1) * *dilation + Extent(random, 1, *stride);
  *pad = Extent(random, 0, full / 2);
  *out = Extent(random, std::max(1, full - *pad - 6), full - *pad);
}

TEST_CASE("transposed: sums and sigmas are those of the definition") {
  std::mt19937 random(7);
  int apart = 0, spread = 0;
  for (int i = 0; i < 400; ++i) {
    CAPTURE(i);
    Case c;
    Draw(&random, c.height, &c.window.kernel_h, &c.window.stride_h, &c.window.dilation_h,
         &c.window.pad_top, &c.out_height);
    Draw(&random, c.width, &c.window.kernel_w, &c.window.stride_w, &c.window.dilation_w,
         &c.window.pad_left, &c.out_width);
    c.groups = Extent(&random, 1, 2);
    c.in = c.groups * Extent(&random, 1, 3);
    c.out = c.groups * Extent(&random, 1, 3);
    c.random_bias = Extent(&random, 1, 3) == 1;
    c.relu = Extent(&random, 1, 2) == 1;
    c.last = Extent(&random, 1, 4) == 1;
    Network network = NetworkOf(c);
    ExpandTransposed(&network);
    CheckParameters(network);
    for (const Node& node : network.nodes) CHECK(node.op != Op::kConvTranspose);
    const Op first = network.nodes[0].op;
    apart += first == Op::kConv2d && network.nodes.size() > NetworkOf(c).nodes.size() ? 1 : 0;
    spread += first == Op::kGather ? 1 : 0;
    if (c.last && !c.relu) CHECK(network.nodes.back().op == Op::kConv2d);
    const int value = c.relu ? 2 : 1;
    CHECK(Difference(c, network, value, false) < 1e-4);
    CHECK(Difference(c, network, value, true) < 1e-4);
  }
  MESSAGE("phases apart " << apart << ", zeros in between " << spread);
  CHECK(apart > 20);
  CHECK(spread > 100);
}

Case Doubling() {
  return {.window = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2},
          .out_height = 8,
          .out_width = 10,
          .relu = true,
          .last = false};
}

TEST_CASE("transposed: a random bias is drawn once, not for each phase") {
  Case c = Doubling();
  for (const bool random_bias : {false, true}) {
    c.random_bias = random_bias;
    Network network = NetworkOf(c);
    ExpandTransposed(&network);
    const Node& conv = *std::find_if(network.nodes.begin(), network.nodes.end(),
                                     [](const Node& node) { return node.op == Op::kConv2d; });
    CHECK(conv.bias.mu.size() == (random_bias ? 3U : 12U));
    CHECK(conv.bias.sigma.size() == (random_bias ? 3U : 0U));
    CHECK(conv.weights.mu.size() == 24);
  }
}

TEST_CASE("transposed: a ReLU moves before the gather, where the convolution takes it over") {
  Network network = NetworkOf(Doubling());
  ExpandTransposed(&network);
  REQUIRE(network.nodes.size() == 4);
  CHECK(network.nodes[1].op == Op::kClip);
  CHECK(network.nodes[2].op == Op::kGather);
  CheckParameters(network);
  // Not one that would change the zeros from outside, nor where something else reads the gather.
  Node pad{.op = Op::kGather, .name = "pad", .inputs = {0}, .output = 1};
  pad.rows = {{format::kOutside, 0}, {0, 0}};
  pad.columns = {{0, 0}};
  pad.channels = {{0, 0}};
  for (const float low : {0.0F, 0.5F}) {
    Network padded;
    padded.values = {{"x", 1, 1, 1}, {"p", 2, 1, 1}, {"c", 2, 1, 1}, {"y", 2, 1, 1}};
    Node last{.op = Op::kConv2d, .name = "last", .inputs = {2}, .output = 3};
    last.weights.mu = {1.0F};
    padded.nodes = {
        pad, {.op = Op::kClip, .name = "clip", .inputs = {1}, .output = 2, .low = low}, last};
    padded.output = 3;
    ExpandTransposed(&padded);
    CHECK(padded.nodes[0].op == (low == 0.0F ? Op::kClip : Op::kGather));
    CheckParameters(padded);
  }
}

}  // namespace
}  // namespace mu8::convert
