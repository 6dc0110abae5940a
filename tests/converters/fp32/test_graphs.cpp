// The FP32 reference on graphs: the nodes that are plain loops against their definitions, several
// readers of a value, batches that are no multiple of what runs at a time, and inner values that
// are not kept.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converters/fp32/buffers.h"
#include "converters/fp32/executor.h"
#include "converters/fp32/pass_runner.h"
#include "converters/host/error.h"
#include "tests/converters/random_floats.h"

namespace mu8::convert {
namespace {

class Graph {
 public:
  Graph(int height, int width, int channels) {
    network.values.push_back({"input", height, width, channels});
  }

  // Returns the value that the node writes.
  int Add(Node node, std::vector<int> inputs, int height, int width, int channels) {
    node.name = "node" + std::to_string(network.nodes.size());
    node.inputs = std::move(inputs);
    node.output = network.output = static_cast<int>(network.values.size());
    network.values.push_back({node.name, height, width, channels});
    network.nodes.push_back(std::move(node));
    return network.output;
  }
  int Same(Node node, std::vector<int> inputs) {
    const Value shape = network.values[static_cast<std::size_t>(inputs[0])];
    return Add(std::move(node), std::move(inputs), shape.height, shape.width, shape.channels);
  }
  int Conv(int input, int channels) {
    const Value in = network.values[static_cast<std::size_t>(input)];
    Node node{.op = Op::kConv2d};
    node.window = {
        .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    node.weights.mu = Random(static_cast<std::size_t>(9 * in.channels * channels), seed_++);
    return Add(std::move(node), {input}, in.height, in.width, channels);
  }

  Network network;

 private:
  unsigned seed_ = 1;
};

struct Run {
  Fp32Executor executor;
  std::vector<float> input;

  Run(const Network& network, int batch, bool keep_values)
      : executor(network, batch, keep_values),
        input(Random(static_cast<std::size_t>(batch) * network.values[0].size(), 99)) {
    SampledWeights weights;
    MeanWeights(network, &weights);
    executor.SetWeights(weights);
    executor.Run(input.data());
  }
};

// Element (y, x, c) of image `image` of a value; 0 outside.
float At(const Network& network, const Fp32Executor& executor, int value, int image, int y, int x,
         int c) {
  const Value& v = network.values[static_cast<std::size_t>(value)];
  if (y < 0 || y >= v.height || x < 0 || x >= v.width || c < 0 || c >= v.channels) return 0.0F;
  const int index = ((image * v.height + y) * v.width + x) * v.channels + c;
  return executor.value(value)[index];
}

// What `node` defines for one element, from the executor's own inputs of that node.
float Expected(const Network& network, const Fp32Executor& executor, const Node& node, int image,
               int y, int x, int c) {
  const auto input = [&](std::size_t i, int yy, int xx, int cc) {
    return At(network, executor, node.inputs[i], image, yy, xx, cc);
  };
  const auto second = [&] {
    const Value& b = network.values[static_cast<std::size_t>(node.inputs[1])];
    return b.height == 1 && b.width == 1 ? input(1, 0, 0, c) : input(1, y, x, c);
  };
  switch (node.op) {
    case Op::kClip:
      return std::min(std::max(input(0, y, x, c), node.low), node.high);
    case Op::kLookup:
      return static_cast<float>(
          (node.functions.empty() ? node.function : node.functions[static_cast<std::size_t>(c)])(
              static_cast<double>(input(0, y, x, c))));
    case Op::kMaximum:
      return std::max(input(0, y, x, c), second());
    case Op::kMinimum:
      return std::min(input(0, y, x, c), second());
    case Op::kConstant: {
      const Value& out = network.values[static_cast<std::size_t>(node.output)];
      return node.values[static_cast<std::size_t>((y * out.width + x) * out.channels + c)];
    }
    case Op::kGather: {
      const format::GatherPlace row = node.rows[static_cast<std::size_t>(y)];
      const format::GatherPlace column = node.columns[static_cast<std::size_t>(x)];
      const format::GatherPlace channel = node.channels[static_cast<std::size_t>(c)];
      if (std::max({row.row, column.row, channel.row}) == format::kOutside) return 0.0F;
      const int channels = network.values[static_cast<std::size_t>(node.inputs[0])].channels;
      const auto offset = static_cast<int>(row.offset + column.offset + channel.offset);
      return input(0, static_cast<int>(row.row + column.row + channel.row), offset / channels,
                   offset % channels);
    }
    case Op::kAdd:
      return input(0, y, x, c) + second();
    case Op::kMultiply:
      return input(0, y, x, c) * second();
    case Op::kSlice:
      return input(0, y * node.window.stride_h + node.offset_h,
                   x * node.window.stride_w + node.offset_w, c + node.offset_c);
    case Op::kConcat: {
      std::size_t part = 0;
      for (;; ++part) {
        const int channels = network.values[static_cast<std::size_t>(node.inputs[part])].channels;
        if (c < channels) break;
        c -= channels;
      }
      return input(part, y, x, c);
    }
    default:
      return std::numeric_limits<float>::quiet_NaN();
  }
}

std::size_t CompareLoops(const Network& network, int batch) {
  const Run run(network, batch, true);
  std::size_t compared = 0;
  for (const Node& node : network.nodes) {
    if (node.op == Op::kConv2d || node.op == Op::kAveragePool) continue;
    const Value& out = network.values[static_cast<std::size_t>(node.output)];
    int wrong = 0;
    for (int image = 0; image < batch; ++image) {
      for (int y = 0; y < out.height; ++y) {
        for (int x = 0; x < out.width; ++x) {
          for (int c = 0; c < out.channels; ++c, ++compared) {
            const float found = At(network, run.executor, node.output, image, y, x, c);
            const float expected = Expected(network, run.executor, node, image, y, x, c);
            wrong += found == expected ? 0 : 1;
          }
        }
      }
    }
    INFO("node ", node.name, " ", OpName(node.op), " batch ", batch);
    CHECK(wrong == 0);
  }
  return compared;
}

// Every kind of loop, values with several readers, a gate, a shortcut.
Network Mixed() {
  Graph g(7, 6, 5);
  const int conv = g.Conv(0, 8);
  const int relu = g.Same({.op = Op::kClip}, {conv});
  const int six = g.Same({.op = Op::kClip, .low = -0.5F, .high = 0.75F}, {conv});
  Node pool{.op = Op::kAveragePool};
  pool.window.kernel_h = 7;
  pool.window.kernel_w = 6;
  const int mean = g.Add(std::move(pool), {relu}, 1, 1, 8);
  const int gate = g.Same({.op = Op::kLookup,
                           .function = [](double x) { return 1.0 / (1.0 + std::exp(-x)); },
                           .function_name = "Sigmoid"},
                          {mean});
  const int gated = g.Same({.op = Op::kMultiply}, {six, gate});
  const int sum = g.Same({.op = Op::kAdd}, {gated, relu});
  const int product = g.Same({.op = Op::kMultiply}, {sum, conv});
  const int shifted = g.Same({.op = Op::kAdd}, {product, mean});
  const int all = g.Add({.op = Op::kConcat}, {shifted, 0, sum}, 7, 6, 21);
  Node slice{.op = Op::kSlice, .offset_h = -1, .offset_w = 1, .offset_c = -2};
  slice.window.stride_h = 2;
  slice.window.stride_w = 3;
  const int cut = g.Add(std::move(slice), {all}, 6, 4, 30);
  Node crop{.op = Op::kSlice, .offset_h = 1, .offset_w = 0, .offset_c = 7};
  const int cropped = g.Add(std::move(crop), {cut}, 3, 3, 8);
  const int twice = g.Same({.op = Op::kAdd}, {cropped, cropped});
  Node by_channel{.op = Op::kLookup};
  for (int c = 0; c < 8; ++c) {
    by_channel.functions.push_back([c](double x) { return x < 0.0 ? 0.25 * c * x : x; });
  }
  const int slopes = g.Same(std::move(by_channel), {twice});
  const int greatest = g.Same({.op = Op::kMaximum}, {slopes, gate});
  const int least = g.Same({.op = Op::kMinimum}, {greatest, cropped});
  const int constant = g.Same({.op = Op::kConstant, .values = Random(72, 50)}, {least});
  const int moved = g.Same({.op = Op::kAdd}, {least, constant});
  // Channels become columns, some of them twice; rows are turned over, and one is new.
  Node gather{.op = Op::kGather};
  gather.rows = {{2, 0}, {1, 0}, {format::kOutside, 0}, {0, 0}};
  gather.columns = {{0, 7}, {0, 3}, {0, 3}};
  gather.channels = {{0, 16}, {0, 0}, {format::kOutside, 5}};
  g.Add(std::move(gather), {moved}, 4, 3, 3);
  return g.network;
}

TEST_CASE("fp32 graphs: loops equal their definitions at every batch size") {
  const Network network = Mixed();
  CheckParameters(network);
  std::size_t compared = 0;
  for (const int batch : {1, 2, 15, 16, 17, 33}) compared += CompareLoops(network, batch);
  CHECK(compared > 200000);
}

TEST_CASE("fp32 graphs: values that are not kept do not change the output") {
  const Network network = Mixed();
  for (const int batch : {1, 16, 37}) {
    CAPTURE(batch);
    const Run kept(network, batch, true), dropped(network, batch, false);
    const std::size_t count = static_cast<std::size_t>(batch) *
                              network.values[static_cast<std::size_t>(network.output)].size();
    const float* expected = kept.executor.value(network.output);
    CHECK(std::equal(expected, expected + count, dropped.executor.value(network.output)));
    CHECK_THROWS_WITH_AS(dropped.executor.value(1),
                         "value 'node0' was not kept: only the output is", host::Error);
  }
}

TEST_CASE("fp32 graphs: a pass from its features is a pass, wherever the first sigma is") {
  std::size_t features = 0;
  for (std::size_t random = 0; random <= Mixed().nodes.size(); ++random) {
    Network network = Mixed();
    if (random < network.nodes.size()) network.nodes[random].bias.sigma = {1.0F};
    CAPTURE(random);
    for (const int batch : {1, 16, 37}) {
      Run run(network, batch, false);
      const float* outputs = run.executor.value(network.output);
      const auto images = static_cast<std::size_t>(batch);
      const std::size_t count =
          images * network.values[static_cast<std::size_t>(network.output)].size();
      const std::vector<float> expected(outputs, outputs + count);
      std::vector<float> kept(images * run.executor.feature_size());
      run.executor.RunAndKeep(run.input.data(), kept.data());
      CHECK(std::equal(expected.begin(), expected.end(), outputs));
      const std::vector<float> zeros(run.input.size(), 0.0F);
      run.executor.Run(zeros.data());
      CHECK(!std::equal(expected.begin(), expected.end(), outputs));
      run.executor.RunFrom(kept.data());
      CHECK(std::equal(expected.begin(), expected.end(), outputs));
      features += run.executor.feature_size();
    }
  }
  CHECK(features > 10000);
}

TEST_CASE("fp32 graphs: all inputs are visited once a pass, what is fixed in the first") {
  Network network = Mixed();
  network.nodes[5].bias.sigma = {1.0F};
  SampledWeights weights;
  MeanWeights(network, &weights);
  const std::size_t size = network.values[0].size();
  const std::vector<float> inputs = Random(37 * size, 7);
  std::vector<std::vector<float>> outputs;
  for (const std::uint64_t most_feature_bytes : {std::uint64_t{0}, PassRunner::kMostFeatureBytes}) {
    std::size_t read = 0;
    PassRunner runner(
        network, 37,
        [&](std::size_t first, std::size_t count) {
          read += count;
          const float* begin = inputs.data() + first * size;
          return std::vector<float>(begin, begin + count * size);
        },
        PassRunner::kMostBatch, PassRunner::Varying::kWithSigmas, most_feature_bytes);
    std::vector<std::size_t> visited(network.values.size(), 0);
    for (int pass = 0; pass < 3; ++pass) {
      std::vector<float> output;
      runner.Run(weights, [&](int value, std::size_t first, std::span<const float> data) {
        const auto v = static_cast<std::size_t>(value);
        const std::size_t images = data.size() / network.values[v].size();
        CHECK(first == visited[v] % 37);
        visited[v] += images;
        if (value == network.output) output.insert(output.end(), data.begin(), data.end());
      });
      outputs.push_back(output);
    }
    CHECK(read == (most_feature_bytes == 0 ? 3 : 1) * 48);  // the last 16 reach back
    for (std::size_t v = 0; v < visited.size(); ++v) CHECK(visited[v] == (v <= 5 ? 1 : 3) * 37);
  }
  for (const std::vector<float>& output : outputs) CHECK(output == outputs[0]);
}

TEST_CASE("fp32 graphs: weights that are drawn elsewhere may differ without sigmas") {
  const Network network = Mixed();
  const std::size_t size = network.values[0].size();
  const std::vector<float> inputs = Random(5 * size, 7);
  PassRunner runner(
      network, 5,
      [&](std::size_t first, std::size_t count) {
        const float* begin = inputs.data() + first * size;
        return std::vector<float>(begin, begin + count * size);
      },
      PassRunner::kMostBatch, PassRunner::Varying::kAll);
  for (const float factor : {1.0F, 0.5F}) {
    Network drawn = network;
    for (float& weight : drawn.nodes[0].weights.mu) weight *= factor;
    SampledWeights weights;
    MeanWeights(drawn, &weights);
    Fp32Executor executor(drawn, 5);
    executor.SetWeights(weights);
    executor.Run(inputs.data());
    std::size_t visited = 0;
    runner.Run(weights, [&](int value, std::size_t, std::span<const float> data) {
      if (value == network.input) return;
      CHECK(std::equal(data.begin(), data.end(), executor.value(value)));
      ++visited;
    });
    CHECK(visited == network.nodes.size());
  }
}

TEST_CASE("fp32 graphs: values share a buffer only while one of them is dead") {
  const Network network = Mixed();
  const BufferAssignment assigned = AssignBuffers(network);
  CHECK(assigned.sizes.size() < network.values.size());
  // A simulation: who wrote each buffer last.
  std::vector<int> holder(assigned.sizes.size(), -1);
  const auto buffer = [&](int value) {
    return static_cast<std::size_t>(assigned.buffer_of[static_cast<std::size_t>(value)]);
  };
  holder[buffer(network.input)] = network.input;
  for (const Node& node : network.nodes) {
    for (const int input : node.inputs) CHECK(holder[buffer(input)] == input);
    holder[buffer(node.output)] = node.output;
    CHECK(assigned.sizes[buffer(node.output)] >=
          network.values[static_cast<std::size_t>(node.output)].size());
  }
  CHECK(holder[buffer(network.output)] == network.output);
  CHECK(holder[buffer(network.input)] == network.input);
}

TEST_CASE("fp32 graphs: shapes that do not fit are named") {
  Graph g(4, 4, 3);
  const int conv = g.Conv(0, 2);
  g.Same({.op = Op::kAdd}, {0, conv});
  CHECK_THROWS_WITH_AS(Fp32Executor(g.network, 1),
                       "node 'node1': 4x4x3 and 4x4x2 do not give 4x4x3", host::Error);
}

}  // namespace
}  // namespace mu8::convert
