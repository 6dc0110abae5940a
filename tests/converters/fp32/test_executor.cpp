// The FP32 reference against plain loops in double precision, over shapes of every kind.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "converters/fp32/executor.h"
#include "converters/host/error.h"
#include "tests/converters/random_floats.h"

namespace mu8::convert {
namespace {

int OutputSize(int in, int kernel, int stride, int dilation, int pads) {
  return (in + pads - dilation * (kernel - 1) - 1) / stride + 1;
}

// Grows a chain of nodes with random parameters; every node reads the value before it.
class Chain {
 public:
  Chain(int height, int width, int channels) {
    network.values.push_back({"input", height, width, channels});
  }

  const Value& last() const { return network.values.back(); }

  Node& Add(Op op, int height, int width, int channels) {
    Node node{};
    node.op = op;
    node.name = "node" + std::to_string(network.nodes.size());
    node.inputs = {static_cast<int>(network.values.size()) - 1};
    node.output = static_cast<int>(network.values.size());
    network.values.push_back({node.name, height, width, channels});
    network.output = node.output;
    network.nodes.push_back(node);
    return network.nodes.back();
  }

  Node& AddWindow(Op op, const Window& w, int channels) {
    const int height =
        OutputSize(last().height, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top + w.pad_bottom);
    const int width =
        OutputSize(last().width, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left + w.pad_right);
    Node& node = Add(op, height, width, channels);
    node.window = w;
    return node;
  }

  Chain& Conv(int c_out, const Window& w, int groups = 1, bool bias = true) {
    const int c_in = last().channels / groups;
    Node& node = AddWindow(Op::kConv2d, w, c_out);
    node.groups = groups;
    node.weights.mu =
        Random(static_cast<std::size_t>(c_out * w.kernel_h * w.kernel_w * c_in), seed_++);
    if (bias) node.bias.mu = Random(static_cast<std::size_t>(c_out), seed_++);
    return *this;
  }

  Chain& Dense(int out, bool bias = true) {
    const std::size_t in = last().size();
    Node& node = Add(Op::kDense, 1, 1, out);
    node.weights.mu = Random(static_cast<std::size_t>(out) * in, seed_++);
    if (bias) node.bias.mu = Random(static_cast<std::size_t>(out), seed_++);
    return *this;
  }

  Chain& Affine() {
    Node& node = Add(Op::kAffine, last().height, last().width, last().channels);
    node.scale = Random(static_cast<std::size_t>(last().channels), seed_++);
    node.offset = Random(static_cast<std::size_t>(last().channels), seed_++);
    return *this;
  }

  Chain& Relu() {
    Add(Op::kClip, last().height, last().width, last().channels);
    return *this;
  }

  Chain& Pool(Op op, const Window& w, bool count_include_pad = false) {
    AddWindow(op, w, last().channels).count_include_pad = count_include_pad;
    return *this;
  }

  Network network;

 private:
  unsigned seed_ = 1;
};

// ---- The reference: one image, NHWC, double precision ----

struct Accumulated {
  double sum = 0;
  double magnitude = 0;  // sum of absolute terms: what rounding errors are relative to
};

using Image = std::vector<double>;

std::size_t At(const Value& v, int y, int x, int c) {
  return (static_cast<std::size_t>(y) * static_cast<std::size_t>(v.width) +
          static_cast<std::size_t>(x)) *
             static_cast<std::size_t>(v.channels) +
         static_cast<std::size_t>(c);
}

// Calls tap(kernel y, kernel x, input y, input x) for the taps of one output inside the image.
template <typename Tap>
void ForTaps(const Window& w, const Value& in, int out_y, int out_x, const Tap& tap) {
  for (int ky = 0; ky < w.kernel_h; ++ky) {
    for (int kx = 0; kx < w.kernel_w; ++kx) {
      const int y = out_y * w.stride_h - w.pad_top + ky * w.dilation_h;
      const int x = out_x * w.stride_w - w.pad_left + kx * w.dilation_w;
      if (y >= 0 && y < in.height && x >= 0 && x < in.width) tap(ky, kx, y, x);
    }
  }
}

Accumulated ConvAt(const Node& node, const Value& in, const Image& x, const Value& out, int y_out,
                   int x_out, int c_out) {
  const Window& w = node.window;
  const int c_in = in.channels / node.groups;
  const int first = c_out / (out.channels / node.groups) * c_in;
  Accumulated result;
  if (!node.bias.mu.empty()) {
    result.sum = static_cast<double>(node.bias.mu[static_cast<std::size_t>(c_out)]);
  }
  ForTaps(w, in, y_out, x_out, [&](int ky, int kx, int y, int xx) {
    for (int c = 0; c < c_in; ++c) {
      const auto weight =
          static_cast<std::size_t>(((c_out * w.kernel_h + ky) * w.kernel_w + kx) * c_in + c);
      const double term =
          static_cast<double>(node.weights.mu[weight]) * x[At(in, y, xx, first + c)];
      result.sum += term;
      result.magnitude += std::fabs(term);
    }
  });
  return result;
}

Accumulated PoolAt(const Node& node, const Value& in, const Image& x, int y_out, int x_out, int c) {
  Accumulated result;
  double largest = -std::numeric_limits<double>::infinity();
  int taps = 0;
  ForTaps(node.window, in, y_out, x_out, [&](int, int, int y, int xx) {
    const double tap = x[At(in, y, xx, c)];
    largest = std::max(largest, tap);
    result.sum += tap;
    result.magnitude += std::fabs(tap);
    ++taps;
  });
  if (node.op == Op::kMaxPool) return {largest, 0};
  if (node.count_include_pad) taps = node.window.kernel_h * node.window.kernel_w;
  return {result.sum / taps, result.magnitude / taps};
}

Accumulated DenseAt(const Node& node, const Image& x, int c) {
  const auto row = static_cast<std::size_t>(c);
  Accumulated result;
  if (!node.bias.mu.empty()) result.sum = static_cast<double>(node.bias.mu[row]);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double term = static_cast<double>(node.weights.mu[row * x.size() + i]) * x[i];
    result.sum += term;
    result.magnitude += std::fabs(term);
  }
  return result;
}

Accumulated ReferenceAt(const Node& node, const Value& in, const Image& x, const Value& out, int y,
                        int xx, int c) {
  const auto channel = static_cast<std::size_t>(c);
  switch (node.op) {
    case Op::kConv2d:
      return ConvAt(node, in, x, out, y, xx, c);
    case Op::kDense:
      return DenseAt(node, x, c);
    case Op::kAffine:
      return {x[At(in, y, xx, c)] * static_cast<double>(node.scale[channel]) +
                  static_cast<double>(node.offset[channel]),
              0};
    case Op::kClip:
      return {std::max(0.0, x[At(in, y, xx, c)]), 0};
    case Op::kLookup:
    case Op::kAdd:
    case Op::kMultiply:
    case Op::kConcat:
    case Op::kSlice:
    case Op::kGather:
    case Op::kMaximum:
    case Op::kMinimum:
    case Op::kConstant:
      break;  // test_graphs.cpp
    case Op::kConvTranspose:
      break;  // test_transposed.cpp
    case Op::kMaxPool:
    case Op::kAveragePool:
      return PoolAt(node, in, x, y, xx, c);
  }
  return {};
}

// Compares every value of every node with the reference applied to the executor's own input of
// that node, so that one node's rounding is not blamed on the next. Returns the numbers compared.
std::size_t Compare(const Network& network, int batch, const Fp32Executor& executor) {
  constexpr double kTolerance = 1e-5;  // of the sum of absolute terms
  std::size_t compared = 0;
  for (const Node& node : network.nodes) {
    int wrong = 0;
    const Value& in = network.values[static_cast<std::size_t>(node.inputs[0])];
    const Value& out = network.values[static_cast<std::size_t>(node.output)];
    for (int image = 0; image < batch; ++image) {
      const float* start =
          executor.value(node.inputs[0]) + static_cast<std::size_t>(image) * in.size();
      const float* found =
          executor.value(node.output) + static_cast<std::size_t>(image) * out.size();
      const Image x(start, start + in.size());
      for (int y = 0; y < out.height; ++y) {
        for (int xx = 0; xx < out.width; ++xx) {
          for (int c = 0; c < out.channels; ++c, ++compared) {
            const Accumulated expected = ReferenceAt(node, in, x, out, y, xx, c);
            const double scale = std::max({1.0, std::fabs(expected.sum), expected.magnitude});
            const double error = static_cast<double>(found[At(out, y, xx, c)]) - expected.sum;
            if (!(std::fabs(error) <= kTolerance * scale)) ++wrong;  // a NaN counts
          }
        }
      }
    }
    INFO("node ", node.name, " op ", static_cast<int>(node.op), " batch ", batch);
    CHECK(wrong == 0);
  }
  return compared;
}

std::size_t CheckNetwork(const Network& network) {
  std::size_t compared = 0;
  SampledWeights weights;
  MeanWeights(network, &weights);
  for (const int batch : {1, 3}) {
    Fp32Executor executor(network, batch);
    executor.SetWeights(weights);
    const std::vector<float> input =
        Random(static_cast<std::size_t>(batch) * network.values[0].size(), 99);
    executor.Run(input.data());
    CHECK(std::equal(input.begin(), input.end(), executor.value(network.input)));
    compared += Compare(network, batch, executor);
  }
  return compared;
}

Window Square(int kernel, int stride = 1, int pad = 0, int dilation = 1) {
  return {kernel, kernel, stride, stride, dilation, dilation, pad, pad, pad, pad};
}

}  // namespace

TEST_CASE("fp32 executor: convolutions equal the reference") {
  struct Case {
    int height, width, c_in, c_out, groups;
    bool bias;
    Window window;
  };
  const Case cases[] = {
      {1, 1, 1, 1, 1, true, Square(1)},
      {28, 28, 1, 6, 1, true, Square(5, 1, 2)},
      {14, 14, 6, 16, 1, true, Square(5)},
      {9, 7, 3, 17, 1, false, Square(3, 2, 1)},
      {8, 8, 16, 16, 1, true, Square(3, 1, 1)},
      {8, 8, 33, 32, 1, true, Square(1)},
      {7, 7, 16, 32, 1, true, Square(1, 2)},
      {11, 12, 5, 7, 1, true, {3, 2, 2, 1, 2, 3, 0, 1, 2, 0}},
      {10, 10, 4, 8, 1, true, Square(3, 1, 2, 2)},
      {6, 6, 3, 4, 1, true, {3, 3, 1, 1, 1, 1, 2, 0, 1, 1}},
      {6, 9, 3, 4, 1, true, {1, 5, 1, 3, 1, 1, 0, 4, 0, 1}},
      {8, 8, 8, 12, 4, true, Square(3, 1, 1)},
      {8, 8, 6, 6, 6, true, Square(3, 1, 1)},
      {9, 9, 32, 32, 32, false, Square(3, 2, 1)},
      {8, 8, 32, 64, 2, true, Square(3, 1, 1)},
      {8, 8, 4, 8, 4, true, {3, 3, 2, 1, 1, 2, 1, 0, 0, 2}},
  };
  std::size_t compared = 0;
  int index = 0;
  for (const Case& c : cases) {
    INFO("case ", index);
    ++index;
    Chain chain(c.height, c.width, c.c_in);
    chain.Conv(c.c_out, c.window, c.groups, c.bias);
    compared += CheckNetwork(chain.network);
  }
  CHECK(index == 16);
  CHECK(compared > 60000);
}

TEST_CASE("fp32 executor: pools equal the reference") {
  const Window windows[] = {
      Square(2, 2), Square(3, 2, 1), Square(3, 1, 1),    {3, 2, 2, 1, 1, 1, 0, 1, 2, 0},
      Square(8),    Square(2),       Square(2, 2, 0, 2), {3, 3, 1, 1, 2, 2, 2, 1, 0, 2},
  };
  std::size_t compared = 0;
  int executed = 0;
  for (const int channels : {1, 3, 16, 21}) {
    for (const Window& window : windows) {
      INFO("channels ", channels, " kernel ", window.kernel_h, " x ", window.kernel_w, " stride ",
           window.stride_h, " dilation ", window.dilation_h);
      for (const Op op : {Op::kMaxPool, Op::kAveragePool}) {
        for (const bool include_pad : {false, true}) {
          Chain chain(8, 9, channels);
          // Below zero everywhere: a padded tap taken for 0 would win the maximum.
          chain.Affine().Pool(op, window, include_pad);
          std::fill_n(chain.network.nodes[0].offset.begin(), channels, -5.0F);
          compared += CheckNetwork(chain.network);
          ++executed;
        }
      }
    }
  }
  CHECK(executed == 4 * 8 * 2 * 2);
  CHECK(compared > 100000);
}

TEST_CASE("fp32 executor: dense, affine and ReLU equal the reference") {
  std::size_t compared = 0;
  for (const int channels : {1, 2, 16, 19, 64}) {
    for (const int side : {1, 4, 5}) {
      INFO("channels ", channels, " side ", side);
      Chain chain(side, side, channels);
      chain.Affine().Relu().Dense(10).Relu().Dense(1, false);
      compared += CheckNetwork(chain.network);
    }
  }
  CHECK(compared > 10000);
}

TEST_CASE("fp32 executor: every value of a LeNet-5 can be read after the run") {
  Chain chain(28, 28, 1);
  chain.Conv(6, Square(5, 1, 2)).Relu().Pool(Op::kMaxPool, Square(2, 2));
  chain.Conv(16, Square(5)).Affine().Relu().Pool(Op::kAveragePool, Square(2, 2));
  chain.Dense(120).Relu().Dense(84).Relu().Dense(10);
  CHECK(CheckNetwork(chain.network) > 4 * 10000);
}

TEST_CASE("fp32 executor: new weights replace the old ones") {
  Chain chain(6, 6, 3);
  chain.Conv(5, Square(3)).Relu().Dense(4);
  Fp32Executor executor(chain.network, 3);
  const std::vector<float> input = Random(3 * chain.network.values[0].size(), 5);
  for (unsigned round = 0; round < 3; ++round) {
    for (Node& node : chain.network.nodes) {
      node.weights.mu = Random(node.weights.mu.size(), 100 + round);
      node.bias.mu = Random(node.bias.mu.size(), 200 + round);
    }
    SampledWeights weights;
    MeanWeights(chain.network, &weights);
    executor.SetWeights(weights);
    executor.Run(input.data());
    CHECK(Compare(chain.network, 3, executor) == 3 * (80 + 80 + 4));
  }
}

TEST_CASE("fp32 executor: runs on another thread than its creator's") {
  Chain chain(16, 16, 8);
  chain.Conv(24, Square(3, 1, 1)).Relu().Pool(Op::kMaxPool, Square(3, 2, 1)).Dense(10);
  SampledWeights weights;
  MeanWeights(chain.network, &weights);
  Fp32Executor executor(chain.network, 3);
  const std::vector<float> input = Random(3 * chain.network.values[0].size(), 5);
  std::thread([&] {
    executor.SetWeights(weights);
    executor.Run(input.data());
  }).join();
  CHECK(Compare(chain.network, 3, executor) > 0);
}

TEST_CASE("fp32 executor: names the node that it cannot run") {
  Chain chain(8, 8, 3);
  chain.Conv(4, Square(3));
  SampledWeights weights;
  MeanWeights(chain.network, &weights);

  Network wrong_shape = chain.network;
  wrong_shape.values[1].height = 7;
  CHECK_THROWS_WITH_AS(Fp32Executor(wrong_shape, 1),
                       "node 'node0': output is 7 x 6, its window gives 6 x 6", host::Error);
  Network wrong_groups = chain.network;
  wrong_groups.nodes[0].groups = 2;
  CHECK_THROWS_WITH_AS(Fp32Executor(wrong_groups, 1),
                       "node 'node0': 2 groups do not divide 3 input and 4 output channels",
                       host::Error);
  Network no_input = chain.network;
  no_input.nodes[0].inputs = {7};
  CHECK_THROWS_AS(Fp32Executor(no_input, 1), host::Error);
  CHECK_THROWS_AS(Fp32Executor(chain.network, 0), host::Error);

  Fp32Executor executor(chain.network, 1);
  const std::vector<float> input(chain.network.values[0].size());
  CHECK_THROWS_WITH_AS(executor.Run(input.data()), "Run before SetWeights", host::Error);
  weights.weights[0].pop_back();
  CHECK_THROWS_WITH_AS(executor.SetWeights(weights),
                       "node 'node0': weights: 107 numbers, expected 108", host::Error);
}

}  // namespace mu8::convert
